"""A pair of sites over a world of services, one of them not well; for tests of plans by policy."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from config.tiers import TIERS
from controller.core.actions import SavePlan
from controller.core.model import ServiceSpec, State
from controller.core.plan_model import (
    Moved,
    MoveRules,
    Plan,
    PlanKind,
    PlanStatus,
)
from controller.core.plans.policy import go_by_policy
from controller.core.site_model import (
    Consequence,
    Health,
    Nation,
    Sign,
    SiteSpec,
    SiteState,
)
from controller.core.step import on_request
from tests.controller.core.plan_world import PlanWorld, service

DWELL_MS = 600_000
RULES = MoveRules(dwell_ms=DWELL_MS)


class Site:
    """A pair of sites over a world of services, one of them not well."""

    def __init__(self, *specs: ServiceSpec, **policy: Consequence) -> None:
        self.world = PlanWorld(specs or [service("paspor")])
        led = {reason: dict.fromkeys(TIERS, one) for reason, one in policy.items()}
        now_ms = self.world.now_ms
        sign = Sign("disk", "2 GiB free", (), now_ms - 60_000, now_ms)
        ill = SiteSpec("jabodetabek", partner="batam", policy=led)
        self.nation = Nation(
            sites={
                "jabodetabek": SiteState(
                    ill, Health.DEGRADED, "its disk fills", ("disk",), 0, (sign,)
                ),
                "batam": SiteState(SiteSpec("batam", partner="jabodetabek"), Health.HEALTHY, ""),
            }
        )
        self.rules = RULES
        self.past: tuple[Moved, ...] = ()

    @property
    def state(self) -> State:
        memory = replace(self.world.state.plan_memory, past=self.past, looked_ms=0)
        return replace(
            self.world.state, nation=self.nation, plan_memory=memory, move_rules=self.rules
        )

    def plan(self) -> Plan | None:
        """The plan that is made now."""
        _state, actions = go_by_policy(self.state, 0, self.world.now_ms, on_request)
        saves = [action for action in actions if isinstance(action, SavePlan)]
        return saves[0].plan if saves else None

    def left(self, ago_ms: int, **changes: Any) -> Site:
        """It was left by a plan that ended so long ago."""
        ended_ms = self.world.now_ms - ago_ms
        one = Moved("p1", PlanKind.EVACUATE, "jabodetabek", PlanStatus.DONE, ended_ms, ended_ms)
        self.past = (replace(one, **({"by_policy": True} | changes)),)
        return self
