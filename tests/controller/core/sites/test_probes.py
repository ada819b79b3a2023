"""Whom each agent probes, and that it is told."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from agents.network.peers import CONNECTIONS_AT_MOST
from controller.core.actions import SendProbes
from controller.core.events import ReportCame
from controller.core.model import State
from controller.core.site_model import Nation, SiteSpec, SiteState, Stage
from controller.core.sites.hearing import TELL_AGAIN_MS
from controller.core.sites.probes import (
    OBSERVERS_AT_MOST,
    PROBES_AT_MOST,
    list_name,
    observers_of,
    probes_of,
    with_probe_lists,
)
from controller.core.step import begin, step
from protocol.messages import Header, Path, Report, Symptom, Usage

NOW = 1_000_000


def declared(sizes: dict[str, int], **stages: Stage) -> Nation:
    """Sites with so many agents each."""
    specs = [
        SiteSpec(name, stages.get(name, Stage.ACTIVE), tuple(f"{name}-{i}" for i in range(size)))
        for name, size in sizes.items()
    ]
    addresses = {agent: f"{agent}.example:8701" for spec in specs for agent in spec.agents}
    sites = {spec.name: SiteState(spec) for spec in specs}
    return Nation(sites=sites, addresses=addresses)


def nation(sizes: dict[str, int], **stages: Stage) -> Nation:
    """The same, with the lists that they should follow."""
    return with_probe_lists(declared(sizes, **stages))


def said(agent: str, probe_list: str = "", **more: object) -> ReportCame:
    header = Header("c", agent, "boot", "life", 1)
    return ReportCame(replace(Report(header, ()), probe_list=probe_list, **more))


def test_the_agents_of_every_other_active_site_are_probed() -> None:
    four = nation({"a": 2, "b": 1, "c": 1, "d": 1}, d=Stage.SUSPENDED)
    assert [probe.agent for probe in probes_of(four, "a-1")] == ["b-0", "c-0"]
    assert [probe.agent for probe in probes_of(four, "b-0")] == ["a-0", "c-0", "a-1"]
    assert probes_of(four, "a-0")[0].address == "b-0.example:8701"
    assert probes_of(four, "d-0") == ()


@given(st.lists(st.integers(0, 250), min_size=2, max_size=5))
def test_no_agent_has_more_observers_than_its_port_has_room_for(sizes: list[int]) -> None:
    many = declared({f"s{i}": size for i, size in enumerate(sizes)})
    for name, site in many.sites.items():
        observers = observers_of(many, name)
        others = sum(sizes) - len(site.spec.agents)
        assert len(observers) <= min(others, OBSERVERS_AT_MOST)
        assert len(observers) == others or len(observers) > OBSERVERS_AT_MOST - len(sizes)
        shares = [(sum(o in s.spec.agents for o in observers), len(s.spec.agents))
                  for s in many.sites.values() if s is not site]  # fmt: skip
        largest = max(share for share, _ in shares)
        assert all(share >= min(whole, largest - 1) for share, whole in shares)


def test_everybody_who_should_see_a_small_site_and_nobody_else_probes_it() -> None:
    large = declared({"a": 200, "b": 200, "c": 200, "d": 1})
    probing = {
        agent
        for site in large.sites.values()
        for agent in site.spec.agents
        if "d-0" in [probe.agent for probe in probes_of(large, agent)]
    }
    assert probing == set(observers_of(large, "d"))
    assert OBSERVERS_AT_MOST - 3 < len(probing) <= OBSERVERS_AT_MOST <= CONNECTIONS_AT_MOST // 2


@given(st.lists(st.integers(0, 60), min_size=2, max_size=5))
def test_no_list_is_too_long_and_every_other_site_gets_its_share(sizes: list[int]) -> None:
    many = nation({f"s{i}": size for i, size in enumerate(sizes)})
    for site in many.sites.values():
        for agent in site.spec.agents[:3]:
            probes = probes_of(many, agent)
            assert len(probes) <= PROBES_AT_MOST
            assert len({probe.agent for probe in probes}) == len(probes)
            shares = {s: sum(p.site == s for p in probes) for s in many.sites}
            assert shares[site.spec.name] == 0
            short = [s for s, share in shares.items() if share < max(shares.values()) - 1]
            for other in short:
                whole = len(many.sites[other].spec.agents)
                assert other == site.spec.name or shares[other] == whole


def test_agents_of_one_site_reach_more_of_a_large_one_together() -> None:
    large = nation({"a": 4, "b": 200})
    reached = {probe.agent for agent in ("a-0", "a-1", "a-2") for probe in probes_of(large, agent)}
    assert len(reached) == 3 * PROBES_AT_MOST


def test_the_name_of_a_list_changes_with_what_stands_in_it() -> None:
    before, after = nation({"a": 1, "b": 1}), nation({"a": 1, "b": 2})
    assert before.probe_lists["a-0"] != after.probe_lists["a-0"]
    assert before.probe_lists == nation({"a": 1, "b": 1}).probe_lists
    assert list_name(()) == ""


def test_a_report_with_another_list_is_answered_with_the_right_one() -> None:
    state = begin([], {}, 1, "g", NOW, nation({"a": 1, "b": 1}))
    state, actions = step(state, said("a-0"), NOW)
    wanted = state.nation.probe_lists["a-0"]
    assert actions == [SendProbes("a-0", wanted, probes_of(state.nation, "a-0"))]
    assert step(state, said("a-0", wanted), NOW + 60_000)[1] == []


def test_an_agent_that_never_follows_a_list_is_not_told_with_every_report() -> None:
    state = begin([], {}, 1, "g", NOW, nation({"a": 1, "b": 1}))
    told = 0
    for at_ms in range(NOW, NOW + 5 * TELL_AGAIN_MS, 500):
        state, actions = step(state, said("a-0", "old"), at_ms)
        told += len(actions)
    assert told == 5


def test_what_an_agent_without_services_says_is_remembered() -> None:
    state = begin([], {}, 1, "g", NOW, nation({"a": 1, "b": 1}))
    path, symptom, usage = Path("b-0", 20, 1), Symptom("disk", "full"), Usage(2400)
    told = said("a-0", paths=(path,), symptoms=(symptom,), usage=usage)
    seen = step(state, told, NOW + 7)[0].nation.agents["a-0"]
    assert (seen.heard_ms, seen.paths, seen.symptoms, seen.usage) == (
        NOW + 7, (path,), (symptom,), usage)  # fmt: skip


def test_who_is_not_declared_says_nothing() -> None:
    state = begin([], {}, 1, "g", NOW, nation({"a": 1, "b": 1}))
    state, actions = step(state, said("stranger"), NOW)
    assert (state.nation.agents, actions) == ({}, [])


def test_a_new_life_of_the_controller_has_heard_nobody() -> None:
    state = begin([], {}, 1, "g", NOW, nation({"a": 1}))
    state, _ = step(state, said("a-0"), NOW)
    again = begin([], {}, 2, "g", NOW + 5000, state.nation)
    assert again.nation.agents == {}
    assert {site.since_ms for site in again.nation.sites.values()} == {NOW + 5000}
    assert State(1, "g", {}).nation == Nation()
