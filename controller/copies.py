"""What the copies of a service say of themselves that somebody should look at."""

from __future__ import annotations

from controller.core.explain import Explanation


def unfit_backup(service: Explanation) -> str:
    """What does not match between backup and primary, as last reported; empty if nothing."""
    reports = (copy.report for copy in service.copies if copy.agent == service.backup)
    return next((report.unfit for report in reports if report), "")
