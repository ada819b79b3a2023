"""One service at one moment, as the table of phases looks at it."""

from __future__ import annotations

from typing import Final

from controller.core.events import Kind, Requested
from controller.core.model import (
    HeldFor,
    LastWord,
    Protection,
    Record,
    Seen,
    ServiceSpec,
    ServiceState,
)
from controller.core.moment import loss
from controller.core.moment.disks import is_full
from controller.core.moment.others import NOBODY, Others, stale_after_ms
from protocol.messages import ReplicaReport, Role
from protocol.windows import silence_ms

APPROVAL_GOOD_FOR_MS = 10 * 60 * 1000
FORCE_GOOD_FOR_MS = 60 * 60 * 1000
TIERS_OF_TWO = ("strategis",)
"""Where it takes two different people to accept a loss."""
FOLLOW_CLOSELY_BYTES = 1024 * 1024


class View:
    """The facts from which a row of the table decides. Ages are on the controller's clock.

    It is of one moment and never changes: what many rows ask for is looked up once.
    """

    def __init__(
        self,
        service: ServiceState,
        now_ms: int,
        request: Requested | None = None,
        others: Others = NOBODY,
    ) -> None:
        self.service: Final = service
        self.now_ms: Final = now_ms
        self.request: Final = request
        self.others: Final = others
        self.facts: Final[dict[str, str]] = {}
        """What sentences may name, once somebody asked: `controller.core.conditions.facts`."""
        self.spec: Final[ServiceSpec] = service.spec
        self.record: Final[Record] = service.record
        interval_ms, terms = self.spec.report_interval_ms, self.record.terms
        self.silent_after_ms: Final = silence_ms(terms)
        """For how long a primary may prove no commit before it counts as silent."""
        self.lost_after_ms: Final = max(4 * interval_ms, terms.ttl_ms)
        """For how long an agent may be unheard before its replica counts as lost."""
        self.stale_after_ms: Final = stale_after_ms(service)
        """The age at which a report is not believed any more."""
        self.primary: Final = self._fresh(self.record.primary)
        """The newest report of the primary, if it is fresh."""
        self.backup: Final = self._fresh(self.record.backup)
        """The newest report of the backup, if it is fresh."""
        self.primary_now: Final = self._counting(self.primary)
        """The primary's report, if it is fresh and counts for the present revision."""
        self.backup_now: Final = self._counting(self.backup)
        """The backup's report, if it is fresh and counts for the present revision."""

    @property
    def settle_ms(self) -> int:
        """For how long a backup must be seen to follow before it is trusted."""
        return 2 * self.spec.report_interval_ms

    @property
    def silence_ms(self) -> int:
        """How long ago the primary last proved a commit to the controller."""
        return self.now_ms - self.service.proven_ms

    @property
    def in_phase_ms(self) -> int:
        return self.now_ms - self.service.entered_ms

    @property
    def own_promise_left_ms(self) -> int:
        """How long the holder may still rely on what this controller granted."""
        return max(0, self.service.promise_end_ms - self.now_ms)

    @property
    def last_word(self) -> LastWord | None:
        return loss.last_word(self.service, self.now_ms)

    @property
    def worst_word(self) -> LastWord | None:
        """The last word as it counts once every lease has run out."""
        return loss.worst_word(self.service, self.now_ms)

    @property
    def loss_bytes(self) -> int | None:
        """What a failover now would lose, as estimated; None when that cannot be known."""
        return 0 if self.log_taken else loss.estimate_bytes(self.service, self.last_word)

    @property
    def loss_ms(self) -> int | None:
        """The time whose commits a failover now would lose, at most; None when not known."""
        return 0 if self.log_taken else loss.estimate_ms(self.service, self.last_word)

    @property
    def bound_bytes(self) -> int:
        """What may be lost without an operator: in sync mode nothing."""
        sync = self.record.protection is Protection.SYNC
        return 0 if sync else self.spec.loss_bound_bytes

    @property
    def accepted_loss_bytes(self) -> int:
        """The bound, or what an operator approved for this epoch, if that is more."""
        approval, bound = self.record.approval, self.bound_bytes
        return max(bound, approval.loss_bytes) if approval and self.approved else bound

    @property
    def approved(self) -> bool:
        """Whether an operator's approval for this epoch is still good, and all who must gave it."""
        approval = self.record.approval
        return (
            approval is not None
            and approval.epoch == self.record.epoch
            and self.approval_left_ms > 0
            and (bool(approval.second) or not self.two_people)
        )

    @property
    def may_exceed(self) -> bool:
        """Whether an operator lets it come to a site without room, and all who must do. Of a move
        in order, in which nothing is lost, one person decides."""
        approval, operation = self.record.approval, self.record.operation
        if approval is None or not approval.over_capacity or approval.epoch != self.record.epoch:
            return False
        planned = operation is not None and operation.kind == Kind.SWITCHOVER.value
        enough = planned or bool(approval.second) or not self.two_people
        return enough and self.approval_left_ms > 0

    @property
    def approval_left_ms(self) -> int:
        """For how long the noted approval is still good. One that another life of the controller
        took is good no more, for its age is not known."""
        if self.record.approval is None or self.service.approved_ms < 0:
            return 0
        return max(0, self.service.approved_ms + self.approval_lasts_ms - self.now_ms)

    @property
    def approval_lasts_ms(self) -> int:
        """How long what one person asked for may wait. Switching a host off may take a way."""
        forced = self.record.held_for is HeldFor.FORCED
        return FORCE_GOOD_FOR_MS if forced else APPROVAL_GOOD_FOR_MS

    @property
    def two_people(self) -> bool:
        """Whether one person alone may not accept a loss of this service."""
        return self.spec.tier in TIERS_OF_TWO

    @property
    def log_taken(self) -> bool:
        """Whether the backup has all that the fenced primary's log holds."""
        backup = self.backup_now
        return self.service.fenced_since_ms >= 0 and backup is not None and backup.log_taken

    @property
    def waits_for_log(self) -> bool:
        """Whether the rest of the primary's log may still come: it is fenced, its host lives, and
        the time for it is not over. In sync mode the backup has all that was acknowledged."""
        since_ms, budget_ms = self.service.fenced_since_ms, self.record.terms.log_budget_ms
        in_time = since_ms >= 0 and self.now_ms - since_ms < budget_ms
        wanted = in_time and self.record.protection is Protection.ASYNC and not self.log_taken
        return wanted and self.primary_now is not None

    @property
    def unfit(self) -> str:
        """What keeps the backup from being trusted with the service; empty if nothing does."""
        backup = self.backup
        if backup is None:
            return "it is not heard"
        low = f"its disk is low: {backup.disk_low}" if backup.disk_low else ""
        return "; ".join(filter(None, (backup.unfit, low)))

    @property
    def declared_backup(self) -> str:
        """The agent that the configuration has for a backup: the present one, if it still does."""
        record = self.record
        if record.backup and self.spec.replica(record.backup) is not None:
            return record.backup
        others = (r.agent for r in self.spec.replicas if r.agent != record.primary)
        return next(others, "")

    @property
    def lag_bytes(self) -> int | None:
        return loss.lag_bytes(self.service)

    def unheard_ms(self, agent: str) -> int:
        """How long an agent has said nothing; since this life began, if it never did."""
        seen = self.service.reports.get(agent)
        return self.now_ms - (seen.at_ms if seen else self.service.entered_ms)

    def is_copy(self, report: ReplicaReport) -> bool:
        """Whether a report speaks of a copy of this very service."""
        return report.system_identifier in ("", self.record.system_identifier)

    def follows_closely(self, report: ReplicaReport | None) -> bool:
        """Whether a backup streams, and near enough to be trusted with the service."""
        if report is None or report.role is not Role.STANDBY or not report.streaming:
            return False
        if cannot_take_over(report):
            return False
        lag = self.lag_bytes
        near = max(FOLLOW_CLOSELY_BYTES, self.spec.loss_bound_bytes // 2)
        return self.is_copy(report) and lag is not None and lag <= near

    def _fresh(self, agent: str) -> ReplicaReport | None:
        seen: Seen | None = self.service.reports.get(agent)
        if seen is None or self.now_ms - seen.at_ms > self.stale_after_ms:
            return None
        return seen.report

    def _counting(self, report: ReplicaReport | None) -> ReplicaReport | None:
        return report if report and report.revision == self.record.revision else None


def cannot_take_over(report: ReplicaReport) -> str:
    """Why a copy, however closely it follows, could not be a primary; empty when it could."""
    if report.cannot_promise:
        return "it cannot write what it promises: free or mend its state directory"
    if report.fence_missing:
        return f"a layer of its fence is required and missing ({report.fence_missing})"
    return f"its disk is full: free space there ({report.disk_low})" if is_full(report) else ""
