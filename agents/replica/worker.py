"""One replica's task: takes events one after the other through the rules and acts on the answer.

The order is the contract with `agents.core`: the durable state is written first; when that
fails the whole step is dropped, as if the event had not come. Then each action is awaited
before the next, and all of them before the next event.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Protocol

import structlog
from msgspec.structs import replace

from agents.core.actions import (
    Action,
    AnswerAsk,
    BeginJob,
    BeginProbe,
    ClosePermit,
    EndEngine,
    PermitAlone,
    PermitLease,
    Persist,
    SendAsk,
    SendReport,
)
from agents.core.events import (
    AskCame,
    EngineExited,
    Event,
    GrantCame,
    Observed,
    OrderCame,
    PersistFailed,
    PersistWorks,
    Tick,
)
from agents.core.model import Durable, Replica
from agents.core.quiet import rests
from agents.core.step import step
from agents.core.waiting import FACTS
from agents.metrics import Metrics
from agents.replica.jobs import Fresh
from agents.replica.mailbox import Item, Mailbox, Seen
from protocol.messages import Assignment, Role

DISK_RETRY_S = 0.25
DISK_SLOW_S = 2.0
OWED_AT_MOST = 64

log = structlog.get_logger("replica")


class File(Protocol):
    """Where the durable state goes; `agents.durable.DurableFile` is one."""

    def write(self, service_uid: str, durable: Durable) -> None:
        """On disk when it returns. Raises OSError."""


class Permits(Protocol):
    """The guard; `agents.replica.keeper.Keeper` is one."""

    async def allow_until(self, permit: PermitLease) -> None: ...

    async def allow_alone(self) -> None: ...

    async def close(self) -> None: ...

    async def end_engine(self) -> None: ...


class Work(Protocol):
    """Jobs and probes; `agents.replica.jobs.Jobs` is one."""

    def begin(self, job: BeginJob, drain_budget_ms: int) -> None: ...

    def begin_probe(self, timeout_ms: int) -> None: ...

    def forget_probe(self) -> None: ...


class Outside(Protocol):
    """What leaves the host; the agent is one. Nothing here waits."""

    def send_ask(self, replica: Replica, ask: SendAsk) -> None: ...

    def answer(self, answer: AnswerAsk) -> None: ...

    def give_up(self, question: str) -> None: ...

    def report_soon(self) -> None: ...


class Worker:
    """The replica as it is now, and the task that changes it."""

    def __init__(
        self,
        replica: Replica,
        file: File,
        disk: Executor,
        outside: Outside,
        fresh: Fresh,
        metrics: Metrics,
        clock: Callable[[], int],
    ) -> None:
        self.replica = replica
        """As the rules see it: a fence shows here from its start."""
        self.settled = replica
        """After the last step that is wholly done: only this is reported, for a report
        acknowledges what the guard already keeps."""
        self.mailbox = Mailbox(self._count_dropped)
        self._file = file
        self._disk = disk
        self._outside = outside
        self._fresh = fresh
        self._metrics = metrics
        self._clock = clock
        self._permits: Permits
        self._work: Work
        self._owed: list[Item] = []
        self._disk_tried_s = 0.0
        self._writing_since_s: float | None = None
        self._take_terms()

    def connect(self, permits: Permits, work: Work) -> None:
        """Whom to ask for permits and jobs; both tell their events to this worker."""
        self._permits, self._work = permits, work

    def tick(self) -> None:
        """Time has gone on: let the rules look, unless they would find nothing to do."""
        if not (self.replica.disk_ok and rests(self.replica, self._clock())):
            self.mailbox.put(Tick())

    @property
    def problem(self) -> str:
        """What the rules cannot know: the disk does not come back from a write."""
        since_s = self._writing_since_s
        if since_s is None or time.monotonic() - since_s < DISK_SLOW_S:
            return ""
        return "the state directory does not answer: the agent waits for its disk"

    async def run(self) -> None:
        """Work, until cancelled. Raises InvariantBroken."""
        while True:
            await self.take(await self.mailbox.get())

    async def take(self, item: Item) -> None:
        """Everything that follows from one item."""
        if self._is_stale(item):
            return
        if self._owed and isinstance(item, FACTS):
            self._owe(item)
            return
        await self._step(self._event(item))
        await self._try_disk()

    def _is_stale(self, item: Item) -> bool:
        return isinstance(item, Seen) and item.look != self._fresh.count

    def _event(self, item: Item) -> Event:
        if isinstance(item, Seen):
            return Observed(item.observation)
        if isinstance(item, OrderCame):
            self._learn_uid(item.assignment)
        if isinstance(item, EngineExited):
            self._work.forget_probe()
        if isinstance(item, AskCame) and item.ask.handover:
            # It waits for the end of its log to arrive here: look for it at once.
            self._fresh.changed.set()
        if isinstance(item, GrantCame):
            outcome = "granted" if item.granted.ttl_ms else "refused"
            service = self.replica.service
            self._metrics.renewals.labels(service, item.grantor, outcome).inc()
        return item

    def _learn_uid(self, order: Assignment) -> None:
        """The first Order says which service this is; from then on it never changes."""
        if self.replica.durable.assignment is None:
            self.replica = replace(self.replica, service_uid=order.service_uid)

    async def _step(self, event: Event) -> None:
        after, actions = step(self.replica, event, self._clock())
        for action in actions:
            if isinstance(action, Persist) and not await self._persist(event, action.durable):
                return
        await self._settle(after, actions)

    async def _settle(self, after: Replica, actions: list[Action]) -> None:
        self.replica = after
        self._take_terms()
        for action in actions:
            await self._act(action)
        self.settled = self.replica

    def _take_terms(self) -> None:
        """Of the assignment in force: gaps between renewals are measured under these."""
        assignment = self.replica.durable.assignment
        timings = self._metrics.timings(self.replica.service)
        timings.under(assignment.terms if assignment else None)

    async def _persist(self, event: Event, durable: Durable) -> bool:
        """Whether it is on disk; if not, the event is as if it had not come."""
        if not self.replica.disk_ok and not isinstance(event, PersistWorks):
            self._drop(event)
            return False
        error = await self._write(durable)
        if error is None:
            return True
        self._drop(event)
        await self._note_failure(error)
        return False

    async def _write(self, durable: Durable) -> OSError | None:
        """No time limit: a write that was given up and came late would undo a newer one."""
        loop = asyncio.get_running_loop()
        self._writing_since_s = time.monotonic()
        uid = self.replica.service_uid
        try:
            await loop.run_in_executor(self._disk, self._file.write, uid, durable)
        except OSError as error:
            self._metrics.durable_errors.labels(self.replica.service).inc()
            return error
        finally:
            self._writing_since_s = None
        return None

    def _drop(self, event: Event) -> None:
        if isinstance(event, FACTS):
            self._owe(event)
        elif isinstance(event, AskCame):
            self._outside.give_up(event.question)

    def _owe(self, item: Item) -> None:
        """What happened once is told again when the disk works."""
        self._owed.append(item)
        del self._owed[:-OWED_AT_MOST]

    async def _note_failure(self, error: OSError) -> None:
        self._disk_tried_s = time.monotonic()
        if not self.replica.disk_ok:
            return
        reason = error.strerror or str(error)
        log.error(
            "the durable state cannot be written: free space or mend the disk of the state "
            "directory; nothing is granted until then",
            service=self.replica.service,
            error=reason,
        )
        after, actions = step(self.replica, PersistFailed(reason), self._clock())
        if any(isinstance(action, Persist) for action in actions):
            # What else became due in this step would need the disk: only the news is kept.
            self.replica = self.settled = replace(self.replica, disk_ok=False)
            self._outside.report_soon()
            return
        await self._settle(after, actions)

    async def _try_disk(self) -> None:
        """While it failed: try again now and then, and catch up when it works."""
        if self.replica.disk_ok or time.monotonic() - self._disk_tried_s < DISK_RETRY_S:
            return
        self._disk_tried_s = time.monotonic()
        if await self._write(self.replica.durable) is not None:
            return
        log.info("the durable state can be written again", service=self.replica.service)
        await self._step(PersistWorks())
        owed, self._owed = self._owed, []
        for item in owed:
            await self.take(item)

    async def _act(self, action: Action) -> None:
        match action:
            case PermitLease():
                await self._permits.allow_until(action)
                if self.replica.observation.role is not Role.PRIMARY:
                    # The next proof comes when it is promoted: that takes as long as it takes.
                    self._metrics.timings(self.replica.service).interrupted()
            case PermitAlone():
                await self._permits.allow_alone()
            case ClosePermit():
                self._work.forget_probe()
                await self._permits.close()
                self._fresh.renew()
            case EndEngine():
                await self._permits.end_engine()
            case BeginJob():
                self._work.begin(action, self._drain_budget_ms())
            case BeginProbe():
                self._work.begin_probe(action.timeout_ms)
            case SendAsk():
                self._outside.send_ask(self.replica, action)
            case AnswerAsk():
                self._outside.answer(action)
            case SendReport():
                self._outside.report_soon()
            case Persist():
                pass

    def _drain_budget_ms(self) -> int:
        assignment = self.replica.durable.assignment
        return assignment.terms.drain_budget_ms if assignment else 0

    def _count_dropped(self, kind: str) -> None:
        self._metrics.dropped_events.labels(self.replica.service, kind).inc()
