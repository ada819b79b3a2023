"""From looks to symptoms: what counts when, for how long, and what is said of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.core.commits import LEAST, WINDOW_MS, CommitTimes
from agents.core.symptoms import (
    POSTS_AT_MOST,
    SYMPTOMS_AT_MOST,
    Board,
    Posts,
    Rule,
    TooMany,
    merged,
)
from protocol.messages import Symptom

RULE = Rule(on_after_ms=5000, off_after_ms=60_000)
UPS = "the ups is on its battery"


def board(*looks: tuple[int, str]) -> Board:
    made = Board()
    for at_ms, text in looks:
        made.look("check: power", "power", text, at_ms, RULE)
    return made


def test_what_is_gone_before_it_counts_was_nothing() -> None:
    made = board((0, UPS), (4000, ""), (8000, UPS), (12_000, UPS))
    assert made.symptoms(12_000) == []
    assert made.is_pending("check: power")


def test_what_holds_counts_with_its_age_since_it_was_first_seen() -> None:
    made = board((0, "it hums"), (5000, UPS))
    assert made.symptoms(9000) == [Symptom("power", UPS, 9000)]
    assert not made.is_pending("check: power")


def test_one_look_alone_never_counts_where_it_must_hold() -> None:
    assert board((0, UPS)).symptoms(90_000) == []


def test_what_must_not_hold_counts_at_once_and_ends_at_once() -> None:
    made, rule = Board(), Rule(0, 0)
    made.look("a", "certificate", "expires", 7, rule)
    assert made.symptoms(7) == [Symptom("certificate", "expires", 0)]
    made.look("a", "certificate", "", 8, rule)
    assert made.symptoms(8) == []


def test_it_ends_only_when_it_was_well_for_long() -> None:
    made = board((0, UPS), (5000, UPS), (10_000, ""), (69_000, ""))
    assert made.symptoms(69_000) == [Symptom("power", UPS, 69_000)]
    made.look("check: power", "power", "", 70_000, RULE)
    assert made.symptoms(70_000) == []


def test_a_relapse_begins_the_wait_for_its_end_anew() -> None:
    made = board((0, UPS), (5000, UPS), (10_000, ""), (60_000, UPS), (65_000, ""), (71_000, ""))
    assert made.symptoms(71_000) == [Symptom("power", UPS, 71_000)]


def test_what_is_looked_at_no_more_is_told_no_more() -> None:
    made = board((0, UPS), (5000, UPS))
    made.forget("check: power")
    made.forget("check: power")
    assert made.symptoms(6000) == []


@given(st.lists(st.tuples(st.integers(1, 20_000), st.booleans()), max_size=60))
def test_a_symptom_never_flaps_faster_than_its_rule(steps: list[tuple[int, bool]]) -> None:
    made, at_ms, was_on, since_ms = Board(), 0, False, -1
    for step_ms, is_bad in steps:
        at_ms += step_ms
        made.look("a", "power", UPS if is_bad else "", at_ms, RULE)
        is_on = bool(made.symptoms(at_ms))
        if is_on != was_on and since_ms >= 0:
            # It was off for as long as it takes to count, or on for as long as it takes to end.
            assert at_ms - since_ms >= (RULE.on_after_ms if is_on else RULE.off_after_ms)
        if is_on != was_on:
            was_on, since_ms = is_on, at_ms


# What somebody said.


def test_a_post_counts_at_once_and_ends_by_itself() -> None:
    posts = Posts()
    posts.put("power", UPS, 60_000, 1000)
    assert posts.symptoms(1000) == [Symptom("power", UPS, 0)]
    assert posts.symptoms(60_999) == [Symptom("power", UPS, 59_999)]
    assert posts.symptoms(61_000) == []
    assert not posts.withdraw("power", 61_000)


def test_posting_again_goes_on_with_its_age_and_the_new_text() -> None:
    posts = Posts()
    posts.put("power", UPS, 60_000, 1000)
    posts.put("power", "both ups", 60_000, 50_000)
    assert posts.symptoms(100_000) == [Symptom("power", "both ups", 99_000)]


def test_a_post_is_withdrawn_once() -> None:
    posts = Posts()
    posts.put("power", UPS, 60_000, 1000)
    assert posts.withdraw("power", 2000)
    assert not posts.withdraw("power", 2000)
    assert posts.symptoms(2000) == []


def test_so_many_posts_are_taken_and_one_that_ended_makes_room() -> None:
    posts = Posts()
    for number in range(POSTS_AT_MOST):
        posts.put(f"kind-{number}", UPS, 10_000 + number, 0)
    with pytest.raises(TooMany, match="kind-0, kind-1"):
        posts.put("one-more", UPS, 10_000, 9999)
    posts.put("kind-1", UPS, 10_000, 9999)
    posts.put("one-more", UPS, 10_000, 10_000)
    assert [post.kind for post in posts.live(10_000)][-1] == "one-more"


def test_one_kind_is_told_once_with_every_text_and_the_oldest_age() -> None:
    told = merged(
        [
            Symptom("power", UPS, 10),
            Symptom("clock", "behind", 5),
            Symptom("power", "smoke", 30),
            Symptom("power", UPS, 20),
        ]
    )
    assert told == (Symptom("clock", "behind", 5), Symptom("power", f"{UPS}; smoke", 30))
    many = [Symptom(f"kind-{n}", UPS) for n in range(SYMPTOMS_AT_MOST + 5)]
    assert len(merged(many)) == SYMPTOMS_AT_MOST


# How long commits take.


def commits(*took_ms: int) -> CommitTimes:
    made = CommitTimes()
    for number, took in enumerate(took_ms):
        made.took(number, took)
    return made


def test_slow_commits_are_told_with_the_figures() -> None:
    said = commits(*[10] * 90, *[400] * 10).slow("paspor", 250, 1000)
    assert said == (
        "paspor: commits take up to 400 ms (p99 of 100 in the last minute), and 250 ms is the bound"
    )


@pytest.mark.parametrize(
    "took_ms",
    [[], [900] * (LEAST - 1), [10] * 60 + [900] * 2, [250] * 100, [10] * 500 + [900] * 4],
    ids=["none", "too few", "two of a minute", "at the bound", "less than one of a hundred"],
)
def test_few_commits_and_few_slow_ones_say_nothing(took_ms: list[int]) -> None:
    assert commits(*took_ms).slow("paspor", 250, 1000) == ""


def test_commits_of_before_the_last_minute_are_forgotten() -> None:
    made = commits(*[900] * 50)
    assert made.slow("paspor", 250, WINDOW_MS)
    assert made.slow("paspor", 250, WINDOW_MS + 50) == ""
