"""Whose turn it is in a group: earlier ones that are on their way to the same site go first.

Nobody waits in a circle, for it waits for lower numbers alone, and nobody without an end: what
takes longer than it may stands still, and is not on its way (docs/decisions/0020-sites.md).
"""

from __future__ import annotations

from controller.core.model import Phase, Record, ServiceState
from controller.core.moment.others import Others, site_of
from controller.core.moment.view import View
from protocol.windows import grantor_window_ms, silence_ms

ON_ITS_WAY = (Phase.COUNTDOWN, Phase.DRAINING, Phase.PROMOTING)
PROMOTION_MS = 10_000
"""An engine that is not primary after so long stands still."""


def ahead(view: View) -> tuple[str, ...]:
    """The names of those that it waits for now."""
    others, spec = view.others, view.spec
    if not spec.group:
        return ()
    site = site_of(view.service, view.record.backup)
    group = [others.services[uid] for uid in others.groups.get(spec.group, ())]
    earlier = [s for s in group if s.spec.order < spec.order and _destination(s) == site]
    long_ms = patience_ms(view.record, [other.record for other in earlier])
    # One that is protected has not begun to wait: its turn is told before it begins a move.
    if view.in_phase_ms >= long_ms and view.record.phase is not Phase.PROTECTED:
        return ()
    return tuple(other.spec.name for other in earlier if _is_on_its_way(other, others, long_ms))


def patience_ms(record: Record, earlier: list[Record]) -> int:
    """For how long it waits at most, from the beginning of its phase."""
    return _lease_ms(record) + sum(
        silence_ms(each.terms) + _lease_ms(each) + PROMOTION_MS for each in earlier
    )


def facts(view: View) -> dict[str, str]:
    """The words that sentences may use."""
    return {
        "group": view.spec.group or "no group",
        "backup_site": site_of(view.service, view.record.backup) or "no site",
    }


def _destination(service: ServiceState) -> str:
    """Where it goes, if it is on its way; there it is already while it is promoted."""
    record = service.record
    there = record.primary if record.phase is Phase.PROMOTING else record.backup
    return site_of(service, there)


def _is_on_its_way(service: ServiceState, others: Others, long_ms: int) -> bool:
    moves = service.record.phase in ON_ITS_WAY and others.now_ms - service.entered_ms < long_ms
    return moves or others.falls_silent(service)


def _lease_ms(record: Record) -> int:
    return grantor_window_ms(record.ttl_ceiling_ms) + record.terms.log_budget_ms
