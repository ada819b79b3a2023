"""Whether a site could carry another's loss, and who would be left behind."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from controller.core.foresight.capacity import capacities
from controller.core.model import HeldFor, Phase
from controller.core.site_model import AgentSeen, Load, Stage
from protocol.messages import Usage
from tests.controller.core.company import TARGET, company, of_site, renamed, vcpu
from tests.controller.core.given import NOW, Given


def test_what_a_site_carries_now_and_after_the_loss_of_another() -> None:
    state = company(
        renamed(Given(Phase.PROTECTED), "own", home=TARGET, demand=vcpu(4)),
        renamed(Given(Phase.PROTECTED), "first", demand=vcpu(2), tier="strategis"),
        renamed(Given(Phase.PROTECTED), "second", demand=vcpu(3)),
        renamed(Given(Phase.PROTECTED), "third", demand=vcpu(9)),
        nation=of_site(vcpu(8), gives_up=("third",)),
    )
    (site,) = capacities(state, NOW)
    assert (site.site, site.declared, site.demanded) == (TARGET, vcpu(8), vcpu(4))
    assert site.primaries == ("own",)
    (after,) = site.after
    assert (after.lost, after.demanded) == ("jabodetabek", vcpu(18))
    assert after.comes == ("first", "second", "third")
    assert (after.held, after.given_up) == (("second",), ("third",))
    assert not site.carries_all


def test_where_nothing_is_declared_everything_fits() -> None:
    state = company(renamed(Given(Phase.PROTECTED), "a", demand=vcpu(9)), nation=of_site(None))
    (site,) = capacities(state, NOW)
    assert site.carries_all and site.after[0].held == ()


def test_who_waits_for_room_now_is_named() -> None:
    held = renamed(Given(Phase.HELD).held(HeldFor.CAPACITY), "a", demand=vcpu(9))
    (site,) = capacities(company(held, nation=of_site(vcpu(4))), NOW)
    assert site.waiting == ("a",) and not site.carries_all


def test_the_real_use_is_the_sum_of_what_the_agents_tell() -> None:
    nation = of_site(vcpu(8))
    state_of_site = nation.sites[TARGET]
    spec = replace(state_of_site.spec, agents=("b1", "b2", "b3"))
    heard = {
        "b1": AgentSeen(NOW, usage=Usage(1500, 2**30, 2**40, 7)),
        "b2": AgentSeen(NOW, usage=Usage(500, 2**30, 0, 1)),
        "b3": AgentSeen(NOW),
    }
    nation = replace(nation, sites={TARGET: replace(state_of_site, spec=spec)}, agents=heard)
    (site,) = capacities(company(nation=nation), NOW)
    assert site.used == Load(2.0, 2.0, 1.0, 8)


@pytest.mark.parametrize("stage", [Stage.PLANNED, Stage.SUSPENDED, Stage.RETIRED])
def test_nobody_comes_to_a_site_that_is_not_active_whatever_room_it_has(stage: Stage) -> None:
    nation = of_site(vcpu(99), gives_up=("arsip",))
    there = nation.sites[TARGET]
    nation = replace(nation, sites={TARGET: replace(there, spec=replace(there.spec, stage=stage))})
    come = [renamed(Given(Phase.PROTECTED), name, demand=vcpu(2)) for name in ("paspor", "arsip")]
    (site,) = capacities(company(*come, nation=nation), NOW)
    (after,) = site.after
    assert (after.held, after.given_up, after.demanded) == (("paspor",), ("arsip",), Load())
    assert site.stage is stage and not site.carries_all
