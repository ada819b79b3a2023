"""Which sites an earthquake puts under caution: by distance, strength, depth and tsunami."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from config.hazards import Hazards
from config.loader import load_topology
from config.topology import SiteState
from controller.hazards.judge import Outcome, judge, surface_km
from controller.hazards.quakes import Quake
from tests.controller.hazards.documents import HOUR, NOW

EXAMPLE = Path(__file__).parents[3] / "config" / "example" / "four-sites.yaml"
SITES = load_topology(EXAMPLE).value.sites
RULES = Hazards()
QUAKE = Quake("bmkg:1", "BMKG", NOW - 600_000, -8.49, 119.89, 10.0, 6.3, "Labuan Bajo", False)

quakes = st.builds(
    replace,
    st.just(QUAKE),
    at_ms=st.integers(NOW - 100 * HOUR, NOW + HOUR),
    latitude=st.floats(-90, 90),
    longitude=st.floats(-180, 180),
    depth_km=st.floats(-10, 1000),
    magnitude=st.floats(-2, 10.5),
    tsunami=st.booleans(),
)


def at(quake: Quake = QUAKE, rules: Hazards = RULES, **changes: Any) -> list[str]:
    return [c.site for c in judge(replace(quake, **changes), SITES, rules, NOW).cautions]


@pytest.mark.parametrize(
    ("one", "other", "km"),
    [
        ("jabodetabek", "batam", 907),
        ("jabodetabek", "ikn", 1217),
        ("jabodetabek", "labuan-bajo", 1422),
        ("batam", "labuan-bajo", 2054),
        ("ikn", "labuan-bajo", 907),
    ],
)
def test_distances_between_the_sites(one: str, other: str, km: int) -> None:
    a, b = (next(s.location for s in SITES if s.id == name) for name in (one, other))
    assert surface_km(a.latitude, a.longitude, b.latitude, b.longitude) == pytest.approx(km, abs=2)


@given(
    st.floats(-90, 90), st.floats(-180, 180), st.floats(-90, 90), st.floats(-180, 180)
)  # fmt: skip
def test_a_distance_is_symmetric_and_bounded(a: float, b: float, c: float, d: float) -> None:
    there, back = surface_km(a, b, c, d), surface_km(c, d, a, b)
    assert there == pytest.approx(back, abs=1e-6)
    assert 0 <= there <= 20_016


def test_near_and_strong_leads_to_caution_at_that_site_alone() -> None:
    (caution,) = judge(QUAKE, SITES, RULES, NOW).cautions
    assert (caution.site, caution.for_ms) == ("labuan-bajo", 12 * HOUR)
    assert caution.begun_at_ms == QUAKE.at_ms
    assert caution.source == "BMKG"
    assert "M 6.3" in caution.text and "Labuan Bajo" in caution.text


def test_weak_far_or_deep_is_out_of_reach() -> None:
    assert at(magnitude=4.9) == []
    assert at(latitude=-11.0) == []
    assert at(depth_km=600.0) == []
    assert judge(replace(QUAKE, magnitude=4.9), SITES, RULES, NOW).outcome is Outcome.OUT_OF_REACH


def test_a_tsunami_reaches_farther_than_the_ground() -> None:
    far = replace(QUAKE, latitude=-11.5)
    assert at(far) == []
    (caution,) = judge(replace(far, tsunami=True), SITES, RULES, NOW).cautions
    assert caution.for_ms == 24 * HOUR
    assert "tsunami" in caution.text


def test_a_weak_one_with_a_tsunami_counts_as_well() -> None:
    assert at(magnitude=4.0, tsunami=True) == ["labuan-bajo"]


def test_the_thresholds_are_those_of_the_file() -> None:
    rules = Hazards.model_validate(
        {"quakes": [{"magnitude": 4.0, "within_km": 3000.0, "for": "1h"}]}
    )
    assert at(rules=rules) == [site.id for site in SITES]


def test_retired_sites_are_left_alone() -> None:
    gone = [site.model_copy(update={"state": SiteState.RETIRED}) for site in SITES]
    assert judge(QUAKE, gone, RULES, NOW) == (Outcome.OUT_OF_REACH, ())


def test_what_is_old_or_from_the_future_leads_to_nothing() -> None:
    old = judge(replace(QUAKE, at_ms=NOW - 12 * HOUR), SITES, RULES, NOW)
    assert old == (Outcome.OLD, ())
    ahead = judge(replace(QUAKE, at_ms=NOW + 10 * 60_000), SITES, RULES, NOW)
    assert ahead == (Outcome.FUTURE, ())
    assert judge(replace(QUAKE, at_ms=NOW + 60_000), SITES, RULES, NOW).cautions


@given(quakes)
def test_every_caution_is_bounded_and_begins_with_the_earthquake(quake: Quake) -> None:
    judged = judge(quake, SITES, RULES, NOW)
    assert (judged.outcome is Outcome.CAUTION) == bool(judged.cautions)
    for caution in judged.cautions:
        assert caution.begun_at_ms == quake.at_ms
        assert NOW - quake.at_ms < caution.for_ms <= 48 * HOUR


@given(quakes, st.floats(0, 5))
def test_a_stronger_one_never_leads_to_less(quake: Quake, more: float) -> None:
    weaker = {c.site: c.for_ms for c in judge(quake, SITES, RULES, NOW).cautions}
    stronger = {
        c.site: c.for_ms
        for c in judge(replace(quake, magnitude=quake.magnitude + more), SITES, RULES, NOW).cautions
    }
    assert all(stronger.get(site, 0) >= for_ms for site, for_ms in weaker.items())
