"""What links run over is said where they are cut, and decides nothing."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from controller.core.actions import Action, Note, Swap
from controller.core.configured import redeclared_nation
from controller.core.events import Event, ReportCame, Tick
from controller.core.model import Phase, Record, State
from controller.core.site_model import Consequence, LinkSpec, LinkState, Nation, SiteSpec
from controller.core.sites.shared_risk import risk_told, shared_risk
from controller.core.step import step
from protocol.messages import Header, Report
from tests.controller.core.given import UID, Given, asked, backup_report, primary_report
from tests.controller.core.sites.nations import Country, four

AB, AC, BC = ("a", "b"), ("a", "c"), ("b", "c")


def declared(*links: tuple[tuple[str, str], str, tuple[str, ...]]) -> Country:
    """Four sites, all well, with these links; both ends of each stand on the ring."""
    country = four()
    for site in "abcd":
        country.declare(site, shared_risk_links=("ring",))
    specs = tuple(LinkSpec(sites, name, over) for sites, name, over in links)
    country.nation = replace(country.nation, link_specs=specs)
    return country


def link(country: Country, sites: tuple[str, str]) -> LinkState:
    return next(found for found in country.nation.links if found.sites == sites)


def because(country: Country, *cut: tuple[str, str]) -> str:
    """What is said of the first of these links, once all of them are cut."""
    for sites in cut:
        country.cut_link(*sites)
    return link(country.run(12_000), cut[0]).because


def test_a_declared_link_decides_what_its_sites_share_though_both_stand_on_one_ring() -> None:
    country = declared((("b", "a"), "", ("strait", "duct")))
    assert "; shared risk: strait, duct; " in because(country, AB)
    assert link(country, AB).shared_risk == ("strait", "duct")
    assert link(country, BC).shared_risk == ("ring",)


def test_only_what_all_links_of_two_sites_run_over_is_shared() -> None:
    country = declared((AB, "north", ("x", "y")), (AB, "south", ("z", "y")))
    said = because(country, AB)
    assert "shared risk of its links north (x, y) and south (z, y): y" in said
    assert link(country, AB).shared_risk == ("y",)


def test_links_of_two_sites_that_run_over_nothing_in_common_are_told_as_such() -> None:
    said = because(declared((AB, "north", ("x",)), (AB, "", ("z",))), AB)
    assert "shared risk of its links north (x) and the unnamed one (z): none in common" in said


def test_two_links_that_are_cut_at_one_time_over_one_cable_have_probably_one_cause() -> None:
    country = declared((AB, "", ("x", "cable")), (AC, "", ("cable", "y")))
    said = because(country, AB, AC)
    assert "a <-> c is broken as well and runs over cable, too: probably one cause; " in said
    assert link(country, AB).common_cause == link(country, AC).common_cause == ("cable",)
    assert "a <-> b is broken as well and runs over cable, too" in link(country, AC).because
    country.heal().run(30_000)
    assert [one.common_cause for one in country.nation.links] == [()] * 6


def test_sites_that_name_one_cable_without_declared_links_have_one_cause_as_well() -> None:
    assert "a <-> c is broken as well and runs over ring, too" in because(declared(), AB, AC)


def test_the_group_that_explains_most_cuts_is_the_probable_cause() -> None:
    country = declared((AB, "", ("x", "y")), (AC, "", ("x",)), (BC, "", ("x", "y")))
    said = because(country, AB, AC, BC)
    assert "a <-> c, b <-> c are broken as well and run over x, too: probably one cause; " in said
    assert link(country, AB).common_cause == ("x",)


def test_cuts_over_different_cables_are_called_no_one_cause() -> None:
    said = because(declared((AB, "", ("x",)), (AC, "", ("y",))), AB, AC)
    assert "cause" not in said


def test_two_diverse_links_that_are_cut_blame_no_cable_of_one_of_them() -> None:
    country = declared((AB, "north", ("x",)), (AB, "south", ("y",)), (AC, "", ("x",)))
    assert "cause" not in because(country, AB, AC)


def test_a_link_over_the_same_cable_that_is_up_speaks_against_it() -> None:
    country = declared((AB, "", ("x",)), (AC, "", ("x",)), (BC, "", ("x",)))
    assert "probably one cause, though b <-> c over it is up; " in because(country, AB, AC)


def test_the_history_of_a_cut_names_the_probable_cause() -> None:
    country = declared((AB, "", ("x",)), (AC, "", ("x",))).cut_link(*AB).cut_link(*AC)
    country.run(12_000)
    told = [note.happening for note in country.notes if "cut" in note.happening.what]
    assert [one.subject for one in told] == ["a <-> b", "a <-> c"]
    assert all("probably one cause" in one.because for one in told)


def test_a_reload_tells_at_once_what_a_cut_link_runs_over() -> None:
    country = declared().cut_link(*AB).run(12_000)
    specs = (LinkSpec(AB, "palapa", ("strait",)),)
    wanted = replace(country.nation, link_specs=specs)
    since_ms = link(country, AB).since_ms
    country.nation = redeclared_nation(country.nation, wanted, country.now_ms)
    country.turn()
    found = link(country, AB)
    assert "; shared risk of its link palapa: strait; " in found.because
    assert (found.health.value, found.since_ms) == ("cut", since_ms)


@pytest.mark.parametrize(
    ("links", "shared", "said"),
    [
        ([], (), "shared risk: none declared for both"),
        ([], ("x",), "shared risk: x"),
        ([("", ("x", "y"))], ("x", "y"), "shared risk: x, y"),
        ([("north", ("x",))], ("x",), "shared risk of its link north: x"),
    ],
)
def test_how_a_shared_risk_is_said(links: Any, shared: tuple[str, ...], said: str) -> None:
    assert risk_told(links, shared) == said


groups = st.lists(st.sampled_from("vwxyz"), min_size=1, max_size=4).map(tuple)
sites = st.sampled_from(["jabodetabek", "batam", "ikn"])
specs = st.builds(LinkSpec, st.tuples(sites, sites), st.sampled_from(["", "n", "s"]), groups)


@given(st.lists(groups, min_size=1, max_size=4))
def test_a_shared_group_is_one_of_every_declared_link_and_stands_once(
    over: list[tuple[str, ...]],
) -> None:
    end = SiteSpec("a")
    shared = shared_risk(end, end, [LinkSpec(AB, str(n), one) for n, one in enumerate(over)])
    assert len(shared) == len(set(shared))
    assert set(shared) == set.intersection(*map(set, over))


class World:
    """The rules over a service and three sites; what they decide."""

    def __init__(self, nation: Nation) -> None:
        self.state = State(1, "g", {UID: Given(Phase.PROTECTED).service}, nation)
        self.decided: list[Action] = []
        self.noted: list[tuple[str, str]] = []

    def feed(self, event: Event, now_ms: int) -> None:
        self.state, actions = step(self.state, event, now_ms)
        self.decided += [one for one in actions if not isinstance(one, Note)]
        notes = [one.happening for one in actions if isinstance(one, Note)]
        self.noted += [(one.subject, one.what) for one in notes]

    def bare(self) -> State:
        """All that is known, without what is said of the links."""
        links = tuple(
            replace(one, because="", shared_risk=(), declared=(), common_cause=())
            for one in self.state.nation.links
        )
        nation = replace(self.state.nation, links=links, link_specs=())
        return replace(self.state, nation=nation)


Fault = tuple[str, str, str, int]
fault = st.tuples(
    st.sampled_from(["silence", "kill", "cut", "cut", "cut", "heal"]), sites, sites,
    st.integers(1, 25),
)  # fmt: skip


@given(st.lists(specs, min_size=1, max_size=6), st.lists(fault, min_size=1, max_size=5))
@settings(max_examples=30)
def test_declared_links_change_no_verdict_and_nothing_that_is_done(
    links: list[LinkSpec], faults: list[Fault]
) -> None:
    with_links, without = lived(links, faults)
    assert with_links.decided == without.decided
    assert with_links.noted == without.noted
    assert with_links.bare() == without.bare()


def test_the_law_above_sees_a_failover_and_an_evacuation() -> None:
    phases = {}
    for kind, sites in {"kill": ("batam",), "cut": ("batam", "ikn")}.items():
        _, without = lived([], [(kind, "jabodetabek", site, 20) for site in sites])
        phases[kind] = [one.record.phase for one in without.decided if isinstance(one, Swap)]
        assert (without.state.plan is not None) is (kind == "cut")
    assert Phase.PROMOTING in phases["kill"]
    assert Phase.DRAINING in phases["cut"]


def lived(links: list[LinkSpec], faults: list[Fault]) -> tuple[World, World]:
    """The same moments, with declared links and without."""
    country = Country(jabodetabek=2, batam=2, ikn=1)
    led = dict.fromkeys(("strategis", "tinggi", "rendah"), Consequence.EVACUATE)
    country.declare("jabodetabek", partner="batam", policy={"paths": led})
    country.declare("batam", partner="jabodetabek").run(20_000)
    with_links = World(replace(country.nation, link_specs=tuple(links)))
    without = World(country.nation)
    for kind, one, other, seconds in faults:
        match kind:
            case "silence":
                country.silence(one)
            case "kill":
                country.kill(one)
            case "cut":
                country.cut_link(one, other)
            case _:
                country.heal()
        for _ in range(seconds * 3):
            for event in _events(country, without.state.services[UID].record):
                with_links.feed(event, country.now_ms)
                without.feed(event, country.now_ms)
    return with_links, without


def _events(country: Country, record: Record) -> list[Event]:
    """What the controller hears in one moment. A backup that hears its primary no more does as it
    is ordered: it grants nothing, and all that it promised has run out."""
    heard = country.heard()
    under: dict[str, Any] = {"revision": record.revision, "epoch": record.epoch}
    if record.primary in country.dead:
        stopped = record.phase is Phase.COUNTDOWN
        under |= {"primary_heard": False, "streaming": False, "stopped": stopped}
        under |= {"promise_left_ms": 0}
    copies = {
        record.primary: (primary_report(revision=record.revision, epoch=record.epoch),),
        record.backup: (backup_report(**under),),
    }
    reports = [
        ReportCame(
            Report(Header("pdn", agent, "b", "i", 1), copies.get(agent, ()), paths=seen.paths)
        )
        for agent, seen in heard.items()
    ]
    proof = [asked(record.primary, **{k: under[k] for k in ("revision", "epoch")})]
    return [*reports, *(proof if record.primary in heard else []), Tick()]
