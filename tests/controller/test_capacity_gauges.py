"""What Prometheus is shown of the room at sites."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

from controller.core.model import Phase
from controller.metrics.capacity import room
from controller.status import Status
from tests.controller.core.company import TARGET, company, of_site, renamed, vcpu
from tests.controller.core.given import NOW, Given


def test_what_is_declared_demanded_and_left_behind_is_shown() -> None:
    state = company(
        renamed(Given(Phase.PROTECTED), "own", home=TARGET, demand=vcpu(4)),
        renamed(Given(Phase.PROTECTED), "first", demand=vcpu(5)),
        renamed(Given(Phase.PROTECTED), "second", demand=vcpu(5)),
        nation=of_site(vcpu(8), gives_up=("second",)),
    )
    status: Any = SimpleNamespace(state=state, now_ms=NOW)
    told = {
        (sample.name, *sample.labels.values()): sample.value
        for family in room(cast("Status", status))
        for sample in family.samples
    }
    assert told == {
        ("saling_site_capacity", TARGET, "vcpu"): 8,
        ("saling_site_demand", TARGET, "vcpu"): 4,
        ("saling_site_loss_held", TARGET, "jabodetabek"): 1,
        ("saling_site_loss_given_up", TARGET, "jabodetabek"): 1,
    }
