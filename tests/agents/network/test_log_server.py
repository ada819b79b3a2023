"""The rest of a log over real TLS: who may ask for it, and when it is given."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from agents.core.model import Durable, Permit, Replica
from agents.core.step import begin
from agents.engines.base import EngineBusy, EngineError, LogPoint
from agents.metrics import Metrics
from agents.network.desk import Desk
from agents.network.log_client import LogClient
from agents.network.log_server import LogServer
from agents.network.peer_client import client_context
from agents.network.peers import Board, PeerServer, server_context
from agents.network.refusals import Refusals
from agents.network.voice import Voice
from config.agent import Tls
from lab.base.keys import LabKeys, make_keys
from protocol.messages import CONTROLLER, Assignment, Goal, LeaseTerms, Partner, Right, Role
from protocol.sealing import Signer

HOLDER, BACKUP, OTHER = "batam-1", "ikn-1", "jabodetabek-1"
REVISION = 7
POINT = LogPoint("7301", 1, 8192, 8300)


class Log:
    """The engine of the fenced primary: what its log holds."""

    def __init__(self) -> None:
        self.chunks = [b"a" * 70_000, b"b" * 30_000]
        self.error: Exception | None = None
        self.breaks = False
        self.asked: list[LogPoint] = []

    async def rest_of_log(self, point: LogPoint) -> tuple[int, AsyncIterator[bytes]]:
        self.asked.append(point)
        if self.error:
            raise self.error
        return sum(map(len, self.chunks)), self._read()

    async def _read(self) -> AsyncIterator[bytes]:
        for chunk in self.chunks:
            yield chunk
            if self.breaks:
                raise EngineError("the disk is gone")


def fenced_primary() -> Replica:
    """It has promised, under REVISION, not to write."""
    terms = LeaseTerms(2000, 400, 300, 1000, 3000, 1000)
    assignment = Assignment(
        service="paspor",
        service_uid="paspor-2026",
        term=1,
        revision=REVISION,
        epoch=1,
        goal=Goal.PRIMARY,
        right=Right.LEASED,
        primary=HOLDER,
        grantors=(CONTROLLER, BACKUP),
        grantor_set=1,
        terms=terms,
        partner=Partner(BACKUP, "127.0.0.1:1", "127.0.0.1:2", ""),
        countdown=True,
    )
    fresh = begin(HOLDER, "paspor", "paspor-2026", "1-a", Durable(), 1000)
    durable = replace(fresh.durable, assignment=assignment, fenced_revision=REVISION)
    return replace(fresh, durable=durable, guard_known=True)


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> LabKeys:
    return make_keys(tmp_path_factory.mktemp("keys"), (HOLDER, BACKUP, OTHER), {})


class Holder:
    """The agent of the fenced primary, as its partners reach it."""

    def __init__(self, keys: LabKeys) -> None:
        self.keys = keys
        self.log = Log()
        self.replica = fenced_primary()
        metrics = Metrics(HOLDER, "batam")
        signer = Signer.from_file(keys.agents[HOLDER].signing_key)
        self.server = PeerServer(
            Voice("lab", HOLDER, "1-a", "boot", signer),
            Desk(lambda _service, _event: False),
            Board(lambda _name: self.replica, ("paspor",)),
            Refusals(metrics),
            metrics,
            LogServer({"paspor": self.log}, lambda _name: self.replica),  # type: ignore[dict-item]
            lambda: 1000,
        )

    async def take(self, agent: str = BACKUP, revision: int = REVISION) -> bytes:
        partner = Partner(HOLDER, f"127.0.0.1:{self.server.port}", "", "")
        client = LogClient(client_context(tls_of(self.keys, agent)), lambda address: address)
        got = b""
        async with client.source("paspor", partner, revision)(POINT) as chunks:
            async for chunk in chunks:
                got += chunk
        return got


def tls_of(keys: LabKeys, agent: str) -> Tls:
    party = keys.agents[agent]
    return Tls.model_construct(
        certificate=party.certificate, key=party.certificate_key, authority=keys.authority
    )


@pytest.fixture
async def holder(keys: LabKeys, tmp_path: Path) -> AsyncIterator[Holder]:
    made = Holder(keys)
    ready = asyncio.Event()
    context = server_context(tls_of(keys, HOLDER))
    serving = asyncio.create_task(made.server.run("127.0.0.1:0", context, ready))
    await asyncio.wait_for(ready.wait(), 10)
    yield made
    serving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await serving


async def test_the_backup_gets_the_whole_log_of_a_fenced_primary(holder: Holder) -> None:
    assert await holder.take() == b"".join(holder.log.chunks)
    assert holder.log.asked == [POINT]


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"guard_known": False}, "has not promised to be fenced under revision 7"),
        ({"permit": Permit.LEASED}, "has not promised to be fenced under revision 7"),
        ({"observation": {"role": Role.PRIMARY}}, "still seen as a primary"),
        ({"durable": {"fenced_revision": 6}}, "has not promised to be fenced under revision 7"),
    ],
)
async def test_a_log_that_may_still_grow_is_not_given(
    holder: Holder, changes: dict[str, Any], why: str
) -> None:
    made = {
        name: replace(getattr(holder.replica, name), **value) if isinstance(value, dict) else value
        for name, value in changes.items()
    }
    holder.replica = replace(holder.replica, **made)
    with pytest.raises(EngineBusy, match=why):
        await holder.take()
    assert not holder.log.asked


async def test_nobody_but_the_backup_of_this_revision_is_given_a_log(holder: Holder) -> None:
    with pytest.raises(EngineBusy, match=f"{OTHER} is not the backup"):
        await holder.take(agent=OTHER)
    with pytest.raises(EngineBusy, match="knows revision 7, not 6"):
        await holder.take(revision=6)
    assert not holder.log.asked


async def test_a_transfer_that_breaks_off_is_never_taken_for_a_whole_one(holder: Holder) -> None:
    holder.log.breaks = True
    with pytest.raises(EngineBusy, match="the rest of the log"):
        await holder.take()
    holder.log.breaks = False
    holder.log.error = EngineError("another history")
    with pytest.raises(EngineBusy, match="another history"):
        await holder.take()
    holder.log.error = None
    assert await holder.take() == b"".join(holder.log.chunks)
