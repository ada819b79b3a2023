"""saling-controller as a real process, with its own broker and an agent that speaks MQTT."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import sqlite3
import stat
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import aiomqtt
import msgspec
import pytest
import yaml

from controller.journal import SnapshotLine, files, numbered
from protocol.intake import Intake
from protocol.messages import Grant, Order
from protocol.sealing import Verifier
from protocol.topics import read_by
from tests.controller.cluster import Cluster, write_key

WAIT_S = 60.0
A, B = "jabodetabek-1", "batam-1"
pytestmark = pytest.mark.broker


class Daemon:
    """One process, its log in a file."""

    def __init__(self, cluster: Cluster, root: Path) -> None:
        self.cluster = cluster
        self._log = cluster.directory / "log"
        self._root = root
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "controller.daemon",
                "--config",
                str(self.cluster.config),
                cwd=self._root,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        await self.until_ready()

    async def end(self, how: signal.Signals) -> int:
        process = self._process
        assert process is not None
        if process.returncode is None:
            process.send_signal(how)
        return await asyncio.wait_for(process.wait(), WAIT_S)

    async def until_ready(self) -> None:
        process = self._process
        assert process is not None
        async with asyncio.timeout(WAIT_S):
            while await self._status("/readyz") != 200:
                assert process.returncode is None, self.log
                await asyncio.sleep(0.05)

    async def until_said(self, text: str) -> None:
        async with asyncio.timeout(WAIT_S):
            while text not in self.log:  # noqa: ASYNC110 - another process writes it
                await asyncio.sleep(0.02)

    @property
    def log(self) -> str:
        return self._log.read_text()

    async def get(self, path: str) -> Any:
        async with aiohttp.request("GET", f"http://{self.cluster.listen}{path}") as answer:
            return await answer.json()

    async def post(self, path: str, key: str, **body: object) -> tuple[int, Any]:
        headers = {"Idempotency-Key": key}
        url = f"http://{self.cluster.listen}/api/v1/{path}"
        async with aiohttp.request("POST", url, json=body, headers=headers) as answer:
            return answer.status, await answer.json()

    async def rejected(self) -> dict[str, int]:
        """Counts by reason, those that are not zero."""
        async with aiohttp.request("GET", f"http://{self.cluster.listen}/metrics") as answer:
            lines = (await answer.text()).splitlines()
        found = {}
        for line in lines:
            if line.startswith('saling_messages_rejected_total{reason="'):
                reason, count = line.split('"')[1], int(float(line.split()[-1]))
                if count:
                    found[reason] = count
        return found

    async def _status(self, path: str) -> int:
        try:
            async with aiohttp.request("GET", f"http://{self.cluster.listen}{path}") as answer:
                return answer.status
        except aiohttp.ClientError:
            return 0


class Agent:
    """Speaks on an agent's topics; `client` is connected."""

    def __init__(self, cluster: Cluster, name: str, client: aiomqtt.Client) -> None:
        self._name = name
        self._client = client
        self._intake = Intake("c1")
        self._verifier = Verifier(cluster.public_key)
        self._messages = aiter(client.messages)

    async def subscribe(self) -> None:
        for topic in read_by("c1", self._name):
            await self._client.subscribe(topic)

    async def say(self, kind: str, message: object) -> None:
        raw = message if isinstance(message, bytes) else msgspec.json.encode(message)
        await self._client.publish(f"saling/c1/{self._name}/{kind}", raw)

    async def hear(self, kind: type[Any]) -> Any:
        """The next Order or Grant, its signature checked."""
        async with asyncio.timeout(WAIT_S):
            while True:
                message = await anext(self._messages)
                if str(message.topic).endswith(kind.__name__.lower()):
                    return self._intake.take_sealed(
                        message.payload, kind, "controller", self._name, self._verifier
                    )


def client(cluster: Cluster, username: str) -> aiomqtt.Client:
    host, _, port = cluster.broker.partition(":")
    password = cluster.password(username)
    return aiomqtt.Client(host, int(port), username=username, password=password)


@pytest.fixture
async def daemon(cluster: Cluster, root: Path) -> AsyncIterator[Daemon]:
    one = Daemon(cluster, root)
    await one.start()
    yield one
    await one.end(signal.SIGKILL)


def run(cluster: Cluster, root: Path, *more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "controller.daemon", "--config", str(cluster.config), *more],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
        timeout=WAIT_S,
    )


async def test_an_agent_that_reports_gets_its_order_and_its_lease(
    daemon: Daemon, cluster: Cluster
) -> None:
    async with client(cluster, A) as connection:
        agent = Agent(cluster, A, connection)
        await agent.subscribe()
        await agent.say("report", cluster.report(A, 1, cluster.replica("paspor", revision=0)))
        order = await agent.hear(Order)
        (assignment,) = order.assignments
        assert (assignment.service, assignment.revision, order.audience) == ("paspor", 1, A)
        assert (order.term, assignment.primary) == (1, A)
        await agent.say("renew", cluster.renew(A, 1, cluster.ask("paspor", "n1")))
        grant = await agent.hear(Grant)
        assert (grant.grants[0].nonce, grant.grants[0].ttl_ms) == ("n1", 2000)
    state = await daemon.get("/api/v1/state")
    assert [a["up"] for a in state["agents"]] == [False, True]
    assert await daemon.rejected() == {}


async def test_what_is_no_message_is_counted_and_changes_nothing(
    daemon: Daemon, cluster: Cluster
) -> None:
    before = await daemon.get("/api/v1/services/paspor/explain")
    async with client(cluster, B) as connection:
        agent = Agent(cluster, B, connection)
        await agent.subscribe()
        garbage = [b"garbage", b"\xff\xfe", b"[" * 10_000, b'{"type":"report"}']
        for raw in garbage:
            await agent.say("report", raw)
        await agent.say("renew", cluster.renew(A, 1, cluster.ask("paspor", "n1")))
        foreign = msgspec.json.encode(cluster.report(B, 1)).replace(b'"c1"', b'"c2"')
        await agent.say("report", foreign)
        for _ in range(2):
            await agent.say("report", cluster.report(B, 5))
        await agent.say("report", cluster.report(B, 6, cluster.replica("paspor", revision=0)))
        await agent.hear(Order)
    assert await daemon.rejected() == {
        "malformed": len(garbage),
        "impostor": 1,
        "foreign": 1,
        "stale": 1,
    }
    after = await daemon.get("/api/v1/services/paspor/explain")
    assert (after["revision"], after["phase"]) == (before["revision"], before["phase"])
    assert 3 <= daemon.log.count("messages were put aside") < 6


async def test_a_kill_keeps_the_records_and_the_next_start_raises_the_term(
    daemon: Daemon, cluster: Cluster
) -> None:
    status, answer = await daemon.post("services/paspor/pause", "k1", by="siti", reason="drill")
    assert status == 200
    before = await daemon.get("/api/v1/state")
    password = cluster.password(A)
    assert await daemon.end(signal.SIGKILL) == -signal.SIGKILL
    await daemon.start()
    after = await daemon.get("/api/v1/state")
    assert after["term"] == before["term"] + 1
    assert after["store"]["generation"] == before["store"]["generation"]
    assert after["services"][0]["revision"] == before["services"][0]["revision"]
    assert after["services"][0]["paused"] == "by siti: drill"
    assert cluster.password(A) == password
    again = await daemon.post("services/paspor/pause", "k1", by="siti", reason="drill")
    assert again == (200, answer)
    history = (await daemon.get("/api/v1/history"))["history"]
    assert len(history) == 1


async def test_a_second_controller_on_the_same_store_is_refused(
    daemon: Daemon, cluster: Cluster, root: Path
) -> None:
    second = await asyncio.to_thread(run, cluster, root)
    assert second.returncode == 1
    said = json.loads(second.stderr.splitlines()[-1])
    assert "has this store open; stop it first" in said["reason"]
    assert (await daemon.get("/api/v1/state"))["term"] == 1


async def test_a_leader_that_was_replaced_stops_with_the_reason(
    daemon: Daemon, cluster: Cluster
) -> None:
    database = sqlite3.connect(cluster.directory / "store" / "controller.db")
    database.execute("UPDATE meta SET value = 99 WHERE key = 'term'")
    database.commit()
    database.close()
    with pytest.raises(aiohttp.ClientError):
        await daemon.post("services/paspor/pause", "k1", by="siti")
    assert await daemon.end(signal.SIGCONT) == 1
    assert "another controller leads" in daemon.log


async def test_a_broker_that_dies_comes_back_and_stops_nothing(
    daemon: Daemon, cluster: Cluster
) -> None:
    first = await broker_pid(cluster)
    os.kill(first, signal.SIGKILL)
    await daemon.until_said("the broker ended by itself")
    await daemon.until_said("no connection to the broker")
    assert (await daemon.get("/healthz"))["turning"]
    await daemon.until_ready()
    assert await broker_pid(cluster) != first


async def broker_pid(cluster: Cluster) -> int:
    needle = str(cluster.directory / "broker" / "nats-server.conf").encode()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if needle in words:
                return int(entry.name)
    raise AssertionError("no broker runs")


async def test_sigterm_ends_it_in_order_and_leaves_a_readable_journal(
    daemon: Daemon, cluster: Cluster
) -> None:
    assert await daemon.end(signal.SIGTERM) == 0
    assert '"stopping"' in daemon.log
    assert "Traceback" not in daemon.log
    lines = [line for _, _, line in numbered(files(cluster.directory / "journal")[0])]
    assert isinstance(lines[0], SnapshotLine)
    for agent in (A, B):
        mode = (cluster.directory / "broker" / "passwords" / agent).stat().st_mode
        assert stat.S_IMODE(mode) == 0o600
    with pytest.raises(AssertionError, match="no broker runs"):
        await broker_pid(cluster)


def test_an_address_that_is_taken_is_told_with_the_mend(cluster: Cluster, root: Path) -> None:
    host, _, port = cluster.listen.partition(":")
    with socket.create_server((host, int(port))):
        done = run(cluster, root)
    assert done.returncode == 1
    assert f"cannot listen on {cluster.listen}" in done.stderr
    assert "controller.listen" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_check_says_that_a_configuration_can_be_used(cluster: Cluster, root: Path) -> None:
    done = run(cluster, root, "--check")
    assert (done.returncode, done.stderr) == (0, "")
    assert "can be used" in done.stdout
    assert not (cluster.directory / "store").exists()


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("failure_domain: arbiter", "failure_domain: arbiter\n  colour: red", "colour"),
        ("signing_key: controller.key", "signing_key: absent.key", "no such file"),
        ("signing_key: controller.key", "signing_key: batam.key", "not the public half"),
        ("signing_key: controller.key", "signing_key: cluster.yaml", "Ed25519"),
    ],
)
def test_a_configuration_that_cannot_be_used_ends_with_two(
    cluster: Cluster, root: Path, old: str, new: str, said: str
) -> None:
    cluster.config.chmod(0o600)
    cluster.change(old, new)
    done = run(cluster, root)
    assert done.returncode == 2
    assert said in done.stderr
    assert "mend:" in done.stderr
    assert "Traceback" not in done.stderr


async def test_a_store_that_names_an_undeclared_replica_ends_with_two(
    daemon: Daemon, cluster: Cluster, root: Path
) -> None:
    await daemon.end(signal.SIGTERM)
    text = cluster.config.read_text()
    cluster.config.write_text(text.replace("batam-1", "batam-9"))
    done = await asyncio.to_thread(run, cluster, root)
    assert done.returncode == 2
    assert "batam-1" in done.stderr
    assert "Traceback" not in done.stderr


async def test_a_hangup_signal_reads_the_configuration_anew_and_a_bad_one_changes_nothing(
    daemon: Daemon,
) -> None:
    process = daemon._process
    assert process is not None
    daemon.cluster.change("tier: tinggi", "tier: rendah")
    process.send_signal(signal.SIGHUP)
    await daemon.until_said("the configuration is taken: 2 changes")
    state = await daemon.get("/api/v1/state")
    assert [service["tier"] for service in state["services"]] == ["rendah", "rendah"]
    assert state["configuration"]["last_reload"]["failed"] == ""
    daemon.cluster.change("tier: rendah", "tier: keliru")
    process.send_signal(signal.SIGHUP)
    await daemon.until_said("the configuration was not taken; the old one stays")
    state = await daemon.get("/api/v1/state")
    assert [service["tier"] for service in state["services"]] == ["rendah", "rendah"]
    assert "services[0].tier" in state["configuration"]["last_reload"]["failed"]


async def test_an_agent_that_a_reload_declares_connects_to_the_embedded_broker(
    daemon: Daemon,
) -> None:
    key = write_key(daemon.cluster.directory / "batam-2.key")
    known = yaml.safe_load(daemon.cluster.config.read_text())
    for service in known["services"]:
        for replica in service["replicas"]:
            replica["agent"] = f"{replica['site']}-1"
    new = {"id": "batam-2", "site": "batam", "address": "127.0.0.1:1", "public_key": key}
    known["agents"].append(new)
    daemon.cluster.config.write_text(yaml.safe_dump(known, sort_keys=False))
    status, body = await daemon.post("reload", "k", by="siti")
    assert (status, body["applied"]) == (200, True), body
    host, port = daemon.cluster.broker.split(":")
    password = daemon.cluster.password("batam-2")
    said = msgspec.json.encode(daemon.cluster.report("batam-2", 1))
    async with asyncio.timeout(WAIT_S):
        while not await _is_up(daemon, "batam-2"):
            with contextlib.suppress(aiomqtt.MqttError):
                async with aiomqtt.Client(
                    host, int(port), username="batam-2", password=password
                ) as agent:
                    await agent.publish("saling/c1/batam-2/report", said)
            await asyncio.sleep(0.05)


async def _is_up(daemon: Daemon, name: str) -> bool:
    state = await daemon.get("/api/v1/state")
    return any(agent["up"] for agent in state["agents"] if agent["id"] == name)
