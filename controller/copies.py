"""What the copies of a service say of themselves that somebody should look at."""

from __future__ import annotations

from msgspec import Struct

from controller.core.explanation.explain import Explanation


class Quarantined(Struct, frozen=True):
    """What one copy keeps until a human has looked at it and removed it."""

    agent: str
    text: str
    """Figures, and where it stands."""


def quarantines(service: Explanation) -> tuple[Quarantined, ...]:
    """As last reported by each copy, heard now or not: a silent host keeps it all the same."""
    told = ((copy.agent, copy.report.quarantine) for copy in service.copies if copy.report)
    return tuple(Quarantined(agent, text) for agent, text in told if text)


class Vetoed(Struct, frozen=True):
    """What an operator of one copy's host forbids."""

    agent: str
    text: str
    left_ms: int


def vetoes(service: Explanation) -> tuple[Vetoed, ...]:
    """By the copies that have been heard since their veto can have ended."""
    heard = ((copy, copy.report) for copy in service.copies if copy.report)
    return tuple(
        Vetoed(copy.agent, told.veto, told.veto_left_ms - copy.heard_ago_ms)
        for copy, told in heard
        if told.veto and copy.heard_ago_ms < told.veto_left_ms
    )


def unfenced(service: Explanation) -> str:
    """Which copies, as last reported, lack a layer of the fence that they require; the mend."""
    told = ((copy.agent, copy.report) for copy in service.copies if copy.report)
    return "; ".join(f"{agent}: {it.fence_missing}" for agent, it in told if it.fence_missing)


def unfit_backup(service: Explanation) -> str:
    """What does not match between backup and primary, as last reported; empty if nothing."""
    reports = (copy.report for copy in service.copies if copy.agent == service.backup)
    return next((report.unfit for report in reports if report), "")
