"""The guard's clients: those that die, freeze, lie or flood, and those that cannot reach it."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from agents.guard.client import (
    GuardBusy,
    GuardClient,
    GuardGone,
    GuardRefused,
)
from tests.agents.guard.bench import FAMILY, Bench, until

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(params=["auto", "plain"])
async def bench(request: pytest.FixtureRequest) -> AsyncIterator[Bench]:
    with tempfile.TemporaryDirectory(prefix="guard-") as root:
        bench = Bench(Path(root), request.param)
        await bench.client.ensure_running()
        yield bench
        await bench.end()


LEASE_MS = 3000
"""Time enough to start an engine under it, on a machine under load as well."""

GARBAGE = [
    b"",
    b"\xff\xfe\x00",
    b"[" * 10_000,
    b"null",
    b"[]",
    b'{"request": 1}',
    b'{"request": "adopt"}',
    b'{"request": {"a": []}}',
    b'{"request": "start"}',
    b'{"request": "start", "as_primary": "yes", "argv": ["/bin/true"], "env": {}, "log": "/x"}',
    b'{"request": "start", "as_primary": false, "argv": [], "env": {}, "log": "/x"}',
    b'{"request": "start", "as_primary": false, "argv": ["a\\u0000b"], "env": {}, "log": "/x"}',
    b'{"request": "start", "as_primary": false, "argv": ["/bin/true"], "env": [], "log": "/x"}',
    b'{"request": "start", "as_primary": false, "argv": ["/bin/true"], "env": {}, "log": "x"}',
    b'{"request": "start", "as_primary": false, "argv": ["\\ud800"], "env": {}, "log": "/tmp"}',
    b'{"request": "lease", "deadline_ms": 1e999}',
    b'{"request": "lease", "deadline_ms": ' + b"9" * 5000 + b"}",
    b'{"request": "signal", "name": ["SIGINT"]}',
]


@pytest.mark.parametrize("line", GARBAGE, ids=range(len(GARBAGE)))
async def test_a_malformed_line_is_answered_and_changes_nothing(bench: Bench, line: bytes) -> None:
    before = await bench.client.status()
    reader, writer = await asyncio.open_unix_connection(bench.run / "guard.sock")
    writer.write(line + b"\n")
    answer = msgspec.json.decode(await asyncio.wait_for(reader.readline(), 10))
    assert answer["ok"] is False
    assert answer["error"]
    writer.close()
    after = await bench.client.status()
    assert (after.pid, after.engine, after.permission) == (before.pid, None, "closed")


async def test_an_endless_line_is_cut_off(bench: Bench) -> None:
    def flood() -> None:
        with socket.socket(socket.AF_UNIX) as peer:
            peer.settimeout(20)
            peer.connect(str(bench.run / "guard.sock"))
            for _ in range(80):
                peer.sendall(b"x" * 65536)

    with pytest.raises(OSError, match=r"reset|[Bb]roken pipe"):
        await asyncio.to_thread(flood)
    assert (await bench.client.status()).engine is None


async def test_clients_that_hang_do_not_keep_the_others_waiting(bench: Bench) -> None:
    hanging = []
    for _ in range(40):
        peer = socket.socket(socket.AF_UNIX)
        peer.setblocking(False)
        peer.connect_ex(str(bench.run / "guard.sock"))
        hanging.append(peer)
    assert (await bench.client.status()).permission == "closed"
    for peer in hanging:
        peer.close()


AGENT = """
import asyncio, sys
from pathlib import Path
sys.path.insert(0, {root!r})
from agents.guard.client import GuardClient, now_ms

async def main():
    guard = GuardClient(Path({run!r}), Path({data!r}), {isolation!r})
    await guard.ensure_running()
    await guard.lease(now_ms() + {lease_ms})
    await guard.start(["/bin/sh", "-c", {script!r}], {{}}, Path({log!r}), True)
    print("running", flush=True)
    await asyncio.sleep(600)

asyncio.run(main())
"""


def agent_of(bench: Bench, lease_ms: int) -> subprocess.Popen[bytes]:
    """A process that leases and starts the engine as an agent does, and its whole session."""
    script = AGENT.format(
        root=str(ROOT),
        run=str(bench.run),
        data=str(bench.data),
        isolation=bench.isolation,
        lease_ms=lease_ms,
        script=FAMILY,
        log=str(bench.log),
    )
    agent = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, start_new_session=True
    )
    assert agent.stdout
    assert agent.stdout.readline() == b"running\n"
    return agent


def kill_session(agent: subprocess.Popen[bytes]) -> None:
    os.killpg(agent.pid, signal.SIGKILL)
    agent.wait(20)
    assert agent.stdout
    agent.stdout.close()


async def test_the_engine_outlives_its_agent_and_a_new_one_extends_the_lease(bench: Bench) -> None:
    await bench.client.shutdown()
    kill_session(agent_of(bench, lease_ms=60_000))
    await until(lambda: len(bench.alive()) >= 4, "the engine goes on")
    status = await bench.client.status()
    assert status.engine
    assert status.engine.writable
    assert status.deadline_ms
    extended = status.deadline_ms + 30_000
    assert await bench.client.lease(extended) == extended


async def test_with_the_agent_dead_the_deadline_still_ends_the_engine(bench: Bench) -> None:
    await bench.client.shutdown()
    kill_session(agent_of(bench, lease_ms=LEASE_MS))
    await until(lambda: bench.alive() == [], "fenced without an agent")
    await bench.client.wait_engine_gone(20_000)
    status = await bench.client.status()
    assert status.last_fence
    assert status.permission == "closed"


async def test_with_the_agent_frozen_the_deadline_still_ends_the_engine(bench: Bench) -> None:
    await bench.client.shutdown()
    agent = agent_of(bench, lease_ms=LEASE_MS)
    os.kill(agent.pid, signal.SIGSTOP)
    await until(lambda: bench.alive() == [], "fenced while the agent is frozen")
    kill_session(agent)


async def test_a_guard_that_cannot_start_says_why() -> None:
    with tempfile.TemporaryDirectory(prefix="guard-") as root:
        (Path(root) / "run").write_text("a file in the way")
        client = GuardClient(Path(root) / "run", Path(root) / "data")
        with pytest.raises(GuardGone, match="File exists"):
            await client.ensure_running()


def test_a_run_directory_too_long_for_a_socket_is_refused() -> None:
    with pytest.raises(GuardRefused, match="shorter run directory"):
        GuardClient(Path("/" + "x" * 120), Path("/data"))


async def test_no_guard_is_told_apart_from_a_slow_one(bench: Bench) -> None:
    pid = (await bench.client.status()).pid
    impatient = GuardClient(bench.run, bench.data)
    os.kill(pid, signal.SIGSTOP)
    with pytest.raises(GuardBusy):
        await impatient.status(timeout_ms=100)
    os.kill(pid, signal.SIGCONT)
    assert (await bench.client.status()).pid == pid
    await impatient.close()
