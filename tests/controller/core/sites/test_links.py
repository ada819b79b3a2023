"""A link between two sites that is cut is a finding, and no site's fault."""

from __future__ import annotations

from msgspec.structs import replace

from controller.core.model import Phase
from controller.core.site_model import LinkState
from controller.core.sites.shared_risk import is_broken
from tests.controller.core.given import A, B, Given
from tests.controller.core.sites.nations import Country, four

ALL_WELL = {"a": "healthy", "b": "healthy", "c": "healthy", "d": "healthy"}


def link(country: Country, one: str, other: str) -> LinkState:
    return next(found for found in country.nation.links if found.sites == (one, other))


def test_all_links_are_up_where_all_is_well() -> None:
    country = four()
    assert set(country.links().values()) == {"up"}
    assert len(country.links()) == 6
    assert link(country, "a", "b").because == ("round trip 18.0 ms, 0 of 40 probes lost of late")
    assert country.notes == []


def test_a_cut_link_changes_no_site_and_is_named_with_its_shared_risk() -> None:
    country = four().declare("a", shared_risk_links=("java-bangka-batam", "ancol"))
    country.declare("b", shared_risk_links=("batam-strait", "java-bangka-batam"))
    country.cut_link("a", "b").run(12_000)
    assert country.healths() == ALL_WELL
    found = link(country, "a", "b")
    assert found.health.value == "cut"
    assert found.shared_risk == ("java-bangka-batam",)
    assert "a and b are both heard and reached by others" in found.because
    assert "shared risk: java-bangka-batam" in found.because
    assert country.told() == ["a <-> b: up -> cut"]
    assert [f.sites for f in country.nation.links if is_broken(f)] == [("a", "b")]
    country.heal().run(12_000)
    assert link(country, "a", "b").health.value == "up"


def test_one_way_that_is_cut_is_told_as_such() -> None:
    country = four()
    country.cut = {("b", "a")}
    country.run(12_000)
    assert country.healths() == ALL_WELL
    found = link(country, "a", "b")
    assert found.health.value == "one-way"
    assert "b does not reach a, only back" in found.because


def test_the_links_of_a_dead_site_are_no_findings() -> None:
    country = four().kill("a").run(30_000)
    assert {sites for sites, health in country.links().items() if health == "cut"} == set()
    assert "a is not heard: its own state says more" in link(country, "a", "b").because


def test_a_site_that_nobody_reaches_is_degraded_and_no_link_is_blamed() -> None:
    country = four().cut_link("a", "b").cut_link("a", "c").cut_link("a", "d").run(20_000)
    assert country.healths() == ALL_WELL | {"a": "degraded"}
    assert country.nation.sites["a"].reasons == ("paths",)
    assert "none of b, c, d reaches it" in country.because("a")
    assert "cut" not in country.links().values()


def test_of_two_sites_alone_the_link_is_what_is_cut() -> None:
    country = Country(a=1, b=1).run(20_000).cut_link("a", "b").run(20_000)
    assert country.healths() == {"a": "healthy", "b": "healthy"}
    assert country.links() == {("a", "b"): "cut"}


def test_what_a_cut_puts_at_risk_is_named() -> None:
    country = Country(jabodetabek=2, batam=2, ikn=1).run(20_000)
    sites = country.nation.sites
    for name, agent in (("jabodetabek", A), ("batam", B)):
        assert agent in sites[name].spec.agents
    other = Given(Phase.PROTECTED)
    other.seen(record=replace(other.service.record, service="pajak", backup=""))
    country.services = (Given(Phase.PROTECTED).service, other.service)
    country.cut_link("jabodetabek", "batam").run(20_000)
    found = link(country, "jabodetabek", "batam")
    assert found.at_risk == ("paspor",)
    assert "at risk: paspor, whose backups get no log and grant no lease meanwhile" in found.because


def test_sites_in_another_order_are_the_same_link() -> None:
    country = four().cut_link("a", "b").run(12_000)
    told, since_ms = country.told(), link(country, "a", "b").since_ms
    turned = dict(reversed(country.nation.sites.items()))
    country.nation = replace(country.nation, sites=turned)
    country.run(12_000)
    found = link(country, "b", "a")
    assert (found.health.value, found.since_ms) == ("cut", since_ms)
    assert country.told() == told
