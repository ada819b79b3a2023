"""Real brokers for the contract of brokers, and the two links that speak over them."""

from __future__ import annotations

import asyncio
import os
import pwd
import shutil
import signal
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Self

import pytest

import agents.network.link
import controller.link
from agents.metrics import Metrics
from agents.network.refusals import Refusals
from config.brokers import Broker
from controller.broker import (
    Account,
    EmbeddedBroker,
    agent_account,
    controller_account,
    die_with_parent,
)
from controller.core.events import RenewCame, ReportCame
from lab.base.keys import LabKeys
from protocol.messages import Grant, Header, Order, Report
from protocol.sealing import Signer
from protocol.session import BrokerLogin, tls_context

CLUSTER, AGENT = "testing", "batam-1"
WAIT_S = 60.0
END_S = 20.0
"""Much more than the goodbyes of all sessions may take; a link that hangs takes for ever."""
MOSQUITTO = shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
KINDS = ("nats-server", "mosquitto")


async def until(condition: Callable[[], object], what: str) -> None:
    try:
        async with asyncio.timeout(WAIT_S):
            while not condition():  # noqa: ASYNC110 - a link tells nobody when it is connected
                await asyncio.sleep(0.01)
    except TimeoutError:
        pytest.fail(f"not within {WAIT_S} s: {what}")


class Mosquitto:
    """Debian's mosquitto, used as an EmbeddedBroker is."""

    def __init__(
        self,
        directory: Path,
        listen: str,
        accounts: Sequence[Account],
        settings: Sequence[str] = (),
    ) -> None:
        self.directory = directory
        self.host, _, port = listen.rpartition(":")
        self.port = int(port)
        self._accounts = accounts
        self._settings = settings
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None else None

    async def start(self) -> None:
        assert MOSQUITTO is not None
        self._process = await asyncio.create_subprocess_exec(
            MOSQUITTO, "-c", str(await self._configured()), preexec_fn=die_with_parent
        )
        async with asyncio.timeout(WAIT_S):
            while True:
                assert self._process.returncode is None, self._log()
                try:
                    _, writer = await asyncio.open_connection(self.host, self.port)
                except OSError:
                    await asyncio.sleep(0.02)
                    continue
                writer.transport.abort()
                return

    async def stop(self) -> None:
        process, self._process = self._process, None
        if process is not None and process.returncode is None:
            process.terminate()
            await asyncio.wait_for(process.wait(), WAIT_S)

    def _log(self) -> str:
        return (self.directory / "log").read_text()

    async def _configured(self) -> Path:
        self.directory.mkdir(mode=0o700, exist_ok=True)
        passwords, rights, file = (self.directory / name for name in ("users", "rights", "conf"))
        passwords.touch(mode=0o600)
        passwords.write_text("".join(f"{a.username}:{a.password}\n" for a in self._accounts))
        hashing = await asyncio.create_subprocess_exec("mosquitto_passwd", "-U", str(passwords))
        assert await hashing.wait() == 0
        rights.write_text("\n".join(line for a in self._accounts for line in rules(a)) + "\n")
        lines = [
            # Else it gives up being root, and cannot read this directory.
            f"user {pwd.getpwuid(os.geteuid()).pw_name}",
            f"listener {self.port} {self.host}",
            "allow_anonymous false",
            f"password_file {passwords}",
            f"acl_file {rights}",
            f"log_dest file {self.directory / 'log'}",
            *self._settings,
        ]
        file.write_text("\n".join(lines) + "\n")
        return file


def rules(account: Account) -> list[str]:
    """The lines of mosquitto's acl_file."""
    return [
        f"user {account.username}",
        *(f"topic write {name}" for name in account.publish),
        *(f"topic read {name}" for name in account.subscribe),
    ]


AnyBroker = EmbeddedBroker | Mosquitto
MakeBroker = Callable[..., Awaitable[AnyBroker]]


@contextmanager
def frozen(broker: AnyBroker) -> Iterator[None]:
    assert broker.pid is not None
    os.kill(broker.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(broker.pid, signal.SIGCONT)


class Ends:
    """The controller's link and an agent's, over the same brokers."""

    def __init__(self, brokers: Sequence[AnyBroker], keys: LabKeys, scheme: str = "mqtt") -> None:
        self.signer = Signer.from_file(keys.controller.signing_key)
        self.events: list[ReportCame | RenewCame] = []
        self.orders: list[Order | Grant] = []
        self.metrics = Metrics(AGENT, "batam")
        self.controller = controller.link.Link(
            tuple(login(broker, keys, scheme) for broker in brokers),
            CLUSTER,
            frozenset({AGENT}),
            self.events.append,
        )
        gate = agents.network.link.Gate(
            CLUSTER, AGENT, keys.controller.public_key, self.orders.append, Refusals(self.metrics)
        )
        logins = [declared(broker, keys, scheme) for broker in brokers]
        self.agent = agents.network.link.Link(logins, CLUSTER, AGENT, gate, self.metrics)
        self.tasks = [asyncio.create_task(link.run()) for link in (self.controller, self.agent)]
        self.sequence = 0

    def connected(self, place: int) -> list[bool]:
        """The controller, the agent."""
        return [self.controller.brokers[place].connected, self.agent.links[place].connected]

    def problems(self, place: int) -> list[str]:
        return [self.controller.brokers[place].problem, self.agent.links[place].problem]

    def stale(self) -> list[float]:
        agents_count = self.metrics.rejected.labels("stale")._value.get()
        return [self.controller.counts.rejected["stale"], float(agents_count)]

    async def all_connected(self) -> None:
        places = range(len(self.agent.links))
        await until(
            lambda: all(all(self.connected(place)) for place in places), "both sides connected"
        )

    async def speak(self) -> None:
        """One message each way, each heard once at the other end."""
        self.sequence += 1
        before = (len(self.events), len(self.orders))
        self.controller.publish(AGENT, Order, order(self.signer, self.sequence))
        self.agent.publish(report(self.sequence))
        await until(
            lambda: len(self.events) > before[0] and len(self.orders) > before[1],
            f"message {self.sequence} at both ends",
        )
        event = self.events[-1]
        assert isinstance(event, ReportCame)
        assert event.report.header.sequence == self.orders[-1].header.sequence == self.sequence
        assert (len(self.events), len(self.orders)) == (before[0] + 1, before[1] + 1)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """As one that is told to end: promptly, and as cancelled."""
        for task in self.tasks:
            task.cancel()
        _, late = await asyncio.wait(self.tasks, timeout=END_S)
        assert not late, "a link did not end"
        assert all(task.cancelled() for task in self.tasks)


def order(signer: Signer, sequence: int) -> bytes:
    header = Header(CLUSTER, "controller", "b", "life", sequence)
    return signer.seal(Order(header, AGENT, 1, "store", ()), AGENT)


def report(sequence: int) -> Report:
    return Report(Header(CLUSTER, AGENT, "b", "1-a", sequence), ())


def login(broker: AnyBroker, keys: LabKeys, scheme: str) -> BrokerLogin:
    me = keys.controller
    tls = tls_context(keys.authority, me.certificate, me.certificate_key)
    password = me.password_file.read_text()
    address = f"{broker.host}:{broker.port}"
    return BrokerLogin(
        address,
        broker.host,
        broker.port,
        "controller",
        password,
        tls if scheme == "mqtts" else None,
    )


def declared(broker: AnyBroker, keys: LabKeys, scheme: str) -> Broker:
    me = keys.agents[AGENT]
    with_tls = scheme == "mqtts"
    return Broker(
        url=f"{scheme}://{broker.host}:{broker.port}",
        username=AGENT,
        password_file=str(me.password_file),
        ca_file=str(keys.authority) if with_tls else None,
        certificate=str(me.certificate) if with_tls else None,
        key=str(me.certificate_key) if with_tls else None,
    )


def accounts_of(keys: LabKeys) -> tuple[Account, ...]:
    return (
        controller_account(CLUSTER, "controller", keys.controller.password_file.read_text()),
        agent_account(CLUSTER, AGENT, keys.agents[AGENT].password_file.read_text()),
    )


def denying(keys: LabKeys) -> tuple[Account, ...]:
    """May write as always, and read nothing."""
    return tuple(Account(a.username, a.password, a.publish, ()) for a in accounts_of(keys))
