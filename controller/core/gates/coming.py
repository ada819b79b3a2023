"""For whom a place is kept at a site: who could be promoted there soon, by itself.

All that a row to PROMOTING asks is asked here, or less: who is promoted was among those for whom a
place was kept. Who waits for a person, or for what may never come, keeps nobody out
(docs/decisions/0020-sites.md).
"""

from __future__ import annotations

from controller.core.gates import approvals
from controller.core.model import HeldFor, Phase, ServiceState
from controller.core.moment.detector import watched
from controller.core.moment.others import Others, held_in_countdown
from controller.core.moment.view import View, cannot_take_over
from controller.core.site_model import Stage
from protocol.messages import Role


def wants_to_come(service: ServiceState, others: Others) -> bool:
    """Whether it is on its way and may arrive, or waits for room alone, or must be expected."""
    phase = service.record.phase
    if phase in (Phase.COUNTDOWN, Phase.DRAINING):
        return _may_take_over(View(service, others.now_ms))
    if held_in_countdown(service):
        view = View(service, others.now_ms)
        return _may_take_over(view) and _goes_on(view)
    # Nobody is expected for long, whatever its backup does.
    return others.falls_silent(service)


def _goes_on(view: View) -> bool:
    """Whether one that is held would go on by itself, if there were room."""
    if view.record.paused:
        return False
    # As its own step will see it: what is noted there decides what would be lost.
    view = watched(view)
    held_for_loss = view.record.held_for is HeldFor.LOSS
    return view.log_taken if held_for_loss else approvals.bears_loss(view)


def _may_take_over(view: View) -> bool:
    """Whether nothing but time keeps the backup from taking over."""
    backup = view.spec.replica(view.record.backup)
    in_use = backup is not None and backup.stage is Stage.ACTIVE
    vetoed = view.backup is not None and bool(view.backup.veto)
    return in_use and not vetoed and view.record.hold is None and _may_stand(view)


def _may_stand(view: View) -> bool:
    """Whether the backup stands by, as its newest word says: it counts until the backup is lost,
    also while it has not taken the present revision yet."""
    agent = view.record.backup
    if view.backup is None and view.unheard_ms(agent) >= view.lost_after_ms:
        return False
    seen = view.service.reports.get(agent)
    if seen is None:
        return True
    told = seen.report
    return told.role is Role.STANDBY and view.is_copy(told) and not cannot_take_over(told)
