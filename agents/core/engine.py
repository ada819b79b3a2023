"""What to do to the engine next, so that it becomes what the assignment wants. One job at a time.

Decided from the whole of what is seen, again and again: a job that was lost is begun anew.
"""

from __future__ import annotations

from msgspec.structs import replace

from agents.core import veto
from agents.core.actions import Action, BeginJob
from agents.core.model import NEVER_MS, Job, JobKind, Replica
from agents.core.observation import Disk, Observation
from agents.core.permission import is_own_copy, may_write, reigning
from protocol.messages import Assignment, Goal, Partner, Right, Role

RECOVERY_BYTES_A_MS = 50_000
"""How fast a crash recovery is taken to read the log: 50 MB/s, a cautious figure."""
START_MS = 300
RESTART_WINDOW_MS = 60_000
RESTARTS_AT_MOST = 3
STARTS_BEFORE_MENDING = 3
RETRY_FIRST_MS = 200
RETRY_LAST_MS = 5_000
REJOIN_FIRST_MS = 2_000
REJOIN_LAST_MS = 60_000
STREAMS_FOR_MS = 10_000
"""A copy that tries in vain seems to stream for a moment; one that can, goes on."""

Wish = tuple[JobKind, Partner | None]


def next_job(replica: Replica, now_ms: int) -> tuple[Replica, list[Action]]:
    """Begin the job that is due, if any."""
    assignment = replica.durable.assignment
    idle = replica.job is None and now_ms >= replica.retry_after_ms and replica.observed_ms >= 0
    if assignment is None or not idle or replica.observation.role is Role.STARTING:
        return replica, []
    problem = _problem(replica, assignment)
    if problem:
        return replace(replica, problem=problem), []
    wish = _WISHES[assignment.goal](replica, assignment, now_ms)
    if wish is None or veto.forbids(replica, wish[0], assignment):
        return replica, []
    return _begin(replica, assignment, wish, now_ms)


def end_job(
    replica: Replica, kind: JobKind, error: str, position_bytes: int, now_ms: int
) -> Replica:
    """What is known after a job."""
    sync_with = replica.job.sync_with if replica.job else ""
    if kind is JobKind.TAKE_LOG and replica.job and not error:
        replica = replace(replica, log_taken_revision=replica.job.revision)
    if kind is JobKind.DRAIN and not _is_current(replica):
        # The drain of an earlier revision: nothing is released by it any more.
        position_bytes = 0
    replica = replace(replica, job=None, doing="")
    if error:
        return _failed(replica, kind, error, now_ms)
    replica = replace(replica, retry_after_ms=0, problem="")
    if not (kind is JobKind.REJOIN and replica.failed_kind is JobKind.START_STANDBY):
        # That a copy was looked into does not prove that it starts now.
        replica = replace(replica, failures=0, failed_kind=None)
    if kind in (JobKind.START_PRIMARY, JobKind.PROMOTE, JobKind.SET_SYNC):
        replica = replace(replica, sync_with=sync_with, sync_set_ms=now_ms, sync_from_bytes=0)
    return _succeeded(replica, kind, position_bytes, now_ms)


def _is_current(replica: Replica) -> bool:
    assignment, job = replica.durable.assignment, replica.job
    return assignment is not None and job is not None and job.revision == assignment.revision


def observed(replica: Replica, seen: Observation, now_ms: int) -> Replica:
    """A new look. An engine that stands again takes back the wish to hand over."""
    since_ms = NEVER_MS
    if seen.streaming:
        since_ms = now_ms if replica.streams_since_ms == NEVER_MS else replica.streams_since_ms
    replica = replace(replica, observation=seen, observed_ms=now_ms, streams_since_ms=since_ms)
    if seen.streaming and now_ms - since_ms >= STREAMS_FOR_MS:
        replica = replace(replica, rejoins=0, rejoin_after_ms=0)
    if replica.handover and seen.role in (Role.STANDBY, Role.PRIMARY):
        return replace(replica, handover=False, crashed_ms=-1)
    return replica


def engine_exited(replica: Replica, reason: str, now_ms: int) -> Replica:
    """The engine is gone. In its own reign that is a crash, unless it was being stopped."""
    seen = replica.observation
    down = replace(seen, role=Role.DOWN, streaming=False, sync_active=False, upstream="")
    was_primary = seen.role is Role.PRIMARY
    stopping = replica.job is not None and replica.job.kind is JobKind.DRAIN
    replica = replace(replica, observation=down, probing=False, streams_since_ms=NEVER_MS)
    if not was_primary or stopping or not may_write(replica, now_ms):
        return replica
    recent = tuple(at for at in replica.restarts if now_ms - at < RESTART_WINDOW_MS)
    return replace(
        replica,
        crashed_ms=now_ms,
        restarts=(*recent, now_ms),
        problem=f"the engine died: {reason}",
        retry_after_ms=0,
    )


def wants_handover(replica: Replica, now_ms: int) -> bool:
    """Whether a crashed primary should move rather than be restarted in place."""
    if replica.crashed_ms < 0 or replica.handover:
        return False
    assignment = reigning(replica)
    if assignment is None or assignment.right is not Right.LEASED:
        return False
    recovery_ms = START_MS + replica.observation.recovery_bytes // RECOVERY_BYTES_A_MS
    budget_ms = assignment.terms.restart_budget_ms
    overdue = now_ms - replica.crashed_ms > budget_ms
    return overdue or recovery_ms > budget_ms or len(replica.restarts) > RESTARTS_AT_MOST


def _problem(replica: Replica, assignment: Assignment) -> str:
    seen = replica.observation
    if seen.disk is Disk.FOREIGN:
        return (
            "the data directory holds files that are no database; they are never touched: "
            "empty it, or name another directory in the agent's configuration"
        )
    if replica.durable.adopted_standby and assignment.goal is not Goal.BACKUP:
        return (
            "adopted as a standby, yet ordered to be the primary while the real one may be "
            f"writing elsewhere: give that one priority 1 of service {replica.service} in the "
            "controller's file, and the controller a new store for it"
        )
    if is_own_copy(replica):
        return ""
    if not assignment.system_identifier:
        return (
            f"the data directory already holds database {seen.system_identifier}; to adopt it, "
            f"name it as system_identifier of service {replica.service} in the configuration"
        )
    return (
        f"the data directory holds database {seen.system_identifier}, the service is "
        f"{assignment.system_identifier}: name the right directory in the agent's configuration"
    )


def _primary_wish(replica: Replica, assignment: Assignment, now_ms: int) -> Wish | None:
    seen = replica.observation
    if seen.disk is not Disk.DATA:
        return (JobKind.CREATE, None) if assignment.create else None
    if seen.role is Role.DOWN:
        own_reign = replica.durable.reign_epoch == assignment.epoch
        if own_reign and replica.durable.diverged and may_write(replica, now_ms):
            return JobKind.START_PRIMARY, None
        return JobKind.START_STANDBY, None
    if seen.role is Role.STANDBY:
        # The partner is named so that its slot stands before the new reign.
        return (JobKind.PROMOTE, assignment.partner) if may_write(replica, now_ms) else None
    if replica.sync_with != _sync_with(assignment) and may_write(replica, now_ms):
        return JobKind.SET_SYNC, None
    return None


def _backup_wish(replica: Replica, assignment: Assignment, now_ms: int) -> Wish | None:
    seen, partner = replica.observation, assignment.partner
    if partner is None or not assignment.system_identifier or seen.role is Role.PRIMARY:
        return None
    if seen.disk in (Disk.EMPTY, Disk.PARTIAL):
        return JobKind.SEED, partner
    if replica.durable.diverged:
        return JobKind.REJOIN, partner
    is_due = now_ms >= replica.rejoin_after_ms
    if is_due and (seen.stranded or _does_not_start(replica)):
        return JobKind.REJOIN, partner
    if seen.role is Role.DOWN:
        return JobKind.START_STANDBY, partner
    if assignment.take_log:
        taken = replica.log_taken_revision == assignment.revision
        return None if taken or seen.stranded else (JobKind.TAKE_LOG, partner)
    return (JobKind.FOLLOW, partner) if seen.upstream != partner.engine_address else None


def _does_not_start(replica: Replica) -> bool:
    """A copy may refuse to start because its log leads elsewhere: then it has to be mended."""
    is_down = replica.observation.role is Role.DOWN
    gave_up = replica.failures >= STARTS_BEFORE_MENDING
    return is_down and gave_up and replica.failed_kind is JobKind.START_STANDBY


def _drain_wish(replica: Replica, assignment: Assignment, now_ms: int) -> Wish | None:
    durable = replica.durable
    if durable.resumed_revision == assignment.revision:
        return _primary_wish(replica, assignment, now_ms)
    if durable.released_revision == assignment.revision or replica.drained_bytes:
        return None
    writes = replica.observation.role is Role.PRIMARY and may_write(replica, now_ms)
    return (JobKind.DRAIN, None) if writes else None


_WISHES = {Goal.PRIMARY: _primary_wish, Goal.BACKUP: _backup_wish, Goal.DRAIN: _drain_wish}


def _sync_with(assignment: Assignment) -> str:
    return assignment.partner.agent if assignment.sync and assignment.partner else ""


def _begin(
    replica: Replica, assignment: Assignment, wish: Wish, now_ms: int
) -> tuple[Replica, list[Action]]:
    kind, upstream = wish
    number = replica.job_count + 1
    durable = replica.durable
    if kind in (JobKind.CREATE, JobKind.PROMOTE, JobKind.START_PRIMARY):
        durable = replace(durable, reign_epoch=assignment.epoch)
    if kind in (JobKind.PROMOTE, JobKind.START_PRIMARY):
        durable = replace(durable, diverged=True)
    replica = replace(
        replica,
        durable=durable,
        job=Job(kind, number, now_ms, _sync_with(assignment), assignment.revision),
        job_count=number,
        doing=kind.value.replace("_", " "),
        drain_begun_ms=now_ms if kind is JobKind.DRAIN else replica.drain_begun_ms,
    )
    if kind is JobKind.SET_SYNC:
        # Until it is over nobody knows for whom commits wait: nothing is armed meanwhile.
        replica = replace(replica, sync_with=None, sync_from_bytes=0)
    begin = BeginJob(
        number,
        kind,
        upstream,
        assignment.system_identifier,
        _sync_with(assignment),
        assignment.revision,
        assignment.terms.log_budget_ms,
    )
    return replica, [begin]


def _failed(replica: Replica, kind: JobKind, error: str, now_ms: int) -> Replica:
    failures = replica.failures + 1 if kind is replica.failed_kind else 1
    pause_ms = min(RETRY_FIRST_MS * 2 ** min(failures - 1, 10), RETRY_LAST_MS)
    replica = replace(
        replica,
        failures=failures,
        failed_kind=kind,
        retry_after_ms=now_ms + pause_ms,
        problem=f"could not {kind.value.replace('_', ' ')}: {error}",
    )
    return _resume(replica) if kind is JobKind.DRAIN else replica


def _succeeded(replica: Replica, kind: JobKind, position_bytes: int, now_ms: int) -> Replica:
    seen, durable = replica.observation, replica.durable
    match kind:
        case JobKind.CREATE | JobKind.SEED:
            # What was made or copied just now holds nothing of its own.
            seen = Observation(disk=Disk.DATA, clean=True)
            durable = replace(durable, diverged=False)
        case JobKind.REJOIN:
            seen = replace(seen, role=Role.DOWN, upstream="", stranded="")
            durable = replace(durable, diverged=False)
            replica = _looked_into(replica, now_ms)
        case JobKind.START_STANDBY:
            seen = replace(seen, role=Role.STANDBY)
        case JobKind.START_PRIMARY | JobKind.PROMOTE:
            seen = replace(seen, role=Role.PRIMARY, upstream="")
        case JobKind.DRAIN:
            seen = replace(seen, role=Role.DOWN, clean=True)
            replica = replace(replica, drained_bytes=position_bytes)
        case JobKind.FOLLOW | JobKind.SET_SYNC | JobKind.TAKE_LOG:
            pass
    if kind in (JobKind.START_PRIMARY, JobKind.PROMOTE):
        replica = replace(replica, probing=False, probe_begun_ms=now_ms - RESTART_WINDOW_MS)
        replica = replace(replica, rejoins=0, rejoin_after_ms=0)
    if kind not in (JobKind.START_PRIMARY, JobKind.PROMOTE, JobKind.DRAIN):
        replica = replace(replica, observed_ms=-1)
    return replace(replica, observation=seen, durable=durable)


def _looked_into(replica: Replica, now_ms: int) -> Replica:
    """Each REJOIN burdens the upstream: if nothing comes of it, the next one waits longer."""
    pause_ms = min(REJOIN_FIRST_MS * 2 ** min(replica.rejoins, 10), REJOIN_LAST_MS)
    return replace(replica, rejoins=replica.rejoins + 1, rejoin_after_ms=now_ms + pause_ms)


def settle_drain(replica: Replica, now_ms: int) -> Replica:
    """Persist either the release or the resumption of this drain, never both."""
    durable = replica.durable
    assignment = durable.assignment
    if assignment is None or assignment.goal is not Goal.DRAIN:
        return replica
    decided = max(durable.released_revision, durable.resumed_revision)
    if decided == assignment.revision or (replica.job and replica.job.kind is JobKind.DRAIN):
        return replica
    if replica.drain_begun_ms < 0:
        # Under a veto nothing is drained: the move was ordered before the centre knew of it.
        return _resume(replica) if replica.veto or _stands_still(replica) else replica
    if replica.drained_bytes and replica.partner_received_bytes >= replica.drained_bytes:
        released = replace(durable, released_revision=assignment.revision, diverged=False)
        return replace(replica, durable=released, leases=(), questions=())
    if now_ms - replica.drain_begun_ms > assignment.terms.drain_budget_ms:
        return _resume(replica)
    return replica


def _stands_still(replica: Replica) -> bool:
    """Its engine died before the drain, or was stopped by one that an earlier life began."""
    is_down = replica.observation.role in (Role.DOWN, Role.STANDBY)
    return replica.observed_ms >= 0 and replica.job is None and is_down


def _resume(replica: Replica) -> Replica:
    """Give the drain up for good under this revision."""
    assignment = reigning(replica)
    if assignment is None or replica.durable.released_revision == assignment.revision:
        return replica
    return replace(replica, durable=replace(replica.durable, resumed_revision=assignment.revision))
