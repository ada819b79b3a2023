"""What a site is called: by whom the controller hears, and by who reaches it."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from controller.core.configured import redeclared_nation
from controller.core.site_model import AgentSeen, Health, Nation, Stage
from controller.core.sites.health import BEST_FIRST, BETTER_AFTER_MS, verdict
from controller.core.sites.judge import judged
from controller.core.sites.look import Look
from controller.core.sites.steady import CHANGES_AN_HOUR, HOUR_MS
from protocol.messages import Path
from tests.controller.core.sites.nations import BEGAN, Country, four

ALL_WELL = {"a": "healthy", "b": "healthy", "c": "healthy", "d": "healthy"}


def test_sites_that_are_heard_and_reached_are_healthy() -> None:
    country = four()
    assert country.healths() == ALL_WELL
    assert country.because("a") == "1 of 1 agents heard; 3 of 3 agents of other sites reach it"
    assert country.notes == []


def test_a_dead_site_is_down_and_the_others_are_healthy() -> None:
    country = four().kill("a").run(12_000)
    assert country.healths() == ALL_WELL | {"a": "down"}
    assert "and 3 of 3 who should reach it do not" in country.because("a")
    assert country.told() == ["a: healthy -> down"]


def test_a_site_that_somebody_reaches_is_cut_off() -> None:
    country = four().silence("a")
    country.cut_link("a", "b").cut_link("a", "c")
    country.run(12_000)
    assert country.healths() == ALL_WELL | {"a": "cut off"}
    assert "but d-0 (1 of 3 who should reach it) got an answer" in country.because("a")


def test_a_controller_that_hears_nobody_calls_nobody_down() -> None:
    country = four().silence("a", "b", "c", "d").run()
    assert set(country.healths().values()) == {"unknown"}
    assert country.nation.blind == (
        "the controller hears 0 of 4 agents, at 0 of 4 sites: it is probably the blind one "
        "itself; it stands in arbiter"
    )
    assert country.because("a") == country.nation.blind + ", so it calls no site down"
    assert "arbiter: probably blind" in country.told()


def test_a_controller_that_hears_only_its_own_site_is_blind() -> None:
    country = Country("a", a=3, b=1).run(20_000)
    country.silence("b").run()
    assert set(country.healths().values()) == {"unknown"}
    assert "nobody outside of a, where it stands" in country.nation.blind


def test_the_death_of_the_site_with_most_agents_is_not_the_controllers_blindness() -> None:
    country = Country("arbiter", a=6, b=2, c=1, d=1).run(20_000).kill("a").run(20_000)
    assert country.nation.blind == ""
    assert country.healths() == ALL_WELL | {"a": "down"}


def test_sites_that_are_declared_and_not_heard_yet_make_nobody_blind() -> None:
    country = Country("arbiter", a=1, b=1, c=1, d=1, e=1)
    for site in ("c", "d", "e"):
        country.declare(site, stage=Stage.PLANNED).kill(site)
    country.run(20_000)
    known = country.nation
    for site in ("c", "d", "e"):
        country.declare(site, stage=Stage.ACTIVE)
    country.nation = redeclared_nation(known, country.nation, country.now_ms)
    country.run(5000)
    assert country.nation.blind == ""
    assert "probably blind" not in str(country.told())
    country.run(20_000)
    assert "at 2 of 5 sites" in country.nation.blind


def test_hearing_enough_again_ends_the_blindness() -> None:
    country = four().silence("a", "b", "c").run()
    assert country.healths()["d"] == "unknown"
    country.heal().run()
    assert (country.healths(), country.nation.blind) == (ALL_WELL, "")
    assert country.told()[-1] != country.told()[0]
    assert "arbiter: hears enough again" in country.told()


def test_of_two_dead_sites_each_is_down_by_the_word_of_the_others() -> None:
    country = four().kill("a", "b").run(12_000)
    assert country.healths() == ALL_WELL | {"a": "down", "b": "down"}
    assert "2 of 3 who should reach it do not; not heard themselves: b-0" in country.because("a")


def test_observers_that_do_not_say_are_too_few_to_call_it_down() -> None:
    country = four()
    country.mute = {"b-0", "c-0"}
    country.kill("a").run(20_000)
    assert country.health("a") == "unknown"
    assert "1 of 3 who should reach it do not: too few to call it down" in country.because("a")
    country.mute = {"b-0"}
    assert country.run(20_000).health("a") == "down"


def test_with_one_other_site_the_sentence_says_that_it_may_be_that_one() -> None:
    country = Country(a=1, b=1).run(20_000).kill("a").run(20_000)
    assert country.health("a") == "down"
    assert "only b looks, which may itself be cut off from it" in country.because("a")


def test_who_reached_it_after_the_controller_lost_it_is_remembered() -> None:
    country = Country(a=1, b=1, c=1, d=1, e=1).run(20_000)
    country.silence("a").cut_link("a", "c").cut_link("a", "d").cut_link("a", "e")
    country.run(12_000)
    assert country.health("a") == "cut off"
    country.silence("b").run(20_000)
    assert country.health("a") == "unknown"
    assert "b-0 reached it" in country.because("a")


def test_a_controller_that_has_just_begun_knows_nothing_of_the_unheard() -> None:
    country = Country(a=1, b=1, c=1).kill("a").run(5000)
    assert country.health("a") == "unknown"
    assert "since the controller began to expect it" in country.because("a")
    assert country.healths() == {"a": "unknown", "b": "healthy", "c": "healthy"}
    assert country.run(20_000).health("a") == "down"


@pytest.mark.parametrize("stage", [Stage.PLANNED, Stage.SUSPENDED, Stage.RETIRED])
def test_of_a_site_that_is_not_active_nothing_is_expected(stage: Stage) -> None:
    country = four().declare("a", stage=stage).kill("a").run()
    assert country.healths() == ALL_WELL | {"a": "unknown"}
    assert country.because("a") == f"the site is {stage.value}: nothing is expected of it"
    assert country.nation.blind == ""


def test_a_site_that_is_activated_is_given_time_to_be_heard() -> None:
    country = four().declare("a", stage=Stage.PLANNED).kill("a").run()
    country.declare("a", stage=Stage.ACTIVE).run(5000)
    assert country.health("a") == "unknown"
    assert "since the controller began to expect it" in country.because("a")
    assert country.run(20_000).health("a") == "down"
    assert "not heard for 2" in country.because("a")


def test_a_short_silence_changes_nothing() -> None:
    country = four().kill("a").run(2500)
    country.heal().run()
    assert country.notes == []


def test_a_site_that_is_back_must_stay_before_it_is_believed() -> None:
    country = four().kill("a").run(20_000)
    country.heal().run(BETTER_AFTER_MS - 1000)
    assert country.health("a") == "down"
    assert country.because("a").endswith("it counts as down until that has lasted")
    assert country.run(3000).health("a") == "healthy"


def test_a_site_that_comes_and_goes_keeps_the_worse_state_and_says_so() -> None:
    country = four()
    for _ in range(6):
        country.kill("a").run(15_000)
        country.heal().run(25_000)
    assert len(country.notes) <= CHANGES_AN_HOUR + 1
    assert country.health("a") == "down"
    assert "changed 6 times within the hour, so the worse state stays" in country.because("a")
    assert country.nation.sites["a"].damped
    country.run(HOUR_MS)
    assert country.health("a") == "healthy"
    assert not country.nation.sites["a"].damped


def test_two_bad_states_that_take_turns_do_not_pass_for_a_good_one() -> None:
    country = four()
    for _ in range(6):
        country.silence("a").run(2000)
        country.heal().kill("a").run(2000)
    assert country.health("a") != "healthy"


def test_a_blind_moment_ends_no_sites_state_and_a_blind_hour_costs_it_no_changes() -> None:
    country = four()
    since_ms = country.nation.sites["a"].since_ms
    country.silence("a", "b", "c", "d").run(4000)
    country.heal().run(4000)
    assert country.nation.sites["a"].since_ms == since_ms
    for _ in range(CHANGES_AN_HOUR + 2):
        country.silence("a", "b", "c", "d").run(12_000)
        assert country.health("a") == "unknown"
        country.heal().run(12_000)
    assert country.healths() == ALL_WELL


def test_a_blind_controller_takes_back_at_once_that_a_site_is_down() -> None:
    country = four().kill("a").run(20_000)
    country.silence("b", "c", "d")
    while not country.nation.blind:
        country.turn()
    assert country.health("a") == "unknown"


fault = st.tuples(
    st.sampled_from(["silence", "kill", "cut", "heal", "heal"]),
    st.sampled_from("abcd"),
    st.sampled_from("abcd"),
    st.integers(1, 40),
)


@given(st.lists(fault, min_size=1, max_size=12))
@settings(max_examples=25)
def test_whatever_happens_in_whatever_order(faults: list[tuple[str, str, str, int]]) -> None:
    country = four()
    unheard_s = dict.fromkeys("abcd", 0.0)
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
            country.turn()
            _nothing_impossible(country, unheard_s)


def _nothing_impossible(country: Country, unheard_s: dict[str, float]) -> None:
    heard = Look(country.nation, (), country.now_ms).heard
    for name, site in country.nation.sites.items():
        unheard_s[name] = 0.0 if f"{name}-0" in heard else unheard_s[name] + 0.3
        if 2 * len(heard) < len(country.agents):
            assert site.health not in (Health.DOWN, Health.CUT_OFF)
        if unheard_s[name] > 12:
            assert site.health not in (Health.HEALTHY, Health.DEGRADED)
        assert site.steady is not None
        assert len(site.steady.changed_ms) <= CHANGES_AN_HOUR + len(BEST_FIRST)
        assert site.because


heard_ago = st.sampled_from([0, 400, 1500, 2500, 9000, 60_000, 500_000])


@st.composite
def nations(draw: st.DrawFn) -> Nation:
    """Whatever could be known of three to five sites at one moment."""
    sizes = draw(st.lists(st.integers(1, 3), min_size=3, max_size=5))
    country = Country("arbiter", **{f"s{i}": size for i, size in enumerate(sizes)})
    agents = {}
    for agent in country.agents:
        if draw(st.booleans()) or draw(st.booleans()):
            paths = []
            for to in country.agents:
                if to.rpartition("-")[0] != agent.rpartition("-")[0] and draw(st.integers(0, 3)):
                    lost = draw(st.integers(0, 20))
                    age_ms = draw(st.sampled_from([0, 900, 4000, 6000, 30_000, 300_000]))
                    paths.append(Path(to, 20, lost, 900, age_ms))
            heard_ms = BEGAN + 1_000_000 - draw(heard_ago)
            agents[agent] = AgentSeen(heard_ms, paths=tuple(paths))
    return replace(country.nation, agents=agents)


NOW = BEGAN + 1_000_000


def raw(nation: Nation, site: str) -> Health:
    look = Look(nation, (), NOW)
    return verdict(look, nation.sites[site], (), look.blind).health


@given(nations())
@settings(max_examples=300)
def test_a_controller_that_hears_fewer_than_half_of_the_sites_calls_nobody_down_or_cut_off(
    nation: Nation,
) -> None:
    heard = {agent.rpartition("-")[0] for agent in Look(nation, (), NOW).heard}
    if 2 * len(heard) < len(nation.sites):
        assert {raw(nation, site) for site in nation.sites} == {Health.UNKNOWN}


WORDS = ("reaches", "denies", "mute", "lost")


def facts(words: list[str], lost: int = -1) -> Nation:
    """Nobody of `s` is heard for 20 s; each other site's agent says one of WORDS. The `lost` one
    said the same three seconds ago, and nothing since."""
    country = Country("arbiter", s=1, **{f"o{i}": 1 for i in range(len(words))})
    agents = {"s-0": AgentSeen(NOW - 20_000)}
    for index, word in enumerate(words):
        ago_ms = 3000 if index == lost else 0
        age_ms = {"reaches": 4000, "denies": 20_000}.get(word, 0) - ago_ms
        path = Path("s-0", 20, 20 if word == "denies" else 3, 900, max(0, age_ms))
        paths = (path,) if word in ("reaches", "denies") else ()
        heard_ms = NOW - (60_000 if word == "lost" else ago_ms)
        agents[f"o{index}-0"] = AgentSeen(heard_ms, paths=paths)
    return replace(country.nation, agents=agents)


@given(st.lists(st.sampled_from(WORDS), min_size=2, max_size=7), st.data())
@settings(max_examples=400)
def test_fewer_observers_never_make_the_verdict_worse(
    words: list[str], data: st.DataObject
) -> None:
    lost = data.draw(st.integers(0, len(words) - 1))
    before, after = raw(facts(words), "s"), raw(facts(words, lost), "s")
    assert after is not Health.DOWN or before is Health.DOWN
    assert after is not Health.CUT_OFF or before is Health.CUT_OFF


def test_the_facts_of_the_law_above_reach_every_verdict() -> None:
    assert raw(facts(["denies", "denies", "lost"]), "s") is Health.DOWN
    assert raw(facts(["denies", "reaches", "denies"]), "s") is Health.CUT_OFF
    assert raw(facts(["denies", "reaches", "denies"], 1), "s") is Health.UNKNOWN
    assert raw(facts(["denies", "mute", "lost"]), "s") is Health.UNKNOWN


@given(nations())
@settings(max_examples=200)
def test_judged_twice_from_the_same_facts_nothing_changes(nation: Nation) -> None:
    once, _ = judged(nation, (), NOW)
    twice, notes = judged(once, (), NOW)
    assert twice == once
    assert notes == []


@given(nations())
def test_every_state_has_a_sentence_with_a_figure(nation: Nation) -> None:
    after, _ = judged(nation, (), NOW)
    for site in after.sites.values():
        assert any(letter.isdigit() for letter in site.because), site.because
    for link in after.links:
        assert link.because
