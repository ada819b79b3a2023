"""The lab's checks, over logs made by hand."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.base.records import (
    Answer,
    Connect,
    Insert,
    Log,
    Outcome,
    Probe,
    next_n,
    now_ms,
    read_inserts,
    read_probes,
    read_writer_log,
)
from lab.judging.checks import (
    Commit,
    Gap,
    Overlap,
    commits_of,
    gaps,
    gaps_above,
    longest_gap,
    loss,
    overlap_of_commits,
    overlap_of_probes,
    worst,
)


def insert(n: int, end_ms: float, outcome: Outcome = Outcome.ACKED) -> Insert:
    return Insert(n, "batam", "127.0.0.1:1", end_ms - 1, end_ms, outcome)


def probes(site: str, answers: str, start_ms: float = 0, step_ms: float = 50) -> list[Probe]:
    """One letter a probe of 2 ms: c committed, s standby, d down, f failed, u unknown."""
    kinds = {answer.value[0]: answer for answer in Answer}
    times = [start_ms + number * step_ms for number in range(len(answers))]
    return [
        Probe("kas", site, number, at, at + 2, kinds[letter])
        for number, (letter, at) in enumerate(zip(answers, times, strict=True))
    ]


def test_an_outage_reaches_from_the_last_acknowledgement_to_the_next() -> None:
    log = [insert(1, 90), insert(2, 100), insert(3, 400, Outcome.UNKNOWN), insert(4, 700)]
    log += [insert(5, 710)]
    assert longest_gap(log, 95, 720) == Gap(100, 700)
    assert longest_gap(log, 300, 720) == Gap(100, 700)
    assert longest_gap(log, 300, 720).length_ms == 600


def test_an_outage_that_never_ended_says_so() -> None:
    assert longest_gap([insert(1, 100)], 50, 900) == Gap(100, 900, ended=False)
    assert longest_gap([], 50, 900) == Gap(50, 900, ended=False)
    assert longest_gap([insert(1, 950)], 50, 900) == Gap(50, 900, ended=False)


def test_gaps_above_a_threshold_come_in_order() -> None:
    log = [insert(n, at) for n, at in enumerate([0, 10, 300, 310, 500, 505])]
    assert gaps_above(log, 0, 505, 50) == [Gap(10, 300), Gap(310, 500)]
    assert gaps_above(log, 0, 505, 290) == []


def test_an_empty_window_is_refused() -> None:
    with pytest.raises(ValueError, match="window"):
        longest_gap([], 5, 5)


@given(
    st.lists(st.floats(0, 1000), max_size=20),
    st.floats(0, 1000),
    st.floats(1, 1000),
)
def test_gaps_cover_the_window_without_a_hole(
    ends: list[float], from_ms: float, span_ms: float
) -> None:
    to_ms = from_ms + span_ms
    found = gaps([insert(n, at) for n, at in enumerate(ends)], from_ms, to_ms)
    assert found[0].start_ms <= from_ms
    assert all(a.end_ms == b.start_ms for a, b in pairwise(found))
    assert found[-1].end_ms == to_ms
    inside = [at for at in ends if from_ms < at < to_ms]
    longest = longest_gap([insert(n, at) for n, at in enumerate(ends)], from_ms, to_ms)
    assert longest.length_ms >= span_ms / (len(inside) + 1) - 1e-6


def test_lost_is_what_was_acknowledged_and_is_absent() -> None:
    log = [insert(n, n) for n in (1, 2, 3)]
    log += [insert(n, n, Outcome.UNKNOWN) for n in (4, 5)]
    log += [insert(n, n, Outcome.FAILED) for n in (6, 7)]
    found = loss(log, [1, 3, 5, 7, 8])
    assert found.acked == 3
    assert found.lost == (2,)
    assert found.survived == (5,)
    assert found.contradicted == (7,)


@given(st.lists(st.sampled_from(Outcome), max_size=30), st.sets(st.integers(0, 29)))
def test_each_acknowledged_number_is_either_present_or_lost(
    outcomes: list[Outcome], present: set[int]
) -> None:
    log = [insert(n, n, outcome) for n, outcome in enumerate(outcomes)]
    acked = {line.n for line in log if line.outcome is Outcome.ACKED}
    found = loss(log, present)
    assert set(found.lost) == acked - present
    assert found.acked == len(acked)


def test_an_old_copy_that_stopped_before_the_new_reign_is_one_writer() -> None:
    shared = [Commit(f"write {n}", float(n)) for n in range(10)]
    old = [*shared, Commit("write 10", 10.0)]
    new = [*shared, Commit("write 11", 30.0), Commit("write 12", 31.0)]
    assert overlap_of_commits(old, new) == Overlap()


def test_a_commit_on_the_old_copy_after_the_new_reign_began_is_two_writers() -> None:
    old = [Commit("write 1", 1.0), Commit("write 2", 50.0)]
    new = [Commit("write 1", 1.0), Commit("write 3", 20.0), Commit("write 4", 60.0)]
    assert overlap_of_commits(old, new) == Overlap(seen=True, proven_ms=30, possible_ms=30)


@pytest.mark.parametrize(("old", "new"), [([], []), ([Commit("a", 5)], []), ([], [Commit("a", 5)])])
def test_copies_without_a_new_reign_or_a_past_are_one_writer(
    old: list[Commit], new: list[Commit]
) -> None:
    assert overlap_of_commits(old, new) == Overlap()


def test_rows_without_a_commit_timestamp_are_refused() -> None:
    assert commits_of([("write 1", 2.5)]) == [Commit("write 1", 2.5)]
    with pytest.raises(ValueError, match=r"write 2.*track_commit_timestamp"):
        commits_of([("write 1", 2.5), ("write 2", None)])


def test_probes_of_an_orderly_takeover_leave_no_room_for_two_writers() -> None:
    log = probes("batam", "ccccddddddd") + probes("ikn", "sssssssscccc")
    assert overlap_of_probes(log, "kas") == Overlap()


def test_probes_that_commit_at_two_sites_at_once_prove_two_writers() -> None:
    log = probes("batam", "ccccccccdd") + probes("ikn", "ssssscccccc", start_ms=10)
    found = overlap_of_probes(log, "kas")
    # batam commits from before 262 until after 350 ms, ikn from before 262 on.
    assert found.seen
    assert found.proven_ms == 350 - 262
    assert found.possible_ms == 402 - 210


def test_a_single_commit_inside_the_reign_of_another_is_seen() -> None:
    log = probes("batam", "cccccc") + probes("ikn", "sscsss", start_ms=10)
    found = overlap_of_probes(log, "kas")
    assert found.seen
    assert found.proven_ms == 0
    assert found.possible_ms == 162 - 60


def test_a_takeover_within_one_interval_is_possible_and_not_seen() -> None:
    log = probes("batam", "ccdd") + probes("ikn", "sscc", start_ms=10)
    found = overlap_of_probes(log, "kas")
    assert not found.seen
    assert found.proven_ms == 0
    assert found.possible_ms == 102 - 60


def test_a_probe_without_an_answer_proves_neither() -> None:
    log = probes("batam", "ccuuuuuudd") + probes("ikn", "sssscccccc")
    found = overlap_of_probes(log, "kas")
    assert not found.seen
    assert found.possible_ms == 402 - 150


def test_probes_of_other_services_do_not_count() -> None:
    log = probes("batam", "cccc")
    log += [msgspec.structs.replace(one, service="pajak") for one in probes("ikn", "cccc")]
    assert overlap_of_probes(log, "kas") == Overlap()
    assert overlap_of_probes([], "kas") == Overlap()


def test_a_service_that_comes_home_is_one_writer_all_along() -> None:
    log = probes("batam", "ccddddddddcc") + probes("ikn", "ssssccccssss")
    assert overlap_of_probes(log, "kas") == Overlap()


@given(st.text("csdfu", max_size=30), st.text("csdfu", max_size=30), st.floats(0, 49))
def test_what_is_proven_is_always_possible(one: str, other: str, shift_ms: float) -> None:
    found = overlap_of_probes(probes("a", one) + probes("b", other, shift_ms), "kas")
    assert 0 <= found.proven_ms <= found.possible_ms
    assert found.seen or found.proven_ms == 0


def test_the_worst_figure_of_each_kind_counts() -> None:
    assert worst(Overlap(True, 3, 4), Overlap(False, 0, 9)) == Overlap(True, 3, 9)
    assert worst() == Overlap()


def test_what_is_logged_is_read_again_but_for_half_a_last_line(tmp_path: Path) -> None:
    path = tmp_path / "writer.log"
    assert read_writer_log(path) == []
    log = Log(path)
    lines = [
        Connect("batam", "127.0.0.1:1", 1, 2, False, "TimeoutError"),
        Insert(1, "batam", "127.0.0.1:1", 2.5, 3.25, Outcome.UNKNOWN, "é"),
    ]
    for line in lines:
        log.write(line)
    log.close()
    with path.open("ab") as file:
        file.write(b'{"type":"insert","n":2')
    assert read_writer_log(path) == lines
    assert read_inserts(path) == lines[1:]


def test_probes_are_read_again(tmp_path: Path) -> None:
    log = Log(tmp_path / "prober.log")
    for line in probes("batam", "csdfu"):
        log.write(line)
    log.close()
    assert read_probes(tmp_path / "prober.log") == probes("batam", "csdfu")


def test_a_number_that_a_killed_writer_may_have_used_is_skipped() -> None:
    assert next_n([]) == 1
    assert next_n([1, 2, 3]) == 5


def test_the_clock_rises_in_milliseconds() -> None:
    first = now_ms()
    assert 0 < first <= now_ms() < first + 60_000
