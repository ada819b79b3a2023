"""Where the service of a step stands: read from its record, never from what was once begun."""

from __future__ import annotations

from enum import StrEnum

from controller.core.conditions.pair import primary_reigns
from controller.core.model import Phase, ServiceState, State
from controller.core.moment.view import View
from controller.core.plan_model import PlanStep

PATIENCE_MS = 120_000
"""What is on its way for longer than this comes to nothing without a person, as far as shows."""
ON_ITS_WAY = (Phase.DRAINING, Phase.COUNTDOWN, Phase.PROMOTING, Phase.ROUTING)


class Standing(StrEnum):
    """What a plan can do about a service now."""

    SERVES = "serves"
    """It is where it shall be, and commits there."""
    ON_ITS_WAY = "on its way"
    STUCK = "stuck"
    """It goes on by itself, or by a person, but by no request of the plan."""
    FREE = "free"
    """It may be asked for."""
    GONE = "gone"
    """It is not what the plan was made for any more."""


def standing(state: State, step: PlanStep, now_ms: int) -> tuple[Standing, str]:
    """Where it stands, and the sentence for it. The sentence changes with the record alone."""
    service = state.services.get(step.service_uid)
    if service is None:
        return Standing.GONE, f"{step.service} is not declared any more"
    record = service.record
    if record.primary == step.to_agent:
        return _at_the_target(service, now_ms)
    if record.primary != step.from_agent or record.backup != step.to_agent:
        held_by = f"its primary is {record.primary}, its backup {record.backup or 'nobody'}"
        return Standing.GONE, f"{held_by}: it is not moved to {step.to_agent} any more"
    if record.phase is Phase.HELD:
        return Standing.STUCK, record.because
    if record.phase in ON_ITS_WAY:
        return _on_its_way(service, now_ms)
    return Standing.FREE, record.because


def _at_the_target(service: ServiceState, now_ms: int) -> tuple[Standing, str]:
    record, view = service.record, View(service, now_ms)
    if record.phase is not Phase.PROMOTING and primary_reigns(view):
        return Standing.SERVES, f"{record.primary} serves in epoch {record.epoch}"
    if record.phase is Phase.HELD:
        return Standing.STUCK, record.because
    if record.phase is Phase.PROMOTING or view.in_phase_ms < PATIENCE_MS:
        return _on_its_way(service, now_ms)
    return Standing.STUCK, f"{record.primary} took it over and does not commit: {record.because}"


def _on_its_way(service: ServiceState, now_ms: int) -> tuple[Standing, str]:
    record = service.record
    if View(service, now_ms).in_phase_ms < PATIENCE_MS:
        return Standing.ON_ITS_WAY, record.because
    text = f"in {record.phase.value} for {PATIENCE_MS // 1000} s and more: {record.because}"
    return Standing.STUCK, text
