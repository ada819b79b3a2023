"""One replica in one life of its agent: the shell around the shipped rules.

One event at a time: decide, persist, act in order, speak. The next event waits until all of
it is done.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from msgspec.structs import replace

from agents.core import actions as act
from agents.core import events as ev
from agents.core import rest_of_log
from agents.core.actions import Action
from agents.core.invariants import InvariantBroken
from agents.core.model import Durable, JobKind, Permit, Replica
from agents.core.observation import Observation, Probe
from agents.core.quiet import rests
from agents.core.reporting import report
from agents.core.step import begin, step
from agents.core.waiting import FACTS, Waiting
from protocol.messages import ReplicaReport, Role
from simulator.parts.guard import Guard
from simulator.parts.jobs import Jobs
from simulator.parts.service import Service
from simulator.parts.veto import TEXT
from simulator.watch import Broken

if TYPE_CHECKING:
    from simulator.parts.agent import Process

TICK = ev.Tick()
OBSERVE_EVERY_MS = 200
DISK_RETRY_MS = 200
CLOSE_MS, EXTEND_MS, BIND_MS = 150, 300, 1000
"""How long a guard that stands still is waited for: at a fence, a renewal, a first lease."""
LOOK_EVERY_MS, LOOK_MS, SILENT_LOOKS = 500, 500, 5
"""Each as in `agents/replica/keeper.py`: a guard that gives no answer to so many looks is ended."""
REFUSED_MS = 10
"""Until the rules hear what is in force instead of a lease that the guard did not take."""
GUARDED = (act.ClosePermit, act.PermitLease, act.PermitAlone)
COPIES = (JobKind.SEED, JobKind.REJOIN)
COPY_TELLS_MS = 170
"""A copy that takes longer says how far it is."""


class Runner:
    """Feeds one replica's rules and carries out what they want."""

    def __init__(self, process: Process, service: Service, durable: Durable) -> None:
        self._process = process
        self._kernel = process.kernel
        self._host = process.host
        self.service = service
        name = process.host.site
        self.replica = begin(
            name, service.name, service.uid, process.life, durable, process.host.now_ms()
        )
        if process.host.veto_left_ms:
            self.replica = replace(self.replica, veto=TEXT, veto_end_ms=process.veto.end_ms)
        self.settled = self.replica
        """The replica after the last step whose actions are all done: what may be reported."""
        self._waiting: Waiting[ev.Event] = Waiting(lambda _dropped: None)
        self._first: deque[ev.Event] = deque()
        """What the shell itself found out: before all that waits."""
        self._busy = False
        self._engine = service.engines[name]
        self._jobs = Jobs(self._kernel, service, name, lambda: process.alive, self._refusal)
        self._changed_ms = -1
        """When the engine last changed as far as is known: what was seen before is stale."""
        self._disk_failed = False
        self._untold: list[ev.Event] = []
        self._silent_looks = 0
        self._looks = False
        self._asked = False
        """A guard took no permit: once it answers again the rules hear what is in force."""
        self._later(self._kernel.between(1, OBSERVE_EVERY_MS), self._observe)

    def feed(self, event: ev.Event) -> None:
        """Let the rules know; at once, unless they are busy."""
        self._waiting.put(event)
        self._turn()

    def tick(self, now_ms: int) -> None:
        """As the shell does: a Tick that would find nothing to do is none."""
        if self._busy or self._waiting or not rests(self.replica, now_ms):
            self.feed(TICK)

    def know_guard(self) -> None:
        """Tell what the guard says, starting a new one where none lives."""
        guard = self._host.living_guard(self.service)
        self._hear_fences()
        if guard.still:
            self.look_at_guard()
            return
        guard.exited = lambda reason: self._later(1, lambda: self._exited(reason))
        self.feed(
            ev.GuardState(
                guard.permit, guard.deadline_ms, guard.engine.role is not Role.DOWN, guard.may_write
            )
        )

    def look_at_guard(self) -> None:
        """Look until it answers, or until it is ended, for it keeps no deadline."""
        if not self._looks:
            self._looks, self._silent_looks = True, 0
            self._look_again()

    def _look_again(self) -> None:
        guard = self._host.guards.get(self.service.uid)
        if guard is None or not guard.alive or not guard.still:
            self._looks = False
            if self._asked or not self.replica.guard_known:
                self._asked = False
                self.know_guard()
            return
        if self._silent_looks == SILENT_LOOKS:
            self._looks = False
            self._host.end_still_guard(self.service)
            return
        self._silent_looks += 1
        # A new life has nothing else to do, and looks at once again; so does who asked for more.
        pause_ms = LOOK_EVERY_MS if self.replica.guard_known and not self._asked else 0
        self._later(LOOK_MS + pause_ms, self._look_again)

    def guard_died(self) -> None:
        """The guard is gone and its engine with it; a new one is started."""
        self.feed(ev.EngineExited("the guard died", fenced=False))
        self.know_guard()

    def _exited(self, reason: str) -> None:
        self._changed_ms = self._kernel.now_ms
        self.feed(ev.EngineExited(reason, fenced=reason == "deadline"))

    def _later(self, delay_ms: int, do: Callable[[], None]) -> None:
        self._process.later(delay_ms, do)

    def _turn(self) -> None:
        while not self._busy and self._process.alive and (event := self._next()):
            try:
                after, actions = step(self.replica, event, self._host.now_ms())
            except InvariantBroken as error:
                raise Broken("agent invariant", str(error)) from error
            if actions and isinstance(actions[0], act.Persist):
                self._busy = True
                delay_ms = self._host.disk_ms()
                self._later(delay_ms, partial(self._persisted, actions[0], event, after, actions))
                return
            self._became(after, event)
            if actions:
                self._act(actions)
            else:
                self.settled = after

    def _next(self) -> ev.Event | None:
        if self._first:
            return self._first.popleft()
        return self._waiting.pop() if self._waiting else None

    def _became(self, after: Replica, event: ev.Event) -> None:
        self.replica = after
        if not isinstance(event, ev.Tick):
            self._host.watch.agent_stepped(after, event, self._host.now_ms())

    def _persisted(
        self, persist: act.Persist, event: ev.Event, after: Replica, actions: list[Action]
    ) -> None:
        self._busy = False
        if self._host.disk_full():
            self._persist_failed(event)
            return
        self._host.write(self.service.uid, persist.durable)
        if self._process.crash_after_persist():
            return
        self._became(after, event)
        self._act(actions[1:])
        self._turn()

    def _persist_failed(self, event: ev.Event) -> None:
        """The step did not happen. The rules hear why once, and when it is over.

        What happened only once is told again then, for nobody else would ever tell it.
        """
        if isinstance(event, FACTS):
            self._untold.append(event)
        if not self._disk_failed:
            self._disk_failed = True
            self._later(DISK_RETRY_MS, self._try_disk)
        if isinstance(event, ev.PersistFailed):
            self._turn()
            return
        self._first.appendleft(ev.PersistFailed("no space left on device"))
        self._turn()

    def _try_disk(self) -> None:
        if self._host.disk_full():
            self._later(DISK_RETRY_MS, self._try_disk)
            return
        self._disk_failed = False
        self._first += [ev.PersistWorks(), *self._untold]
        self._untold = []
        self._turn()

    def _act(self, actions: list[Action]) -> None:
        for index, action in enumerate(actions):
            guard = self._host.living_guard(self.service)
            rest = actions[index + 1 :]
            if guard.still and isinstance(action, GUARDED):
                self._wait_for_guard(guard, action, rest)
                return
            match action:
                case act.ClosePermit():
                    self._close(rest)
                    return
                case act.PermitLease():
                    if guard.lease(action.end_ms, action.asked_ms):
                        continue
                    if action.end_ms > self._host.now_ms():
                        # Shortened by a jump of wall time, of which the rules know nothing.
                        self._later(REFUSED_MS, self.know_guard)
                    else:
                        self._first.appendleft(ev.GuardState(Permit.CLOSED, 0, False, False))
                        self._close(rest)
                        return
                case act.EndEngine():
                    if not guard.still:
                        guard.end_engine()
                case act.PermitAlone():
                    guard.alone()
                case _:
                    self._speak(action)
        self.settled = self.replica

    def _wait_for_guard(self, guard: Guard, action: Action, rest: list[Action]) -> None:
        """Nothing else is done meanwhile. A fence that is not answered ends the guard."""
        alone = guard.permit is Permit.ALONE
        left_ms = guard.deadline_ms - self._host.now_ms() if guard.permit is Permit.LEASED else 0
        patience_ms = {
            act.ClosePermit: CLOSE_MS,
            act.PermitLease: BIND_MS + CLOSE_MS if alone else EXTEND_MS,
            act.PermitAlone: BIND_MS,
        }[type(action)]
        if not isinstance(action, act.ClosePermit) and left_ms > 0:
            patience_ms = min(patience_ms, left_ms)
        fence = isinstance(action, act.ClosePermit) or (
            isinstance(action, act.PermitLease) and alone
        )
        self._busy = True

        def go_on() -> None:
            self._busy = False
            answers = not guard.still
            if not answers and fence:
                self._host.end_still_guard(self.service)
            elif not answers:
                self._asked = True
                self.look_at_guard()
            self._act([action, *rest] if answers or fence else rest)
            self._turn()

        answer_ms = guard.still_until_ms - self._kernel.now_ms
        self._later(min(patience_ms, answer_ms), go_on)

    def _close(self, rest: list[Action]) -> None:
        """Nothing else happens before the guard says that no writable engine is left."""
        self._busy = True

        def go_on() -> None:
            self._busy = False
            self._changed_ms = self._kernel.now_ms
            self._act(rest)
            self._turn()

        guard = self._host.living_guard(self.service)
        guard.close(lambda: self._later(0, go_on))

    def _speak(self, action: Action) -> None:
        match action:
            case act.BeginJob():
                self._begin_job(action)
            case act.BeginProbe():
                self._engine.probe(
                    action.timeout_ms, lambda probe: self._later(0, lambda: self._probed(probe))
                )
            case act.SendAsk():
                self._process.ask(action)
            case act.AnswerAsk():
                self._process.answer(action)
            case act.SendReport():
                self._process.report((self._beside(action.report),))
            case _:
                raise AssertionError(f"no way to do {action}")

    def _probed(self, probe: Probe) -> None:
        self.feed(ev.Probed(probe))

    def told(self, now_ms: int) -> ReplicaReport:
        """What the rules say of this replica, and what they cannot know."""
        return self._beside(report(self.settled, now_ms))

    def _beside(self, told: ReplicaReport) -> ReplicaReport:
        engine = self._engine
        room = engine.room
        return replace(
            told,
            unfit=engine.unfit,
            disk_low=room.low,
            disk_free_bytes=room.free_bytes,
            cancelled_waits=engine.cancelled_waits,
        )

    def _begin_job(self, job: act.BeginJob) -> None:
        self._kernel.tell(
            self._host.site, f"{self.service.name}: begins to {job.kind.value} (job {job.id})"
        )
        guard = self._host.living_guard(self.service)

        def over(error: str, position: int) -> None:
            self._later(0, lambda: self._job_over(job, error, position))

        self._jobs.begin(job, guard, over)
        if job.kind in COPIES:
            tell = partial(self.feed, ev.JobTold(job.id, "half of the files are here"))
            self._later(COPY_TELLS_MS, tell)

    def _job_over(self, job: act.BeginJob, error: str, position: int) -> None:
        self._changed_ms = self._kernel.now_ms
        said = error or "done"
        self._kernel.tell(self._host.site, f"{self.service.name}: {job.kind.value}: {said}")
        if job.kind is JobKind.TAKE_LOG and not error:
            self._host.watch.took_log(self._kernel.now_ms, self.service.name, job.revision)
        self.feed(ev.JobEnded(job.id, job.kind, error, position))
        self._look()

    def _refusal(self, partner: str, revision: int) -> str:
        """What the partner's agent answers when it is asked for the rest of its log."""
        process = self._host.wires.hosts[partner].process
        if process is None or not process.awake:
            return f"the agent {partner} does not answer"
        asked = process.runners[self.service.uid].settled
        return rest_of_log.refusal(asked, self._host.site, revision)

    def _observe(self) -> None:
        self._hear_fences()
        self._look()
        self._later(OBSERVE_EVERY_MS, self._observe)

    def _hear_fences(self) -> None:
        """As the shell does: at each look at the guard, and before the guard's own word."""
        lacks = self._engine.fence_lacks
        if lacks != self.replica.fence_lacks:
            self.feed(ev.FencesTold("process", lacks, 0))

    def _look(self) -> None:
        seen, begun_ms = self._engine.observe(), self._kernel.now_ms
        self._later(self._host.look_ms(), partial(self._seen, seen, begun_ms))

    def _seen(self, seen: Observation, begun_ms: int) -> None:
        if begun_ms >= self._changed_ms:
            self.feed(ev.Observed(seen))
