"""A runtime with a real store and journal, and a link that only writes down."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from controller.core.events import RenewCame, ReportCame
from controller.core.model import Phase, Record, State
from controller.inbox import Inbox
from controller.journal import Journal
from controller.leading import lead
from controller.runtime import ControllerRuntime
from controller.stores.sqlite import SqliteStore
from controller.stores.worker import StoreWorker
from controller.voice import Voice
from protocol.intake import Intake
from protocol.messages import Grant, Mode, Order, Role
from protocol.sealing import Verifier
from tests.controller.cluster import Cluster

WAIT_S = 30.0
A, B = "jabodetabek-1", "batam-1"
SYSTEM = "7301"


class Desk:
    """The service paspor, seen through a runtime."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        topology = cluster.topology
        self.events: list[str] = []
        """What was stored and what was said, in order."""
        self.said: list[tuple[str, Order | Grant]] = []
        self.now_ms = 1_000_000
        self.store = SqliteStore(topology.store.path, "c1")
        state, broken = lead(self.store, topology, lambda: self.now_ms)
        self.first = state
        self.worker = StoreWorker(self.store)
        self.journal = Journal(topology.journal.directory, 10**7, 3, "1.0")
        self.runtime = ControllerRuntime(
            topology,
            self.worker,
            state,
            broken,
            Inbox(),
            Voice(cluster.signer, "c1", state.term, state.generation, self._publish),
            self.journal,
            lambda: (),
            lambda transition: self.events.append(f"stored {transition.to_phase}"),
            lambda: self.now_ms,
        )
        self._verifier = Verifier(cluster.public_key)
        self._intakes = {agent: Intake("c1") for agent in (A, B)}
        self._sequence = 0

    def _publish(self, agent: str, kind: type[Any], payload: bytes) -> None:
        message = self._intakes[agent].take_sealed(
            payload, kind, "controller", agent, self._verifier
        )
        self.events.append(f"said {kind.__name__} to {agent}")
        self.said.append((agent, message))

    @property
    def state(self) -> State:
        return self.runtime.status.state

    def record(self, service: str = "paspor") -> Record:
        return self.state.services[service].record

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(WAIT_S):
            while not condition():  # noqa: ASYNC110 - the runtime tells nobody when it is done
                await asyncio.sleep(0.005)

    def report(self, agent: str, **facts: Any) -> None:
        """A report of paspor under its present revision, from an agent that probes as it should."""
        record = self.record()
        usual = {"revision": record.revision, "epoch": record.epoch, "system_identifier": SYSTEM}
        self._sequence += 1
        replica = self.cluster.replica("paspor", **(usual | {"position_bytes": 5000} | facts))
        told = self.cluster.report(agent, self._sequence, replica)
        wanted = self.state.nation.probe_lists[agent]
        self.runtime.offer(ReportCame(replace(told, probe_list=wanted)))

    def renew(self, agent: str, **facts: Any) -> None:
        record = self.record()
        usual = {"revision": record.revision, "epoch": record.epoch, "position_bytes": 5000}
        self._sequence += 1
        ask = self.cluster.ask("paspor", f"n{self._sequence}", **(usual | facts))
        self.runtime.offer(RenewCame(self.cluster.renew(agent, self._sequence, ask)))

    def healthy(self, mode: Mode) -> None:
        """The primary writes, proves it, and its backup follows."""
        self.renew(A, mode=mode)
        self.report(A, role=Role.PRIMARY, mode=mode, writable=True)
        self.report(B, role=Role.STANDBY, streaming=True, primary_heard=True)

    async def until_phase(self, phase: Phase, mode: Mode) -> None:
        """Let time pass with healthy reports until the phase is reached."""
        async with asyncio.timeout(WAIT_S):
            while self.record().phase is not phase:
                self.now_ms += 400
                self.healthy(mode)
                await asyncio.sleep(0.005)

    async def protect(self) -> None:
        """Until the backup may take over."""
        await self.until_phase(Phase.ARMING, Mode.ALONE)
        await self.until_phase(Phase.PROTECTED, Mode.LEASED)
