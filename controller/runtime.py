"""The shell around the rules: one task takes one event after the other from one queue.

For each: decide (`step`), persist what changed, and only then speak. What the rules do not
see, they do not decide: clocks, the store, the brokers and the API all stand here.

The controller stops, rather than act, when the store refuses a change (another leader), when
it cannot answer, or when the rules break an invariant. Trouble with brokers stops nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import time
import uuid
from collections import deque
from collections.abc import Callable

import structlog

from config.topology import Topology
from controller.core.actions import (
    Action,
    Answer,
    ReadRecord,
)
from controller.core.events import (
    Ask,
    Event,
    RecordRead,
    RenewCame,
    ReportCame,
    Requested,
)
from controller.core.invariants import InvariantBroken
from controller.core.model import Phase, Record, State, Transition
from controller.core.plan_model import PlanKind
from controller.core.step import LeadershipLost, step
from controller.inbox import Conflict, Inbox, RulesFailed, Submission
from controller.journal import Journal
from controller.keeping import Keeper
from controller.specs import Wish, declared, service_specs
from controller.status import BrokerStatus, ConfigurationStatus, DrillStatus, Status
from controller.stores.base import (
    Claim,
    HappeningLine,
    HistoryLine,
    PlanLine,
    Plans,
    StoredPlan,
    StoreFailed,
    StoreUnusable,
)
from controller.stores.worker import StoreWorker
from controller.voice import Voice

TICK_S = 0.05
QUICK_TICK_S = 0.025
URGENT = (Phase.COUNTDOWN, Phase.PROMOTING, Phase.DRAINING)
BEAT_AT_LEAST_S = 5.0
"""The loop that handled no event for this long does not turn."""

SAY_AGAIN_S = 10.0

log = structlog.get_logger("controller")


def boottime_ms() -> int:
    """The clock of the rules: it counts a suspended host's time, and nobody sets it."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000


class ControllerRuntime:
    """The state, the queue before it, and the one task that changes it."""

    def __init__(
        self,
        topology: Topology,
        worker: StoreWorker,
        state: State,
        broken_records: dict[str, str],
        inbox: Inbox,
        voice: Voice,
        journal: Journal,
        brokers: Callable[[], tuple[BrokerStatus, ...]],
        on_transition: Callable[[Transition], None],
        clock: Callable[[], int] = boottime_ms,
        configuration: Callable[[], ConfigurationStatus] = ConfigurationStatus,
        drills: Callable[[Status], tuple[DrillStatus, ...]] = lambda _status: (),
    ) -> None:
        self._topology = topology
        self._worker = worker
        self._keeper = Keeper(worker, state.term, on_transition)
        self._state = state
        self._broken_records = broken_records
        self._inbox = inbox
        self._voice = voice
        self._journal = journal
        self._brokers = brokers
        self._clock = clock
        self._configuration = configuration
        self._drills = drills
        self._started_at_ms = time.time_ns() // 1_000_000
        self._heard_ms: dict[str, int] = {}
        self._answers: dict[str, asyncio.Future[Answer]] = {}
        self._beat_s = time.monotonic()
        self._rule_errors = 0
        self._rule_error_said_s = -SAY_AGAIN_S

    async def run(self) -> None:
        """Turn until cancelled. Raises, inside a group, what the controller must stop for."""
        self._journal.begin(self._state, self._clock())
        async with asyncio.TaskGroup() as group:
            group.create_task(self._consume(), name="rules")
            group.create_task(self._tick(), name="ticks")

    def offer(self, event: ReportCame | RenewCame) -> None:
        """Take in what an agent said. Never waits."""
        self._inbox.put(event)

    async def submit(
        self, event: Ask, revision: int | None = None, epoch: int | None = None
    ) -> Answer:
        """Ask the rules for something, if the service is still as expected.

        Raises Busy, Conflict, RulesFailed.
        """
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._inbox.submit(Submission(event, answer, revision, epoch))
        return await answer

    async def configure(
        self, topology: Topology, wish: Wish, in_force: Callable[[], None]
    ) -> Answer:
        """Let this be what is declared, whole, or say why not; `in_force` is called once it is.

        Raises Busy, RulesFailed, StoreError.
        """
        new = [s.uid for s in service_specs(topology) if s.uid not in self._state.services]
        stored: dict[str, Record] = {}
        for uid in new:
            if uid not in self._broken_records:
                found = await self._worker.call(self._worker.store.read, uid, self._state.term)
                stored |= {uid: found} if found else {}
        event = declared(uuid.uuid4().hex, topology, stored, self._broken_records, wish)
        answer = await self.submit(event)
        if answer.accepted and not wish.dry_run:
            self._topology = topology
            in_force()
        return answer

    async def history(self, service_uid: str | None, limit: int) -> list[HistoryLine]:
        """The newest changes, newest first. Raises StoreError."""
        return await self._worker.call(self._worker.store.history, service_uid, limit)

    async def plans(self, limit: int, kind: PlanKind | None = None) -> Plans:
        """The newest plans, or those of one kind, newest first. Raises StoreError."""
        return await self._worker.call(self._worker.store.plans, limit, kind)

    async def plan(self, plan_id: str) -> StoredPlan | None:
        """One plan; None where it is not kept. Raises StoreError."""
        return await self._worker.call(self._worker.store.plan, plan_id)

    async def plan_history(self, plan_id: str | None, limit: int) -> list[PlanLine]:
        """The newest changes of plans, newest first. Raises StoreError."""
        return await self._worker.call(self._worker.store.plan_history, plan_id, limit)

    async def lines(
        self, limit: int
    ) -> tuple[list[HistoryLine], list[PlanLine], list[HappeningLine]]:
        """Changes of services and plans, and what else happened, each newest first.

        Raises StoreError.
        """
        store, call = self._worker.store, self._worker.call
        changes = await call(store.history, None, limit)
        plans = await call(store.plan_history, None, limit)
        return changes, plans, await call(store.happenings, limit)

    async def claim(self, key: str, digest: str) -> Claim | None:
        """Note that a request begins; what was noted before. Raises StoreError."""
        return await self._worker.call(self._worker.store.claim_request, key, digest)

    async def settle(self, key: str, answer: bytes) -> None:
        """Note what became of a request. Raises StoreError."""
        await self._worker.call(self._worker.store.settle_request, key, answer)

    @property
    def turning(self) -> bool:
        """Whether events are handled."""
        return time.monotonic() - self._beat_s < BEAT_AT_LEAST_S

    @property
    def status(self) -> Status:
        """Everything, as it is now."""
        status = Status(
            topology=self._topology,
            state=self._state,
            now_ms=self._clock(),
            started_at_ms=self._started_at_ms,
            heard_ms=self._heard_ms,
            brokers=self._brokers(),
            store_kind=self._worker.store.kind,
            store_problem=self._worker.problem,
            broken_records=self._broken_records,
            journal_errors=self._journal.errors,
            journal_problem=self._journal.problem,
            waiting=len(self._inbox),
            dropped=dict(self._inbox.dropped),
            rule_errors=self._rule_errors,
            configuration=self._configuration(),
        )
        return dataclasses.replace(status, drills=self._drills(status))

    async def _tick(self) -> None:
        while True:
            phases = [service.record.phase for service in self._state.services.values()]
            urgent = any(phase in URGENT for phase in phases)
            await asyncio.sleep(QUICK_TICK_S if urgent else TICK_S)
            self._inbox.tick()

    async def _consume(self) -> None:
        while True:
            item = await self._inbox.get()
            if isinstance(item, Submission):
                await self._take_submission(item)
            else:
                await self._take(item)
            self._beat_s = time.monotonic()

    async def _take_submission(self, item: Submission) -> None:
        if item.answer.done():
            return
        conflict = self._conflict(item)
        if conflict:
            item.answer.set_exception(Conflict(conflict))
            return
        self._answers[item.event.id] = item.answer
        await self._take(item.event)
        answer = self._answers.pop(item.event.id, None)
        if answer is not None and not answer.done():
            answer.set_exception(RulesFailed("the rules gave no answer; see the controller's log"))

    def _conflict(self, item: Submission) -> str:
        """Why the service is not what the request takes it for; empty when it is."""
        asked = item.event
        service = None
        if isinstance(asked, Requested):
            service = self._state.services.get(asked.service_uid)
        if service is None:
            return ""
        record = service.record
        if item.revision is not None and item.revision != record.revision:
            return f"{record.service} is at revision {record.revision}, not {item.revision}"
        if item.epoch is not None and item.epoch != record.epoch:
            return f"{record.service} is in epoch {record.epoch}, not {item.epoch}"
        return ""

    async def _take(self, event: Event) -> None:
        """Handle an event, and the reads of the store that follow from it."""
        waiting: deque[Event] = deque([event])
        while waiting:
            waiting.extend(await self._handle(waiting.popleft()))

    async def _handle(self, event: Event) -> list[RecordRead]:
        now_ms = self._clock()
        if isinstance(event, ReportCame):
            self._heard_ms[event.report.header.sender] = now_ms
        before = self._state
        try:
            after, actions = step(before, event, now_ms)
        except (LeadershipLost, InvariantBroken):
            raise
        except Exception as error:  # noqa: BLE001 - one poisoned message must not end it all
            self._set_aside(event, error)
            return []
        await self._keeper.persist(actions)
        try:
            await self._keeper.keep_cautions(actions)
        except StoreFailed as error:
            self._fail(event, error)
            return []
        self._state = after
        self._voice.speak(actions)
        await self._keeper.note(actions)
        if after != before:
            self._journal.note(event, now_ms, after, actions)
        self._resolve(actions)
        return await self._read(actions)

    def _fail(self, event: Event, error: StoreFailed) -> None:
        log.error("a caution could not be stored; nothing was changed", problem=str(error))
        answer = self._answers.pop(event.id, None) if isinstance(event, Ask) else None
        if answer is not None and not answer.done():
            answer.set_exception(error)

    async def _read(self, actions: list[Action]) -> list[RecordRead]:
        """Reads that begin now, after the Report that asked for them.

        One that fails is asked for again by the agent's next Report.
        """
        reads = [action for action in actions if isinstance(action, ReadRecord)]
        records = []
        for action in reads:
            with contextlib.suppress(StoreFailed, StoreUnusable):
                record = await self._worker.call(
                    self._worker.store.read, action.service_uid, self._state.term
                )
                if record is not None:
                    records.append(RecordRead(record, action.agent, action.start_nonce))
        return records

    def _resolve(self, actions: list[Action]) -> None:
        for action in actions:
            if isinstance(action, Answer):
                answer = self._answers.pop(action.request_id, None)
                if answer is not None and not answer.done():
                    answer.set_result(action)

    def _set_aside(self, event: Event, error: Exception) -> None:
        """The state is as it was before: the rules are pure."""
        self._rule_errors += 1
        now_s = time.monotonic()
        if now_s - self._rule_error_said_s >= SAY_AGAIN_S:
            self._rule_error_said_s = now_s
            log.error(
                "the rules could not handle an event; it changed nothing; please report this",
                event_kind=type(event).__name__,
                errors=self._rule_errors,
                exc_info=error,
            )
