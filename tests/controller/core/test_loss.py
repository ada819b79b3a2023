"""How far a backup is behind, and how much a failover would lose."""

from __future__ import annotations

from msgspec.structs import replace

from controller.core import loss
from controller.core.model import Phase, Seen, ServiceState
from tests.controller.core.given import NOW, A, B, Given, backup_report

RATE_BYTES_S = 10 * 1024 * 1024


def busy(backup_ms: int, backup_at_bytes: int) -> ServiceState:
    """The primary proved 100 MB a moment ago; the backup said where it stood some time before."""
    service = Given(Phase.ALONE).service
    reports = dict(service.reports)
    del reports[A]
    reports[B] = Seen(backup_report(position_bytes=backup_at_bytes), NOW - backup_ms)
    return replace(
        service,
        reports=reports,
        proven_ms=NOW,
        proven_position_bytes=100_000_000,
        proven_rate_bytes_s=RATE_BYTES_S,
    )


def test_what_was_written_after_the_report_of_the_backup_is_no_lag() -> None:
    """A busy service whose backup has everything is not behind."""
    had_all = 100_000_000 - RATE_BYTES_S * 400 // 1000
    assert loss.lag_bytes(busy(400, had_all)) == 0


def test_what_was_missing_when_the_backup_reported_is_lag() -> None:
    """At its own moment."""
    had_all = 100_000_000 - RATE_BYTES_S * 400 // 1000
    assert loss.lag_bytes(busy(400, had_all - 5000)) == 5000
