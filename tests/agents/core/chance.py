"""Makes replicas that differ in all that the rules compare with the time, and around it."""

from __future__ import annotations

from random import Random

from agents.core.model import Durable, Job, JobKind, Lease, Permit, Replica
from agents.core.observation import Disk, Observation
from protocol.messages import CONTROLLER, Goal, Mode, Right, Role
from tests.agents.core.given import SYSTEM, UID, A, B, order

NOW = 100_000
LONG_AGO_MS = NOW - 50_000


class Chance:
    """Random replicas, the same ones in every run."""

    def __init__(self) -> None:
        self._random = Random(7)

    def flag(self, probability: float = 0.5) -> bool:
        return self._random.random() < probability

    def moment(self) -> int:
        """Often long ago, else so near to now that a budget ends before, at, and after it."""
        near = NOW + self._random.randint(-3500, 2500)
        return near if self.flag(0.3) else LONG_AGO_MS

    def durable(self) -> Durable:
        pick = self._random.choice
        assignment = order(
            pick(list(Goal)),
            pick(list(Right)),
            countdown=self.flag(0.2),
            take_log=self.flag(0.2),
            sync=self.flag(0.3),
            create=self.flag(0.1),
        )
        return Durable(
            assignment=assignment if self.flag(0.9) else None,
            mode=pick(list(Mode)),
            fenced_revision=pick((0, 0, 0, 9, 10)),
            released_revision=pick((0, 0, 0, 10)),
            resumed_revision=pick((0, 0, 10)),
            reign_epoch=pick((0, 3)),
            diverged=self.flag(),
        )

    def observation(self) -> Observation:
        pick = self._random.choice
        return Observation(
            role=pick(list(Role)),
            disk=pick((*[Disk.DATA] * 6, Disk.EMPTY, Disk.FOREIGN)),
            system_identifier=pick((SYSTEM, SYSTEM, "", "another")),
            streaming=self.flag(),
            upstream=pick(("", "10.0.0.2:5432")),
            stranded="no log" if self.flag(0.3) else "",
        )

    def replica(self) -> Replica:
        pick = self._random.choice
        lease = Lease(CONTROLLER, self.moment())
        return Replica(
            agent=A,
            service="paspor",
            service_uid=UID,
            life="1-a",
            started_ms=0,
            durable=self.durable(),
            disk_ok=self.flag(0.9),
            observation=self.observation(),
            observed_ms=LONG_AGO_MS,
            job=Job(pick(list(JobKind)), 1, LONG_AGO_MS, "", 10) if self.flag(0.4) else None,
            retry_after_ms=self.moment(),
            failures=pick((0, 3)),
            failed_kind=pick((None, JobKind.START_STANDBY)),
            rejoin_after_ms=self.moment(),
            fresh=self.flag(0.8),
            leases=(lease, Lease(B, self.moment())) if self.flag() else (),
            guard_known=self.flag(0.9),
            permit=pick(list(Permit)),
            permit_end_ms=self.moment(),
            probing=self.flag(),
            probe_begun_ms=self.moment(),
            proven_epoch=pick((0, 3)),
            local_failures=pick((0, 2)),
            crashed_ms=self.moment() if self.flag() else -1,
            handover=self.flag(0.2),
            drained_bytes=pick((0, 500)),
            drain_begun_ms=self.moment() if self.flag() else -1,
            promise_end_ms=self.moment(),
            heard_ms=self.moment(),
            primary_illness="no space" if self.flag(0.3) else "",
            illness_heard_ms=self.moment(),
            sync_with=pick((None, "", B)),
        )
