"""A caution asks a person before a planned move to its site, ends by itself, and does no more."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from controller.core.actions import Answer, KeepCautions, Note, Swap
from controller.core.events import Cautioned, CautionEnded, Kind, Requested, Tick
from controller.core.gates.maintenance import FOR_MOST_MS
from controller.core.model import Phase, State
from controller.core.site_model import Caution, Nation, SiteSpec, SiteState
from controller.core.sites import cautions
from controller.core.sites.policy import failback_held, readiness
from controller.core.step import step
from tests.controller.core.given import NOW, UID, Given, backup_report, said
from tests.controller.core.given import B as BATAM_1

WALL = 1_796_000_000_000
HOUR = 3_600_000


def caution(**changes: Any) -> Caution:
    usual = Caution("batam", "bmkg:1", "BMKG", "earthquake of M 6.2", WALL, 6 * HOUR)
    return replace(usual, **changes)


def told(state: State, *those: Caution, at_ms: int = WALL, asked: str = "") -> State:
    return step(state, Cautioned(those, at_ms, asked), NOW)[0]


def protected(*those: Caution) -> State:
    return told(Given(Phase.PROTECTED).state(), *those)


def asks(kind: Kind = Kind.SWITCHOVER, **changes: Any) -> Requested:
    return replace(Requested("r1", kind, UID, "siti", "patching"), **changes)


def answer(state: State, event: Requested | Cautioned) -> Answer:
    (found,) = [a for a in step(state, event, NOW)[1] if isinstance(a, Answer)]
    return found


def test_a_planned_move_to_the_site_asks_for_a_person_who_says_despite_it() -> None:
    no = answer(protected(caution()), asks())
    assert not no.accepted
    assert "batam" in no.unmet[0]
    assert "M 6.2" in no.unmet[0]
    assert "BMKG" in no.unmet[0]
    assert "--despite-caution" in no.unmet[0]
    assert answer(protected(caution()), asks(despite_caution=True)).accepted


def test_a_dry_run_says_the_same() -> None:
    assert not answer(protected(caution()), asks(dry_run=True)).accepted
    assert answer(protected(caution()), asks(dry_run=True, despite_caution=True)).accepted


def test_the_history_says_what_a_move_was_made_in_spite_of() -> None:
    _, actions = step(protected(caution()), asks(despite_caution=True), NOW)
    (swap,) = [a for a in actions if isinstance(a, Swap)]
    assert swap.transition.reason.startswith("patching; despite caution at batam")
    assert swap.transition.operation is not None
    assert "despite caution" in swap.transition.operation.reason


def test_a_move_away_from_the_site_is_not_in_the_way() -> None:
    assert answer(protected(caution(site="jabodetabek")), asks()).accepted


def test_what_is_missing_besides_is_said_first() -> None:
    state = told(Given(Phase.PROTECTED).backup(None).state(), caution())
    assert "care is taken" not in answer(state, asks()).text


@given(
    sites=st.lists(st.sampled_from(["batam", "jabodetabek"]), max_size=4),
    ended=st.booleans(),
    silence_ms=st.integers(3000, 60_000),
)
@settings(max_examples=60)
def test_an_automatic_failover_goes_as_if_there_were_no_caution(
    sites: list[str], ended: bool, silence_ms: int
) -> None:
    """From the silence of the primary to the promotion of a backup that stands at such a site."""
    kept = tuple(
        caution(site=site, id=f"bmkg:{i}", until_ms=NOW + HOUR, ended="siti" if ended else "")
        for i, site in enumerate(sites)
    )
    plain = Given(Phase.PROTECTED).silent(silence_ms).state()
    careful = replace(plain, nation=replace(plain.nation, cautions=kept))
    for now_ms in range(NOW, NOW + 5000, 100):
        gone = {"stopped": True, "promise_left_ms": 0, "primary_heard": False, "streaming": False}
        revision = plain.services[UID].record.revision
        event = said(BATAM_1, backup_report(revision=revision, **gone))
        for one in (event, Tick()):
            plain, expected = step(plain, one, now_ms)
            careful, done = step(careful, one, now_ms)
            assert done == expected
    assert plain.services[UID].record.phase is Phase.PROMOTING
    assert careful.services == plain.services


@pytest.mark.parametrize("kind", [k for k in Kind if k is not Kind.SWITCHOVER])
def test_nothing_else_that_is_asked_for_is_answered_otherwise(kind: Kind) -> None:
    for phase in Phase:
        plain = Given(phase).state()
        careful = replace(plain, nation=Nation(cautions=(caution(until_ms=NOW + HOUR),)))
        assert step(careful, asks(kind), NOW)[1] == step(plain, asks(kind), NOW)[1]


def test_it_is_stored_before_it_holds_and_stands_in_the_history() -> None:
    state, actions = step(State(1, "g", {}), Cautioned((caution(),), WALL), NOW)
    kept, note = actions
    assert isinstance(kept, KeepCautions)
    assert kept.cautions == state.nation.cautions
    assert isinstance(note, Note)
    assert (note.happening.site, note.happening.what) == ("batam", "begins")


def test_its_time_counts_from_what_happened_and_it_ends_by_itself() -> None:
    state = told(State(1, "g", {}), caution(begun_at_ms=WALL - HOUR))
    assert state.nation.cautions[0].until_ms == NOW + 5 * HOUR
    before, nothing = step(state, Tick(), NOW + 5 * HOUR - 1)
    assert before.nation == state.nation and nothing == []
    after, (note,) = step(state, Tick(), NOW + 5 * HOUR)
    assert after.nation.cautions == ()
    assert isinstance(note, Note) and note.happening.what == "is over"


def test_what_is_over_already_changes_nothing() -> None:
    empty = State(1, "g", {})
    assert step(empty, Cautioned((caution(begun_at_ms=WALL - 6 * HOUR),), WALL), NOW) == (empty, [])


def test_no_caution_lasts_longer_than_thirty_days_from_now() -> None:
    ahead = caution(begun_at_ms=WALL + 900 * HOUR, for_ms=10**15)
    assert told(State(1, "g", {}), ahead).nation.cautions[0].until_ms <= NOW + FOR_MOST_MS


def test_the_same_word_twice_changes_nothing() -> None:
    state = protected(caution())
    assert step(state, Cautioned((caution(),), WALL + 60_000), NOW + 60_000) == (state, [])


def test_a_later_word_of_a_feed_replaces_and_never_shortens() -> None:
    state = protected(caution())
    shorter = told(state, caution(text="M 5.1", for_ms=HOUR))
    assert shorter == state
    stronger = told(state, caution(text="M 7.1", for_ms=24 * HOUR))
    assert [c.text for c in stronger.nation.cautions] == ["M 7.1"]


def test_a_person_replaces_his_word_also_by_less() -> None:
    by_hand = caution(id="hand", by="siti", source="siti", text="flood")
    state = told(protected(), by_hand, asked="r1")
    less = told(state, replace(by_hand, for_ms=HOUR), asked="r2")
    assert [c.until_ms for c in less.nation.cautions] == [NOW + HOUR]


def test_what_a_person_ended_no_feed_brings_back() -> None:
    state = protected(caution())
    ended, actions = step(state, CautionEnded("r2", "batam", "siti", "inspected"), NOW)
    assert cautions.at(ended.nation, "batam") == ()
    assert [type(a) for a in actions] == [KeepCautions, Note, Answer]
    again = told(ended, caution(), caution(text="M 7.9", for_ms=48 * HOUR))
    assert cautions.at(again.nation, "batam") == ()
    another = told(again, caution(id="bmkg:2"))
    assert len(cautions.at(another.nation, "batam")) == 1


def test_an_end_that_says_what_is_so_now_is_told_with_that() -> None:
    event = CautionEnded("r2", "batam", "siti", now="volcano Ili is at level I (Normal)")
    _, actions = step(protected(caution(text="volcano Ili is at level III (Siaga)")), event, NOW)
    (note,) = [action for action in actions if isinstance(action, Note)]
    assert note.happening.because.startswith("volcano Ili is at level I (Normal)")


def test_one_of_several_is_ended_by_its_name() -> None:
    state = protected(caution(), caution(id="hand"))
    ended, _ = step(state, CautionEnded("r2", "batam", "siti", caution="hand"), NOW)
    assert [c.id for c in cautions.at(ended.nation, "batam")] == ["bmkg:1"]


def test_to_end_what_is_not_on_is_no_fault() -> None:
    _, (no,) = step(protected(), CautionEnded("r2", "batam", "siti"), NOW)
    assert isinstance(no, Answer) and no.accepted


def test_a_site_keeps_a_bounded_number() -> None:
    many = [caution(id=f"bmkg:{i}", for_ms=HOUR + i) for i in range(50)]
    kept = protected(*many).nation.cautions
    assert len(kept) == cautions.AT_A_SITE_AT_MOST
    assert min(c.for_ms for c in kept) == HOUR + 50 - cautions.AT_A_SITE_AT_MOST


def test_a_persons_word_has_room_where_feeds_have_filled_it_and_what_has_none_is_not_told() -> None:
    full = protected(*(caution(id=f"bmkg:{i}", for_ms=50 * HOUR) for i in range(16)))
    assert step(full, Cautioned((caution(id="bmkg:99"),), WALL), NOW) == (full, [])
    by_hand = told(full, caution(id="hand:siti", by="siti", for_ms=HOUR), asked="r1")
    assert "hand:siti" in [c.id for c in cautions.at(by_hand.nation, "batam")]


def by_people(count: int) -> list[Caution]:
    """Words of so many people, the later the longer."""
    return [
        caution(id=f"hand:p{n}", by=f"p{n}", source=f"p{n}", text="flood", for_ms=(n + 1) * HOUR)
        for n in range(count)
    ]


@pytest.mark.parametrize("for_ms", [HOUR // 2, 700 * HOUR])
@pytest.mark.parametrize("by", ["siti", ""])
def test_what_finds_no_place_is_refused_and_pushes_no_persons_word_out(
    by: str, for_ms: int
) -> None:
    full = protected(*by_people(16))
    event = Cautioned((caution(id="new", by=by, for_ms=for_ms),), WALL, "r1")
    state, (refused,) = step(full, event, NOW)
    assert state == full
    assert isinstance(refused, Answer) and not refused.accepted
    assert "16 are" in refused.text
    assert "saling caution end batam --id ID" in refused.unmet[0]


def test_a_person_may_say_his_word_anew_where_all_places_are_taken() -> None:
    full = protected(*by_people(16))
    again = replace(by_people(1)[0], for_ms=50 * HOUR)
    assert answer(full, Cautioned((again,), WALL, "r1")).accepted
    assert len(told(full, again).nation.cautions) == 16


def test_what_makes_room_is_told() -> None:
    full = protected(caution(), *by_people(15))
    state, actions = step(full, Cautioned((by_people(16)[15],), WALL, "r1"), NOW)
    notes = [a.happening for a in actions if isinstance(a, Note)]
    assert [note.what for note in notes] == ["begins", "makes room"]
    assert "M 6.2" in notes[1].because
    assert {c.by for c in state.nation.cautions} == {f"p{n}" for n in range(16)}
    assert [a.accepted for a in actions if isinstance(a, Answer)] == [True]


def test_of_several_words_those_that_find_a_place_are_taken_and_told() -> None:
    state = protected(*by_people(15))
    two = (caution(id="bmkg:1", for_ms=9 * HOUR), caution(id="bmkg:2", text="M 5.0"))
    found = answer(state, Cautioned(two, WALL, "r1"))
    assert not found.accepted
    assert "taken: caution at batam, 9 h left: earthquake of M 6.2 (BMKG)" in found.text


def test_a_persons_word_that_was_ended_takes_no_place_any_more() -> None:
    full = protected(*by_people(16))
    ended, _ = step(full, CautionEnded("r2", "batam", "siti"), NOW)
    assert ended.nation.cautions == ()


def test_what_a_person_ended_is_not_told_as_taken() -> None:
    ended, _ = step(protected(caution()), CautionEnded("r2", "batam", "siti"), NOW)
    assert "a person ended it" in answer(ended, Cautioned((caution(),), WALL, "r3")).text


def test_another_life_of_the_controller_goes_on_with_what_is_left() -> None:
    stored = protected(caution(), caution(id="over", for_ms=HOUR)).nation.cautions
    later = cautions.resumed(Nation(), stored, WALL + 2 * HOUR, 77)
    assert [(c.id, c.until_ms) for c in later.cautions] == [("bmkg:1", 77 + 4 * HOUR)]


def test_a_wall_clock_that_was_set_back_makes_none_longer() -> None:
    stored = protected(caution()).nation.cautions
    later = cautions.resumed(Nation(), stored, WALL - 100 * HOUR, 77)
    assert [c.until_ms for c in later.cautions] == [77 + 6 * HOUR]


def test_a_service_is_around_a_caution_at_either_of_its_sites() -> None:
    state = protected(caution(), caution(site="jabodetabek"), caution(site="ikn"))
    found = cautions.around(state.nation, state.services[UID])
    assert [c.site for c in found] == ["jabodetabek", "batam"]


def test_the_partner_of_a_site_under_caution_is_asked_to_be_ready() -> None:
    sites = {
        name: SiteState(SiteSpec(name, partner=partner))
        for name, partner in (("batam", "jabodetabek"), ("jabodetabek", "batam"), ("ikn", ""))
    }
    plain = Nation(sites=sites)
    careful = replace(plain, cautions=(caution(until_ms=NOW + HOUR), caution(site="ikn")))
    assert readiness(plain, (), NOW) == {}
    asked = readiness(careful, (), NOW)
    assert list(asked) == ["jabodetabek"]
    assert "batam is under caution" in asked["jabodetabek"]
    assert "BMKG" in asked["jabodetabek"]


def test_nothing_goes_back_by_itself_to_a_site_under_caution() -> None:
    careful = Nation(cautions=(caution(until_ms=NOW + HOUR),))
    assert "M 6.2" in failback_held(careful, "batam")
    assert failback_held(careful, "ikn") == ""


words = st.builds(
    caution,
    site=st.sampled_from(["batam", "ikn"]),
    id=st.sampled_from(["hand:siti", *(f"bmkg:{n}" for n in range(20))]),
    text=st.sampled_from(["M 6.2", "M 7.0"]),
    by=st.sampled_from(["", "siti"]),
    begun_at_ms=st.integers(WALL - 50 * HOUR, WALL + 50 * HOUR),
    for_ms=st.integers(0, 10**13),
)
events = st.one_of(
    st.builds(
        Cautioned,
        st.lists(words, max_size=20).map(tuple),
        st.integers(WALL - 100 * HOUR, WALL + 100 * HOUR),
        st.sampled_from(["", "r1"]),
    ),
    st.builds(CautionEnded, st.just("r2"), st.sampled_from(["batam", "ikn"]), st.just("siti")),
    st.just(Tick()),
)


@given(st.lists(st.tuples(events, st.integers(0, 20 * HOUR)), max_size=12))
def test_whatever_is_said_cautions_are_bounded_told_apart_and_stored(
    said_so: list[tuple[Any, int]],
) -> None:
    state, now_ms = State(1, "g", {}), NOW
    stored: tuple[Caution, ...] = ()
    for event, later_ms in said_so:
        now_ms += later_ms
        before = state
        state, actions = step(state, event, now_ms)
        kept = [a.cautions for a in actions if isinstance(a, KeepCautions)]
        stored = kept[-1] if kept else stored
        found = state.nation.cautions
        assert len({(c.site, c.id) for c in found}) == len(found)
        assert all(c.until_ms <= now_ms + FOR_MOST_MS for c in found)
        assert set(found) <= set(stored)
        assert state.services == before.services
        if kept:
            assert set(stored) == set(found)
        # No person's word goes but by its time, its author, or an end.
        ended = isinstance(event, CautionEnded)
        gone = [c for c in before.nation.cautions if c.by and c.until_ms > now_ms]
        assert ended or all(any((c.site, c.id) == (x.site, x.id) for x in found) for c in gone)
