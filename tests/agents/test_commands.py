"""The command line: what it says when it cannot start, and what the doctor finds."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec
import pytest

from agents.doctor.command import examine
from agents.doctor.findings import Level
from config.loader import load_agent
from controller.broker import EmbeddedBroker
from lab.base.keys import LabKeys

Until = Callable[[Callable[[], object], str], Awaitable[None]]
ROOT = Path(__file__).resolve().parents[2]
HOME = "batam-1"


async def command(*arguments: str) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "agents.daemon", *arguments),
        cwd=ROOT,
        env={**os.environ, "COLUMNS": "300"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    said, wrong = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode is not None
    return process.returncode, said.decode(), wrong.decode()


async def test_a_wrong_configuration_ends_with_2_and_names_file_key_and_mend(
    configure: Callable[..., Path],
) -> None:
    file = configure(HOME, "127.0.0.1:1", listen="nowhere")
    code, _, wrong = await command("--config", str(file))
    assert code == 2
    assert str(file) in wrong
    assert "listen" in wrong
    assert "mend:" in wrong
    assert (await command())[0] == 2


async def test_a_readable_secret_ends_with_2_and_says_chmod(
    configure: Callable[..., Path], keys: LabKeys
) -> None:
    file = configure(HOME, "127.0.0.1:1")
    keys.agents[HOME].signing_key.chmod(0o644)
    code, _, wrong = await command("--config", str(file))
    assert code == 2
    assert "chmod 600" in wrong


async def test_a_damaged_state_file_ends_with_2_and_names_it(
    configure: Callable[..., Path], binaries: Path
) -> None:
    file = configure(HOME, "127.0.0.1:1", binaries)
    state = load_agent(file).value.state_directory
    state.mkdir(parents=True)
    (state / "lives.json").write_text("{}")
    code, _, wrong = await command("--config", str(file))
    assert code == 2
    assert "lives.json" in wrong


async def test_sigterm_ends_an_agent_without_services_and_without_a_broker_in_order(
    configure: Callable[..., Path], until: Until
) -> None:
    file = configure(HOME, "127.0.0.1:1", services=[])
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "agents.daemon", "--config", str(file), "--log-format", "json"),
        cwd=ROOT,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stderr is not None
    said = await asyncio.wait_for(process.stderr.readuntil(b"the agent runs"), 60)
    process.send_signal(signal.SIGTERM)
    rest = await asyncio.wait_for(process.stderr.read(), 60)
    assert await asyncio.wait_for(process.wait(), 60) == 0
    assert b"engines go on under their guards" in said + rest


async def test_a_port_that_is_taken_ends_the_agent_with_1(configure: Callable[..., Path]) -> None:
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    file = configure(HOME, "127.0.0.1:1", services=[], listen=f"127.0.0.1:{port}")
    code, _, wrong = await command("--config", str(file))
    server.close()
    await server.wait_closed()
    assert code == 1
    assert str(port) in wrong


async def test_stop_with_nothing_running_is_no_error(
    configure: Callable[..., Path], binaries: Path
) -> None:
    file = configure(HOME, "127.0.0.1:1", binaries)
    code, said, _ = await command("stop", "--config", str(file))
    assert code == 0
    assert f"nothing of agent {HOME} runs" in said


async def test_doctor_makes_no_state_directory_and_says_who_must(
    configure: Callable[..., Path], tmp_path: Path
) -> None:
    state = tmp_path / "state" / "agent"
    file = configure(HOME, "127.0.0.1:1", state_directory=str(state))
    findings = await examine(file)
    told = [f for f in findings if f.what == "state directory"]
    assert not state.parent.exists()
    assert len(told) == 1
    if os.geteuid() == 0:
        assert told[0].level is Level.WARN
        assert f"install -d -m 700 -o USER {state}" in told[0].mend
    else:
        assert "the agent makes it when it starts" in told[0].found


async def test_a_state_directory_that_cannot_be_names_its_path_and_the_mend(
    configure: Callable[..., Path], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("x")
    place = tmp_path / "file" / "state"
    file = configure(HOME, "127.0.0.1:1", services=[], state_directory=str(place))
    code, _, wrong = await command("--config", str(file))
    assert code == 2
    assert str(place) in wrong
    assert "saling-agent doctor" in wrong


async def test_a_topology_is_not_taken_for_an_agents_file() -> None:
    code, _, wrong = await command("--config", str(ROOT / "config/example/four-sites.yaml"))
    assert code == 2
    assert wrong.count("error:") == 1
    assert "this is a topology" in wrong


@pytest.mark.broker
@pytest.mark.postgres
async def test_doctor_finds_nothing_to_mend_where_all_is_well(
    configure: Callable[..., Path], broker: EmbeddedBroker, binaries: Path
) -> None:
    file = configure(HOME, f"{broker.host}:{broker.port}", binaries)
    findings = await examine(file)
    assert [f for f in findings if f.level is Level.FAIL] == []
    text = " ".join(f.found for f in findings)
    assert "login accepted" in text
    assert "PostgreSQL 1" in text
    code, said, _ = await command("doctor", "--config", str(file), "--output", "json")
    assert code in (0, 3)
    assert any("GRANT" in line for line in msgspec.json.decode(said)["grants"])


@pytest.mark.postgres
async def test_doctor_names_all_that_is_missing_at_once(
    configure: Callable[..., Path], keys: LabKeys, binaries: Path
) -> None:
    party, other = keys.agents[HOME], keys.agents["ikn-1"]
    taken = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port = taken.sockets[0].getsockname()[1]
    file = configure(
        HOME,
        "127.0.0.1:1",
        binaries,
        listen=f"127.0.0.1:{port}",
        reach={"ikn.example:8701": "127.0.0.1:1"},
        tls={
            "certificate": str(other.certificate),
            "key": str(other.certificate_key),
            "authority": str(keys.authority),
        },
    )
    party.signing_key.write_text("no key")
    data = load_agent(file).value.services[0].data_directory
    data.mkdir(parents=True)
    (data / "precious.txt").write_text("x")
    findings = await examine(file)
    failed = {f.what for f in findings if f.level is Level.FAIL}
    assert {"signing key", "certificate", "broker", "port", "service paspor"} <= failed
    assert "reach" in {f.what for f in findings if f.level is Level.WARN}
    assert all(f.mend for f in findings if f.level is not Level.OK)
    assert (data / "precious.txt").read_text() == "x"
    code, said, _ = await command("doctor", "--config", str(file))
    assert code == 1
    assert "never touched" in said
    taken.close()
    await taken.wait_closed()
