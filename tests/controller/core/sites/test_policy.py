"""What a site's reasons lead to, service by service."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from controller.core.model import Phase, ServiceState
from controller.core.site_model import Consequence, Health, Nation, Sign, SiteSpec, SiteState, Stage
from controller.core.sites.policy import (
    care,
    failback_held,
    leads_to,
    policy_of,
    readiness,
    wished,
)
from controller.core.sites.signs import BELIEVED_AFTER_MS, KEPT_FOR_MS, is_believed
from tests.controller.core.given import NOW, A, B, Given

HOME, AWAY = "jabodetabek", "batam"


def sign(kind: str, *agents: str, lasted_ms: int = BELIEVED_AFTER_MS) -> Sign:
    return Sign(kind, "as bad as it gets", agents, NOW - lasted_ms, NOW)


def nation(*signs: Sign, partner: Health = Health.HEALTHY, **declared: Any) -> Nation:
    """The primary's site with these signs, and its partner."""
    health = declared.pop("health", Health.DEGRADED)
    policy = policy_of(declared)
    home = SiteSpec(HOME, agents=(A,), partner=AWAY, policy=policy)
    away = SiteSpec(AWAY, agents=(B,), partner=HOME, policy=policy)
    ill = with_signs(SiteState(home, health, "it is so"), *signs)
    return Nation(sites={HOME: ill, AWAY: SiteState(away, partner)})


def with_signs(site: SiteState, *signs: Sign) -> SiteState:
    """As it was judged just now."""
    counting = tuple(one.kind for one in signs if is_believed(one, NOW))
    return replace(site, signs=signs, reasons=counting if site.health is Health.DEGRADED else ())


def service(tier: str = "rendah") -> ServiceState:
    given = Given(Phase.PROTECTED)
    return given.seen(spec=replace(given.spec, tier=tier)).service


def one(known: Nation, tier: str = "rendah") -> Consequence:
    """What is wished of the one service."""
    wishes = wished(known, [service(tier)], NOW)
    return wishes[0].consequence if wishes else Consequence.NOTHING


def test_the_most_particular_word_counts() -> None:
    top = {"disk": Consequence.EVACUATE, "other": Consequence.ALARM}
    site = {"disk": {"rendah": Consequence.NOTHING}}
    spec = SiteSpec("a", policy=policy_of(top, site))
    assert leads_to(spec, "disk", "strategis") is Consequence.EVACUATE
    assert leads_to(spec, "disk", "rendah") is Consequence.NOTHING
    assert leads_to(spec, "hall-2-water", "rendah") is Consequence.ALARM
    assert leads_to(spec, "clock", "rendah") is Consequence.ALARM


def test_nothing_is_moved_unless_the_configuration_says_so() -> None:
    kinds = ("agents", "certificate", "clock", "disk", "latency", "packet-loss", "paths", "flood")
    assert one(nation(*(sign(kind) for kind in kinds)), "strategis") is Consequence.READINESS
    for health in Health:
        assert one(nation(health=health)) in (Consequence.NOTHING, Consequence.READINESS)


def test_the_strongest_of_the_reasons_counts_and_is_named() -> None:
    known = nation(sign("disk"), sign("flood"), flood=Consequence.EVACUATE)
    (wish,) = wished(known, [service()], NOW)
    assert (wish.consequence, wish.reasons) == (Consequence.EVACUATE, ("flood",))
    assert wish.because == "jabodetabek is degraded (flood: as bad as it gets)"
    assert (wish.site, wish.service) == (HOME, "paspor")


def test_a_tier_may_be_treated_otherwise() -> None:
    known = nation(sign("disk"), disk={"strategis": Consequence.EVACUATE})
    assert one(known, "strategis") is Consequence.EVACUATE
    assert one(known, "rendah") is Consequence.READINESS


def test_what_concerns_another_host_moves_nothing_here() -> None:
    assert one(nation(sign("disk", "jabodetabek-2"), disk=Consequence.EVACUATE)) is (
        Consequence.NOTHING
    )
    assert one(nation(sign("disk", A), disk=Consequence.EVACUATE)) is Consequence.EVACUATE


def test_what_did_not_last_moves_nothing() -> None:
    brief = sign("flood", lasted_ms=BELIEVED_AFTER_MS - 1)
    assert one(nation(brief, flood=Consequence.EVACUATE)) is Consequence.NOTHING


def test_a_reason_counts_until_its_site_is_judged_anew() -> None:
    known = nation(sign("flood"), flood=Consequence.EVACUATE)
    (wish,) = wished(known, [service()], NOW + KEPT_FOR_MS + 1)
    assert wish.consequence is Consequence.EVACUATE


@pytest.mark.parametrize("health", [Health.UNKNOWN, Health.CUT_OFF, Health.DOWN])
def test_nothing_is_moved_to_a_partner_that_is_not_reached(health: Health) -> None:
    known = nation(sign("flood"), partner=health, flood=Consequence.EVACUATE)
    (wish,) = wished(known, [service()], NOW)
    assert wish.consequence is Consequence.READINESS
    assert f"batam is {health.value}, so nothing is moved there" in wish.because


@pytest.mark.parametrize(
    ("there", "moved"),
    [
        (sign("flood"), False),
        (sign("disk", B), False),
        (sign("disk", "batam-2"), True),
        (sign("clock"), True),
        (sign("flood", lasted_ms=0), True),
    ],
)
def test_nothing_is_moved_to_a_partner_that_would_be_left_as_well(there: Sign, moved: bool) -> None:
    moves = {"flood": Consequence.EVACUATE, "disk": Consequence.EVACUATE}
    known = nation(sign("flood"), partner=Health.DEGRADED, **moves)
    away = with_signs(known.sites[AWAY], there)
    (wish,) = wished(replace(known, sites={**known.sites, AWAY: away}), [service()], NOW)
    assert (wish.consequence is Consequence.EVACUATE) is moved
    assert moved or "batam would be left as well" in wish.because


def test_a_blind_controller_wishes_nothing() -> None:
    known = nation(sign("flood"), flood=Consequence.EVACUATE)
    assert wished(replace(known, blind="it hears nobody"), [service()], NOW) == ()


def test_a_site_without_a_partner_raises_an_alarm_at_most() -> None:
    known = nation(sign("flood"), flood=Consequence.EVACUATE)
    home = known.sites[HOME]
    alone = replace(known, sites={HOME: replace(home, spec=replace(home.spec, partner=""))})
    assert one(alone) is Consequence.ALARM


def test_a_failover_is_wished_only_when_writes_no_longer_commit() -> None:
    known = nation(health=Health.DOWN, down=Consequence.FAILOVER)
    (wish,) = wished(known, [service()], NOW)
    assert wish.consequence is Consequence.READINESS
    assert "writes still commit" in wish.because
    silent = Given(Phase.PROTECTED).silent().service
    assert wished(known, [silent], NOW)[0].consequence is Consequence.FAILOVER


def test_a_site_that_is_not_active_leads_to_nothing() -> None:
    known = nation(sign("flood"), flood=Consequence.EVACUATE)
    home = known.sites[HOME]
    planned = replace(home, spec=replace(home.spec, stage=Stage.SUSPENDED))
    assert one(replace(known, sites={**known.sites, HOME: planned})) is Consequence.NOTHING


def test_the_partner_is_asked_to_be_ready() -> None:
    assert readiness(nation(sign("flood")), [service()], NOW) == {
        AWAY: "jabodetabek may need it: flood"
    }
    assert readiness(nation(sign("clock")), [service()], NOW) == {}


def test_nothing_is_moved_back_to_a_site_that_is_not_healthy() -> None:
    assert failback_held(nation(sign("flood")), HOME) == "jabodetabek is degraded: it is so"
    assert failback_held(nation(health=Health.HEALTHY), HOME) == ""


def test_the_people_of_a_service_are_told_why_they_should_stand_ready() -> None:
    told = care(nation(sign("flood")), service(), NOW)
    assert told == ("jabodetabek is degraded (flood: as bad as it gets)",)
    assert care(nation(sign("clock")), service(), NOW) == ()
