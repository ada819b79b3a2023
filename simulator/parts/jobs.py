"""The jobs that an agent begins on its engine, as they go in simulated time."""

from __future__ import annotations

from collections.abc import Callable

from agents.core.actions import BeginJob
from agents.core.model import JobKind
from agents.core.observation import Disk
from protocol.messages import Role
from simulator.kernel import Kernel
from simulator.parts.guard import Guard
from simulator.parts.service import Service

Done = Callable[[str, int], None]
"""Told the error, or nothing, and where the log ended."""

Refusal = Callable[[str, int], str]
"""Why the partner's agent does not give its log under a revision; empty when it does."""

WRITES = (
    JobKind.CREATE, JobKind.SEED, JobKind.REJOIN, JobKind.START_PRIMARY, JobKind.PROMOTE
)  # fmt: skip
"""Each needs room on the disk of the data."""
NO_ROOM = "no space left on device"
FLUSH_MS = 40
STUCK_MS = 500
"""How often a job that is stuck looks whether it can go on."""


class Jobs:
    """Begins jobs for one life of one replica's agent."""

    def __init__(
        self,
        kernel: Kernel,
        service: Service,
        agent: str,
        alive: Callable[[], bool],
        refusal: Refusal,
    ) -> None:
        self._kernel = kernel
        self._service = service
        self._engine = service.engines[agent]
        self._alive = alive
        self._refusal = refusal

    def begin(self, job: BeginJob, guard: Guard, done: Done) -> None:
        """Begin one; `done` is called when it is over, in this life or not."""
        if not guard.alive or guard.busy():
            self._fail(done, "the guard is not there, or ends an engine")
            return
        match job.kind:
            case JobKind.CREATE | JobKind.SEED | JobKind.REJOIN:
                self._copy(job, guard, done)
            case JobKind.START_STANDBY | JobKind.START_PRIMARY:
                self._start(job, guard, done)
            case JobKind.PROMOTE:
                self._promote(job, guard, done)
            case JobKind.FOLLOW | JobKind.SET_SYNC:
                self._configure(job, guard, done)
            case JobKind.TAKE_LOG:
                self._take_log(job, guard, done)
            case JobKind.DRAIN:
                self._drain(guard, done)

    def _fail(self, done: Done, error: str) -> None:
        self._kernel.after(self._kernel.between(1, 20), lambda: done(error, 0))

    def _later(self, kind: JobKind, guard: Guard, do: Callable[[], str], done: Done) -> None:
        """Do it when the job's time is over; a hung disk makes it longer."""
        fails = self._engine.job_fails()

        def over() -> None:
            if self._engine.stuck(kind):
                self._kernel.after(STUCK_MS, over)
                return
            full = self._engine.room.full and kind in WRITES
            if (fails or full) and self._engine.role is Role.STARTING:
                guard.crash_engine()
            error = NO_ROOM if full else "it failed, as such things do" if fails else do()
            done(error, self._engine.position)

        self._kernel.after(self._engine.job_ms(kind), over)

    def _copy(self, job: BeginJob, guard: Guard, done: Done) -> None:
        engine, service = self._engine, self._service
        if engine.writable:
            self._fail(done, "a primary is never overwritten")
            return
        if engine.role is not Role.DOWN:
            guard.stopped_in_order()
        address = job.upstream.engine_address if job.upstream else ""
        if job.kind is JobKind.SEED:
            engine.disk = Disk.PARTIAL

        def over() -> str:
            if not self._alive() or engine.role is not Role.DOWN:
                return "it was broken off"
            if job.kind is JobKind.CREATE:
                if engine.disk is Disk.DATA:
                    return "a data directory that is not empty is never initialised"
                engine.create(f"db-{service.name}-{self._kernel.now_ms}")
                return ""
            source = service.primary_at(address, engine.site)
            if source is None:
                return f"{address} does not answer as a primary"
            if job.kind is JobKind.REJOIN and engine.rewind_fails_until_ms > self._kernel.now_ms:
                return "the log that a rewind needs is gone"
            engine.copy_from(source)
            return ""

        self._later(job.kind, guard, over, done)

    def _start(self, job: BeginJob, guard: Guard, done: Done) -> None:
        engine = self._engine
        as_primary = job.kind is JobKind.START_PRIMARY
        if engine.role is not Role.DOWN or (as_primary and guard.refuses()):
            self._fail(done, "the guard refuses: an engine runs, or there is no permission")
            return
        guard.may_write = as_primary
        run = engine.begin_start()

        def over() -> str:
            if engine.run != run:
                return "the engine ended while it started"
            if as_primary:
                engine.reign(job.sync_with, fork=False)
            else:
                engine.stand_by(job.upstream.engine_address if job.upstream else "")
            return ""

        self._later(job.kind, guard, over, done)

    def _promote(self, job: BeginJob, guard: Guard, done: Done) -> None:
        engine = self._engine
        if engine.role is not Role.STANDBY or guard.refuses():
            self._fail(done, "no standby runs, or there is no permission")
            return
        guard.may_write = True
        run = engine.run

        def over() -> str:
            if engine.run != run:
                return "the engine ended while it was promoted"
            if engine.role is Role.STANDBY:
                engine.reign(job.sync_with, fork=True)
            return ""

        self._later(job.kind, guard, over, done)

    def _configure(self, job: BeginJob, guard: Guard, done: Done) -> None:
        engine, run = self._engine, self._engine.run

        def over() -> str:
            if engine.run != run:
                return "the engine ended"
            if job.kind is JobKind.FOLLOW and engine.role is Role.STANDBY and job.upstream:
                engine.upstream, engine.apart_since_ms = job.upstream.engine_address, -1
            elif job.kind is JobKind.SET_SYNC and engine.writable:
                engine.set_sync(job.sync_with)
            return ""

        self._later(job.kind, guard, over, done)

    def _take_log(self, job: BeginJob, guard: Guard, done: Done) -> None:
        engine, run = self._engine, self._engine.run
        engine.upstream = ""

        def over() -> str:
            if job.upstream is None or engine.run != run or engine.role is not Role.STANDBY:
                return "no standby runs, or it has no partner"
            if why := self._refusal(job.upstream.agent, job.revision):
                return why
            return self._service.hand_over_log(job.upstream.engine_address, engine)

        self._later(job.kind, guard, over, done)

    def _drain(self, guard: Guard, done: Done) -> None:
        """Take no more writes, send all of the log, stop."""
        engine, run = self._engine, self._engine.run

        def stop() -> None:
            if engine.stuck(JobKind.DRAIN):
                self._kernel.after(STUCK_MS, stop)
                return
            if engine.run != run or not engine.writable:
                done("the engine ended while it was drained", 0)
                return
            guard.stopped_in_order()
            done("", engine.position)

        def flush() -> None:
            if engine.frozen:
                self._kernel.after(STUCK_MS, flush)
                return
            if engine.run == run and engine.writable:
                engine.closing = True
                self._service.stream(engine)
            self._kernel.after(FLUSH_MS, stop)

        self._kernel.after(engine.job_ms(JobKind.DRAIN), flush)
