"""What takes a while at an engine: one job a replica, and beside it one probe.

Each runs as a task of its own and always ends in an event: JobEnded, Probed. Whatever goes
wrong becomes the event's text, with the mend that the engine named.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog
from msgspec import Struct
from msgspec.structs import replace

from agents.core.actions import BeginJob
from agents.core.events import Event, JobEnded, JobTold, Probed
from agents.core.model import JobKind
from agents.core.observation import Probe, ProbeKind
from agents.engines.base import (
    Engine,
    EngineBusy,
    EngineError,
    LogSource,
    Progress,
    Turn,
    Upstream,
)
from agents.guard.client import GuardError, now_ms
from agents.metrics import Metrics
from agents.replica.pace import Pace
from agents.replica.turns import Turns
from protocol.messages import Partner

CREATE_LIMIT_S = 180.0
START_LIMIT_S = 30.0
CHANGE_LIMIT_S = 15.0
STOP_LIMIT_MS = 20_000
PRIMARY_LIMIT_MS = 60_000
PROMOTE_LIMIT_MS = 30_000
SILENCE_LIMIT_S = 900.0
"""A copy that says nothing for so long is stuck; how long it takes in all has no limit."""
PROBE_GRACE_S = 1.0
TEXT_AT_MOST = 800
"""Longer texts would not fit the report's fields."""
SLOT_AT_MOST = 63
SLOT_LIMIT_S = 0.5
TELL_EVERY_S = 0.5
NO_PARTNER = "no upstream is assigned: the controller's Order names no partner"

log = structlog.get_logger("jobs")

T = TypeVar("T")


class Wiring(Struct, frozen=True):
    """How this agent names itself to an upstream, and how it reaches one."""

    agent: str
    replication_user: str
    reached: Callable[[str], str]
    """From a declared address to the one that works from here."""
    log_of: Callable[[str, Partner, int], LogSource]
    """The rest of a service's log at a partner that is fenced under a revision."""


class Fresh:
    """Counts what happened to one engine, so that a look begun before it is known as stale."""

    def __init__(self) -> None:
        self.count = 0
        self.busy = False
        """A job is under way."""
        self.guarded = False
        """A guard is there."""
        self.changed = asyncio.Event()

    @property
    def settled(self) -> bool:
        """Whether a look tells anything: nothing is being changed."""
        return self.guarded and not self.busy

    def renew(self) -> None:
        """Something happened: look again, at once."""
        self.count += 1
        self.changed.set()


class Jobs:
    """The jobs and probes of one replica. Its tasks belong to `group`."""

    def __init__(
        self,
        service: str,
        engine: Engine,
        wiring: Wiring,
        put: Callable[[Event], None],
        fresh: Fresh,
        metrics: Metrics,
        group: asyncio.TaskGroup,
        turns: Turns,
    ) -> None:
        self._service = service
        self._engine = engine
        self._wiring = wiring
        self._put = put
        self._fresh = fresh
        self._metrics = metrics
        self._group = group
        self._turns = turns
        self._pace = Pace()
        self._probe: asyncio.Task[None] | None = None
        self._told_s = 0.0
        self._heard_s = 0.0

    def begin(self, job: BeginJob, drain_budget_ms: int) -> None:
        """Start a job; it ends in JobEnded."""
        self._fresh.busy = True
        name = f"{self._service}: {job.kind}"
        self._group.create_task(self._run(job, drain_budget_ms), name=name)

    def begin_probe(self, timeout_ms: int) -> None:
        """Start a probe; it ends in Probed unless the engine is fenced or exits before."""
        self.forget_probe()
        name = f"{self._service}: probe"
        self._probe = self._group.create_task(self._run_probe(timeout_ms), name=name)

    def forget_probe(self) -> None:
        """The engine that was probed is gone: what came of the probe means nothing."""
        if self._probe is not None:
            self._probe.cancel()
            self._probe = None

    async def _run(self, job: BeginJob, drain_budget_ms: int) -> None:
        log.info("job begins", service=self._service, kind=job.kind.value, id=job.id)
        error, position = "", 0
        try:
            position = await self._carry_out(job, drain_budget_ms)
        except (EngineError, EngineBusy, GuardError, OSError) as failure:
            error = _clipped(str(failure) or repr(failure))
        except TimeoutError:
            error = f"{job.kind} was given up: it took too long; look at the engine's log"
        except Exception as failure:
            # A bug in one job must not end the agent, and with it the leases of the others.
            log.exception("a job failed in an unforeseen way", service=self._service)
            error = _clipped(f"unforeseen: {failure!r}; please report it with the agent's log")
        self._end(job, error, position)

    def _end(self, job: BeginJob, error: str, position: int) -> None:
        outcome = "failed" if error else "done"
        self._metrics.jobs.labels(self._service, job.kind.value, outcome).inc()
        if error:
            log.warning("job failed", service=self._service, kind=job.kind.value, error=error)
        else:
            log.info("job done", service=self._service, kind=job.kind.value, id=job.id)
            if job.kind is JobKind.START_PRIMARY:
                self._metrics.restarts.labels(self._service).inc()
            if job.kind in (JobKind.START_PRIMARY, JobKind.PROMOTE):
                self.forget_probe()
        self._fresh.busy = False
        self._fresh.renew()
        self._put(JobEnded(id=job.id, kind=job.kind, error=error, position_bytes=position))

    async def _carry_out(self, job: BeginJob, drain_budget_ms: int) -> int:
        engine, upstream = self._engine, self._upstream(job)
        match job.kind:
            case JobKind.CREATE:
                await _within(CREATE_LIMIT_S, engine.create())
            case JobKind.SEED:
                await self._watched(
                    job, lambda tell: engine.seed(_needed(upstream), tell, self._turn(job, tell))
                )
            case JobKind.REJOIN:
                await self._stop()
                await self._watched(
                    job, lambda tell: engine.rejoin(_needed(upstream), tell, self._turn(job, tell))
                )
            case JobKind.START_STANDBY:
                await _within(START_LIMIT_S, engine.start_standby(upstream))
            case JobKind.START_PRIMARY:
                # Before it can write it must know whom its commits wait for.
                await _within(CHANGE_LIMIT_S, engine.set_sync(job.sync_with or None))
                await engine.start_primary(PRIMARY_LIMIT_MS)
            case JobKind.PROMOTE:
                await _within(CHANGE_LIMIT_S, engine.set_sync(job.sync_with or None))
                await self._keep_log_for(job)
                await engine.promote(PROMOTE_LIMIT_MS)
            case JobKind.FOLLOW:
                await _within(CHANGE_LIMIT_S, engine.follow(upstream))
            case JobKind.SET_SYNC:
                await _within(CHANGE_LIMIT_S, engine.set_sync(job.sync_with or None))
            case JobKind.TAKE_LOG:
                await _within(job.limit_ms / 1000, self._take_log(job))
            case JobKind.DRAIN:
                return await engine.drain(drain_budget_ms)
        return 0

    async def _take_log(self, job: BeginJob) -> None:
        if job.upstream is None:
            raise EngineError(NO_PARTNER)
        source = self._wiring.log_of(self._service, job.upstream, job.revision)
        await self._engine.take_log(source)

    async def _keep_log_for(self, job: BeginJob) -> None:
        """The old primary's slot stands before the new reign: no log that it needs is removed.

        A promotion waits for this only a moment, and never fails for it: the slot is made
        again and again while this replica is primary.
        """
        if job.upstream is None:
            return
        try:
            await _within(SLOT_LIMIT_S, self._engine.ensure_slot(slot_name(job.upstream.agent)))
        except (EngineError, GuardError, OSError, TimeoutError) as error:
            log.warning("no slot before the promotion", service=self._service, error=str(error))

    def _turn(self, job: BeginJob, tell: Callable[[Progress], None]) -> Turn:
        partner = job.upstream.agent if job.upstream else ""
        return lambda: self._turns.turn(
            partner, self._service, lambda text: tell(Progress(doing=text))
        )

    async def _stop(self) -> None:
        """A standby that runs is stopped before its files change; killed if it does not obey."""
        try:
            await self._engine.stop(STOP_LIMIT_MS)
        except EngineBusy:
            await self._engine.kill()

    async def _watched(
        self, job: BeginJob, act: Callable[[Callable[[Progress], None]], Awaitable[object]]
    ) -> None:
        """A copy may take days; only its silence ends it."""
        self._heard_s, self._pace = time.monotonic(), Pace()
        work = asyncio.ensure_future(act(lambda progress: self._tell(job, progress)))
        try:
            while not work.done():
                await asyncio.wait({work}, timeout=5)
                if time.monotonic() - self._heard_s > SILENCE_LIMIT_S:
                    raise EngineBusy(
                        f"nothing was copied for {SILENCE_LIMIT_S:.0f} s: look at the network to "
                        "the upstream and at its log"
                    )
        finally:
            work.cancel()
            await asyncio.wait({work})
        await work

    def _tell(self, job: BeginJob, progress: Progress) -> None:
        now_s = time.monotonic()
        self._heard_s = now_s
        if now_s - self._told_s < TELL_EVERY_S:
            return
        self._told_s = now_s
        self._put(JobTold(id=job.id, text=self._pace.text(progress, now_s)))

    async def _run_probe(self, timeout_ms: int) -> None:
        begun_s = time.monotonic()
        try:
            probe = await _within(timeout_ms / 1000 + PROBE_GRACE_S, self._engine.probe(timeout_ms))
        except TimeoutError:
            probe = Probe(ProbeKind.TIMEOUT, reason=f"no commit in {timeout_ms} ms")
        except Exception as failure:  # noqa: BLE001 - every probe ends in Probed
            probe = Probe(ProbeKind.LOCAL, reason=f"the probe failed: {failure!r}")
        took_s = time.monotonic() - begun_s
        self._metrics.probe_seconds.labels(self._service, probe.kind.value).observe(took_s)
        if probe.kind in (ProbeKind.COMMITTED, ProbeKind.TIMEOUT):
            commits = self._metrics.timings(self._service).commits
            commits.took(now_ms(), int(took_s * 1000))
        self._put(Probed(replace(probe, reason=_clipped(probe.reason))))

    def _upstream(self, job: BeginJob) -> Upstream | None:
        if job.upstream is None:
            return None
        return upstream_of(job.upstream, job.system_identifier, self._wiring)


def upstream_of(partner: Partner, system_identifier: str, wiring: Wiring) -> Upstream:
    """The partner's engine as this agent's engine shall follow it."""
    return Upstream(
        address=wiring.reached(partner.engine_address),
        slot=slot_name(wiring.agent),
        application_name=wiring.agent,
        system_identifier=system_identifier,
        user=wiring.replication_user,
    )


def slot_name(agent: str) -> str:
    """The slot on the primary for the copy on this agent: letters, digits and `_`, 63 at most."""
    name = "saling_" + agent.replace("-", "_")
    if len(name) <= SLOT_AT_MOST:
        return name
    digest = hashlib.sha256(agent.encode()).hexdigest()[:8]
    return f"{name[: SLOT_AT_MOST - 9]}_{digest}"


async def _within(limit_s: float, work: Awaitable[T]) -> T:
    async with asyncio.timeout(limit_s):
        return await work


def _needed(upstream: Upstream | None) -> Upstream:
    if upstream is None:
        raise EngineError(NO_PARTNER)
    return upstream


def _clipped(text: str) -> str:
    return text if len(text) <= TEXT_AT_MOST else text[: TEXT_AT_MOST - 1] + "…"
