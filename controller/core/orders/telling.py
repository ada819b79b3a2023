"""When the agents of a service are told their assignments, and what."""

from __future__ import annotations

from controller.core.actions import Action, SendOrder
from controller.core.model import ServiceState
from controller.core.moment.view import View
from controller.core.orders.assignments import assignment_for

ORDER_AGAIN_MS = 200


def order_is_due(view: View) -> bool:
    """Whether an agent must be told something new, or has not taken it for a while."""
    if view.service.fenced_since_ms > view.service.ordered_ms and view.waits_for_log:
        return True
    if view.now_ms - view.service.ordered_ms < ORDER_AGAIN_MS:
        return False
    heard = [r for r in (view.primary, view.backup) if r is not None]
    behind = any(report.revision < view.record.revision for report in heard)
    return behind or view.waits_for_log


def remind(service: ServiceState, agent: str, term: int) -> list[Action]:
    """Answer a report that names another revision, or waits for an echo that it may have."""
    report = service.reports[agent].report if agent in service.reports else None
    if report is None:
        return []
    echo = report.start_nonce and service.echoes.get(agent) == report.start_nonce
    if echo or report.revision < service.record.revision:
        return orders(service, [agent], term)
    return []


def orders(service: ServiceState, agents: list[str], term: int) -> list[Action]:
    """What to tell these agents; nothing where the phase orders nothing."""
    made = [(agent, assignment_for(service, agent, term)) for agent in agents]
    return [SendOrder(agent, assignment) for agent, assignment in made if assignment]
