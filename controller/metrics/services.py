"""The gauges of a service, each made from its explanation."""

from __future__ import annotations

from collections.abc import Callable

from controller.copies import unfenced, unfit_backup
from controller.core.explanation.explain import Explanation
from controller.core.model import BackupLoss, HeldFor, Phase, Protection


def _maintenance_as_announced(service: Explanation) -> float:
    return float(bool(service.maintenance and service.maintenance.as_announced))


def _sync_alone(service: Explanation) -> float:
    relaxed = service.phase in (Phase.PROMOTING, Phase.ROUTING, Phase.ALONE)
    ill = service.held_for == HeldFor.ILLNESS and service.backup_loss != BackupLoss.BLOCK
    return float(service.protection == Protection.SYNC and (relaxed or ill))


def _maintenance_left_s(service: Explanation) -> float | None:
    return service.maintenance.left_ms / 1000 if service.maintenance else None


def _maintenance_overdue(service: Explanation) -> float:
    return float(bool(service.maintenance and service.maintenance.left_ms <= 0))


def _proof_age_s(service: Explanation) -> float | None:
    return service.proven_ago_ms / 1000 if service.proven_ago_ms >= 0 else None


SERVICE_GAUGES: tuple[tuple[str, str, Callable[[Explanation], float | None]], ...] = (
    (
        "saling_service_protected",
        "1 while the backup could take over.",
        lambda s: float(s.protected),
    ),
    (
        "saling_service_paused",
        "1 while automatic failover is paused.",
        lambda s: float(bool(s.paused)),
    ),
    (
        "saling_service_hold",
        "1 while an integrity hold lets nobody take over.",
        lambda s: float(bool(s.hold)),
    ),
    (
        "saling_service_hold_left_seconds",
        "What is left of the integrity hold, before it ends by itself.",
        lambda s: s.hold.left_ms / 1000 if s.hold else None,
    ),
    (
        "saling_service_readiness_raised",
        "1 while a hold, a veto, a caution or its site asks that the service's people stand ready.",
        lambda s: float(bool(s.readiness)),
    ),
    (
        "saling_service_maintenance",
        "1 while only an announced maintenance of the backup is in the way of protection.",
        _maintenance_as_announced,
    ),
    (
        "saling_service_backup_planned",
        "1 while only that the backup's site is planned is in the way of protection.",
        lambda s: float(s.as_planned),
    ),
    (
        "saling_service_maintenance_left_seconds",
        "What is left of the announced maintenance of the backup, negative when overdue.",
        _maintenance_left_s,
    ),
    (
        "saling_service_maintenance_overdue",
        "1 while the maintenance of the backup is overdue.",
        _maintenance_overdue,
    ),
    (
        "saling_service_backup_unfit",
        "1 while the backup, as last reported, does not match its primary.",
        lambda s: float(bool(unfit_backup(s))),
    ),
    (
        "saling_service_commits_wait",
        "1 while commits of a sync service wait for a lost backup (backup_loss: block).",
        lambda s: float(s.commits_wait_ms >= 0),
    ),
    (
        "saling_service_sync_alone",
        "1 while commits of a sync service wait for nobody, for its primary stands alone.",
        _sync_alone,
    ),
    (
        "saling_service_sync_weakened",
        "1 while settings of a role or database let commits of a sync service wait for nobody.",
        lambda s: float(bool(s.weakened)),
    ),
    (
        "saling_service_cancelled_waits",
        "Commits that stopped waiting for the backup, in this life of the primary's agent.",
        lambda s: float(s.cancelled_waits),
    ),
    (
        "saling_service_fence_missing",
        "1 while a copy, as last reported, lacks a layer of the fence that it requires.",
        lambda s: float(bool(unfenced(s))),
    ),
    ("saling_service_epoch", "Number of the present reign.", lambda s: s.epoch),
    (
        "saling_service_lag_bytes",
        "How far the backup is behind the newest word of the primary.",
        lambda s: s.lag_bytes,
    ),
    (
        "saling_service_loss_estimate_bytes",
        "What an unplanned failover would lose now, as estimated.",
        lambda s: s.loss_bytes,
    ),
    (
        "saling_service_loss_estimate_seconds",
        "The same loss as a time: whose commits an unplanned failover would lose now, at most.",
        lambda s: None if s.loss_ms is None else s.loss_ms / 1000,
    ),
    (
        "saling_service_approval_left_seconds",
        "For how long an accepted loss may still be used, or waits for a second person.",
        lambda s: s.approval.left_ms / 1000 if s.approval else None,
    ),
    (
        "saling_service_loss_bound_bytes",
        "What an unplanned failover may lose without an approval.",
        lambda s: s.loss_bound_bytes,
    ),
    (
        "saling_service_lease_ttl_seconds",
        "How long a lease lasts.",
        lambda s: s.lease_ttl_ms / 1000,
    ),
    (
        "saling_service_lease_left_seconds",
        "What was left of the primary's lease when it last reported.",
        lambda s: s.lease_left_ms / 1000,
    ),
    (
        "saling_service_proof_age_seconds",
        "How long ago the primary proved a commit to the controller.",
        _proof_age_s,
    ),
    (
        "saling_service_predicted_failover_seconds",
        "How long an unplanned failover would take now, at most.",
        lambda s: s.predicted_failover_ms / 1000,
    ),
)
"""Name, words, and the value of one service; None where there is none to show."""
