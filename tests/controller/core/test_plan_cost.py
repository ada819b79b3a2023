"""What plans cost grows with the number of services, not with its square."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest

from controller.core.actions import SavePlan
from controller.core.events import Tick
from controller.core.gates import room
from controller.core.site_model import Consequence
from controller.core.step import step
from tests.controller.core.given import NOW
from tests.controller.core.plan_cost import behind, night, nights, with_caution

FEW, MANY = 30, 90
AT_MOST = 1.2
"""So much more a service may cost among many than among few: what is sorted costs a little more."""


def calls(do: Callable[[], object]) -> int:
    """How many functions are called: the same on every machine."""
    counted = 0

    def count(_frame: FrameType, event: str, _argument: Any) -> None:
        nonlocal counted
        counted += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        do()
    finally:
        sys.setprofile(before)
    return counted


@pytest.mark.parametrize("what", nights(1))
def test_a_service_costs_no_more_among_many(what: str) -> None:
    few, many = nights(FEW)[what], nights(MANY)[what]
    for do in (few, many):
        do()
    assert calls(many) <= AT_MOST * MANY / FEW * calls(few)


def test_who_fits_is_worked_out_once_for_all_that_a_look_asks_about(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looked, shipped = [], room.placement_at

    def counted(*arguments: Any) -> Any:
        looked.append(arguments[1])
        return shipped(*arguments)

    state = night(behind, Consequence.EVACUATE, 6)
    monkeypatch.setattr(room, "placement_at", counted)
    _state, actions = step(with_caution(state), Tick(), NOW)
    assert not [one for one in actions if isinstance(one, SavePlan)]
    assert looked == ["batam"]
