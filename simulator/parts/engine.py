"""A simulated database: roles, a log that grows, jobs that take their time, and illnesses."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from functools import partial

from agents.core.model import JobKind
from agents.core.observation import Disk, Observation, Probe, ProbeKind
from protocol.messages import Role
from simulator.kernel import Kernel
from simulator.parts.history import History
from simulator.parts.network import Network
from simulator.parts.room import Room

PROBE_BYTES = 100
STREAM_QUIET_MS = 1000
DOUBT_MS = 2000
"""After so long without a stream a backup's agent asks whether the copy could ever follow."""
RECOVERY_BYTES_A_MS = 50_000
DURATIONS_MS = {
    JobKind.CREATE: (100, 400),
    JobKind.SEED: (200, 1200),
    JobKind.REJOIN: (200, 1200),
    JobKind.START_STANDBY: (30, 250),
    JobKind.START_PRIMARY: (30, 250),
    JobKind.PROMOTE: (30, 300),
    JobKind.FOLLOW: (10, 80),
    JobKind.DRAIN: (30, 500),
    JobKind.SET_SYNC: (5, 40),
    JobKind.TAKE_LOG: (40, 400),
}
JOB_FAILS = 0.02


class Writes(Enum):
    """Whether a client's write could be acknowledged."""

    NO = "no"
    YES = "yes"
    ASTRAY = "astray"
    """Yes, though no promise is made that it could not (docs/safety.md, What remains)."""


Changed = Callable[["Engine", Writes], None]
"""Told what was the case before."""


class Engine:
    """One copy of one service. What is on disk outlives `stop`."""

    def __init__(
        self, kernel: Kernel, network: Network, history: History, site: str, changed: Changed
    ) -> None:
        self._kernel = kernel
        self._network = network
        self.history = history
        self.site = site
        self._changed = changed
        self.disk = Disk.EMPTY
        self.system_identifier = ""
        self.timeline = 0
        self.position = 0
        self._checkpoint = 0
        self._recovery_bytes = 0
        self._clean = False
        self.role = Role.DOWN
        self.run = 0
        """Counts starts and stops: what was meant for another run is void."""
        self.upstream = ""
        self.sync_with = ""
        self.closing = False
        """It was asked to stop in order, and takes no more writes."""
        self.streamed_ms = -STREAM_QUIET_MS
        self.apart_since_ms = -1
        """Standby: since when its upstream has another history; -1: it has not."""
        self.confirmed = 0
        """Primary: up to where the backup confirmed the log."""
        self.confirmed_ms = -STREAM_QUIET_MS
        self.frozen = False
        """Its host stands still."""
        self.local_clients = False
        """Whether clients write over the Unix socket of its host, besides those over TCP."""
        self.shut_out = False
        """The kernel stops all that comes over TCP."""
        self.astray = False
        """It writes on after its lease, where nothing on its host could hinder it."""
        self.room = Room(kernel)
        self.hung_until_ms = 0
        self.unkillable_until_ms = 0
        """Its processes hang in the kernel: a kill ends them only then. Struck by one, they take no
        further step by themselves."""
        self.doomed = False
        """Struck by a kill that has not ended it yet."""
        self.stuck_until_ms: dict[JobKind, int] = {}
        """Jobs of that kind end no sooner."""
        self.rewind_fails_until_ms = 0
        self.unfit_until_ms = 0
        self.unfenced_until_ms = 0
        """A layer of the fence that its host requires does not hold."""
        self.local_illness_until_ms = 0
        self.shared_illness_until_ms = 0
        self.cancelled_waits = 0
        """How many commits stopped waiting for the backup, unacknowledged."""
        self.once = (0, 0)
        """Timeline and position that it had before it was put back to an older copy."""

    @property
    def writable(self) -> bool:
        """It is primary: what reaches it may be committed, now or when it is well again."""
        return self.role is Role.PRIMARY

    @property
    def may_commit(self) -> bool:
        """A hung one may have done so when it is well again; a frozen one cannot before a thaw."""
        return self.writable and not self.frozen and not self.doomed

    @property
    def unkillable(self) -> bool:
        return self._kernel.now_ms < self.unkillable_until_ms

    def doom(self) -> None:
        """A kill is pending: nothing is committed any more, though its processes are there."""
        was, self.doomed = self.writes, True
        self._tell_change(was)

    @property
    def serves(self) -> bool:
        """Whether a client could be told that its write is committed."""
        return self.may_commit and (self.local_clients or not self.shut_out)

    @property
    def writes(self) -> Writes:
        if not self.serves:
            return Writes.NO
        return Writes.ASTRAY if self.astray else Writes.YES

    @property
    def well(self) -> bool:
        if self.frozen or self.doomed or self.room.full:
            return False
        now_ms = self._kernel.now_ms
        ill_ms = max(self.hung_until_ms, self.local_illness_until_ms, self.shared_illness_until_ms)
        return now_ms >= ill_ms

    @property
    def streams(self) -> bool:
        """It is a standby, and log came a moment ago."""
        fresh = self._kernel.now_ms - self.streamed_ms < STREAM_QUIET_MS
        return self.role is Role.STANDBY and fresh

    def heal(self) -> None:
        """End every illness."""
        self.hung_until_ms = self.local_illness_until_ms = self.shared_illness_until_ms = 0
        self.rewind_fails_until_ms = self.unfit_until_ms = self.unkillable_until_ms = 0
        self.unfenced_until_ms = 0
        self.room.heal()
        self.stuck_until_ms.clear()

    @property
    def fence_lacks(self) -> str:
        """As its guard says."""
        lacks = self._kernel.now_ms < self.unfenced_until_ms
        return "nftables: a right is missing; give it" if lacks else ""

    @property
    def unfit(self) -> str:
        """What it lacks that its primary has, as the shipped agents find out beside the rules."""
        lacks = self.role is Role.STANDBY and self._kernel.now_ms < self.unfit_until_ms
        return "max_connections is lower than the primary's" if lacks else ""

    def freeze(self, frozen: bool) -> None:
        """Its host stands still, or goes on."""
        was, self.frozen = self.writes, frozen
        self._tell_change(was)

    def shut_out_clients(self, shut: bool) -> None:
        """The kernel stops what comes over TCP, or lets it pass."""
        was, self.shut_out = self.writes, shut
        self._tell_change(was)

    def go_astray(self, astray: bool) -> None:
        """From now on it writes where no promise is made, or where one is made again."""
        was, self.astray = self.writes, astray
        self._tell_change(was)

    @property
    def _stranded(self) -> bool:
        """As the shipped `agents/replica/stranded.py` finds out."""
        apart = self.role is Role.STANDBY and self.apart_since_ms >= 0
        return apart and self._kernel.now_ms - self.apart_since_ms >= DOUBT_MS

    def learn_whether_apart(self, apart: bool) -> None:
        """What its upstream says of its log."""
        if not apart:
            self.apart_since_ms = -1
        elif self.apart_since_ms < 0:
            self.apart_since_ms = self._kernel.now_ms

    def stuck(self, kind: JobKind) -> bool:
        """Whether a job of this kind cannot end now."""
        until_ms = max(self.hung_until_ms, self.stuck_until_ms.get(kind, 0))
        return self.frozen or self._kernel.now_ms < until_ms

    def observe(self) -> Observation:
        """One look."""
        now_ms = self._kernel.now_ms
        down = self.role is Role.DOWN
        primary = self.role is Role.PRIMARY
        fresh = now_ms - self.confirmed_ms < STREAM_QUIET_MS
        return Observation(
            role=self.role,
            disk=self.disk,
            system_identifier=self.system_identifier,
            timeline=self.timeline,
            position_bytes=self._checkpoint if down else self.position,
            replayed_bytes=self.position,
            streaming=self.streams,
            upstream=self.upstream if self.role is Role.STANDBY else "",
            sync_active=primary and bool(self.sync_with) and fresh,
            recovery_bytes=self._recovery_bytes if down else 0,
            clean=down and self._clean,
            stranded="its log went past where the upstream's left it" if self._stranded else "",
        )

    def probe(self, timeout_ms: int, done: Callable[[Probe], None]) -> None:
        """Try to commit a row."""
        now_ms, kernel = self._kernel.now_ms, self._kernel
        if self.role is not Role.PRIMARY:
            refused = Probe(ProbeKind.LOCAL, 0, "no connection")
            kernel.after(kernel.between(1, 20), lambda: done(refused))
        elif now_ms < self.hung_until_ms:
            kernel.after(timeout_ms, lambda: done(Probe(ProbeKind.TIMEOUT, 0, "no answer")))
        elif now_ms < self.shared_illness_until_ms:
            shared = Probe(ProbeKind.SHARED, 0, "read-only setting")
            kernel.after(kernel.between(1, 20), lambda: done(shared))
        elif now_ms < self.local_illness_until_ms or self.room.full:
            local = Probe(ProbeKind.LOCAL, 0, "no space left on device")
            kernel.after(kernel.between(1, 20), lambda: done(local))
        else:
            run = self.run
            kernel.after(kernel.between(1, 12), lambda: self._commit_probe(run, done))

    def _commit_probe(self, run: int, done: Callable[[Probe], None]) -> None:
        if run != self.run or self.closing or self.frozen:
            done(Probe(ProbeKind.LOCAL, 0, "the connection broke"))
            return
        self.position += PROBE_BYTES
        done(Probe(ProbeKind.COMMITTED, self.position, ""))

    def job_ms(self, kind: JobKind) -> int:
        """How long a job takes this time."""
        low, high = DURATIONS_MS[kind]
        slow = 8 if self._kernel.chance(0.05) else 1
        starts = kind in (JobKind.START_PRIMARY, JobKind.START_STANDBY)
        recovery_ms = self._recovery_bytes // RECOVERY_BYTES_A_MS if starts else 0
        return self._kernel.between(low, high) * slow + recovery_ms

    def job_fails(self) -> bool:
        return self._kernel.chance(JOB_FAILS)

    def create(self, system_identifier: str) -> None:
        """Make the first copy."""
        self.disk, self.system_identifier = Disk.DATA, system_identifier
        self.timeline, self.position = self.history.first(), 1000
        self._checkpoint, self._clean = self.position, True

    def copy_from(self, source: Engine) -> None:
        """Become a copy of another, standing still."""
        self.disk, self.system_identifier = Disk.DATA, source.system_identifier
        self.timeline, self.position = source.timeline, source.position
        self._checkpoint, self._clean, self._recovery_bytes = self.position, True, 0

    def begin_start(self) -> int:
        """The process is there; the number names this run."""
        self.closing = False
        self._become(Role.STARTING)
        self.run += 1
        return self.run

    def stand_by(self, upstream: str) -> None:
        """Recovery is over; follow, if there is somebody to follow."""
        self.upstream, self._recovery_bytes, self.apart_since_ms = upstream, 0, -1
        self._become(Role.STANDBY)

    def reign(self, sync_with: str, fork: bool) -> None:
        """Become writable, on a new timeline when it was promoted."""
        if fork:
            self.timeline = self.history.fork(self.timeline, self.position)
        self.upstream, self.sync_with, self._recovery_bytes = "", sync_with, 0
        self.confirmed, self.confirmed_ms = 0, -STREAM_QUIET_MS
        self._become(Role.PRIMARY)

    def stop(self, clean: bool) -> None:
        """No process is left."""
        if self.role is Role.DOWN:
            return
        self._clean = clean
        if clean:
            self._recovery_bytes = 0
        elif self.role is Role.PRIMARY:
            self._recovery_bytes = self._kernel.between(0, 20) ** 2 * 500_000
        self._checkpoint = self.position if clean else max(1, self.position - 5000)
        self.run += 1
        self.streamed_ms = -STREAM_QUIET_MS
        self._become(Role.DOWN)
        self.doomed = False

    def set_sync(self, sync_with: str) -> None:
        """Commits wait for that backup; when they wait no more, all that waited are done."""
        self.sync_with = sync_with
        if not sync_with and self.serves:
            self.history.acknowledge(self.timeline, self.position)

    def cancel_waits(self) -> None:
        """Clients that wait are sent away: what they wrote stays here, and is not acknowledged."""
        if self.may_commit and self.sync_with and self.confirmed < self.position:
            self.cancelled_waits += 1

    def older_copy(self, timeline: int, position: int) -> None:
        """Its volume is put back to what it was: nothing of what came since is there."""
        self.once = (self.timeline, self.position)
        self.timeline, self.position = timeline, position
        self._checkpoint, self._recovery_bytes = position, 0

    def once_had(self, timeline: int, position: int) -> bool:
        """Whether this copy has the log up to there, or had it before it was put back."""
        copies = ((self.timeline, self.position), self.once)
        return any(self.history.reach(*copy).get(timeline, 0) >= position for copy in copies)

    def write(self, size: int) -> None:
        """A client commits, if the engine takes it."""
        if not self.serves or self.closing or not self.well:
            return
        self.position += size
        if not self.sync_with:
            self.history.acknowledge(self.timeline, self.position)

    def _become(self, role: Role) -> None:
        was, self.role = self.writes, role
        if role is not Role.PRIMARY:
            self.astray = False
        self._tell_change(was)

    def _tell_change(self, was: Writes) -> None:
        if was is not self.writes:
            self._changed(self, was)

    def receive(self, run: int, source: Engine, source_run: int, target: int) -> None:
        """Log of the upstream arrived, up to a position."""
        if run != self.run or self.role is not Role.STANDBY or self.frozen or self.room.full:
            return
        self.streamed_ms = self._kernel.now_ms
        self.timeline, self.position = source.timeline, max(self.position, target)
        confirm = self._network.stream_ms(self.site, source.site)
        self._kernel.after(confirm, partial(source.confirm, source_run, self.site, target))

    def confirm(self, run: int, site: str, position: int) -> None:
        """The backup has the log up to here."""
        if run != self.run or not self.may_commit or not self._network.open(site, self.site):
            return
        self.confirmed, self.confirmed_ms = max(self.confirmed, position), self._kernel.now_ms
        if self.sync_with and self.serves:
            self.history.acknowledge(self.timeline, min(self.confirmed, self.position))
