"""The benchmark's table says what every run came to, and drops none."""

from __future__ import annotations

from pathlib import Path

import msgspec

from lab.benches.table import (
    Failure,
    Figure,
    Report,
    disks_of,
    markdown,
    ratios_of,
    rows_of,
    sides_of,
    ways_of,
    write,
)
from lab.incidents.loyal import SOCKET, TCP, WaySeen
from lab.incidents.slot_lost import MIB, SlotLost
from lab.incidents.unkind import Unkind
from lab.judging.own_count import Kept, OwnCount
from tests.lab.unkindness import absent, told

ENGINE = "engine killed"


def figure(outage_s: float, system: str = "saling", **more: object) -> Figure:
    one = Figure(
        system=system,
        profile="fast" if system == "saling" else "default",
        scenario="engine",
        incident=ENGINE,
        run=1,
        outage_s=outage_s,
        promotion_s=-1,
        acked_lost=0,
        two_writers_s=0,
        lease_ttl_s=2,
        noise_s=0.01,
    )
    return msgspec.structs.replace(one, **more)


def failure(scenario: str = "engine") -> Failure:
    return Failure("saling", "fast", scenario, 4, "TimeoutError: it never came back\nmore words")


def report(figures: list[Figure], failures: list[Failure]) -> Report:
    rows = rows_of(figures, failures)
    return Report(
        begun_at="2026-01-01T00:00:00Z",
        cores=2,
        load=(0.5, 3.0),
        options=[],
        rows=rows,
        sides=sides_of(figures),
        disks=disks_of(figures),
        ways=ways_of(figures),
        ratios=ratios_of(rows),
        failures=failures,
        skipped={"cut": "it needs root"},
        figures=figures,
    )


def test_a_row_has_the_spread_of_its_runs_and_the_worst_of_its_losses() -> None:
    runs = [figure(0.3), figure(0.1, acked_lost=2), figure(0.2, two_writers_s=0.5, promotion_s=1)]
    (row,) = rows_of(runs, [])
    assert row.outage is not None
    assert (row.outage.min_s, row.outage.median_s, row.outage.max_s) == (0.1, 0.2, 0.3)
    assert (row.measured, row.moved, row.acked_lost, row.two_writers_s) == (3, 1, 2, 0.5)
    assert row.promotion is not None and row.promotion.median_s == 1


def test_a_run_that_failed_is_counted_in_its_row() -> None:
    (row,) = rows_of([figure(0.3)], [failure()])
    assert (row.measured, row.failed) == (1, 1)


def test_a_scenario_that_only_failed_is_a_row_without_figures() -> None:
    first, second = rows_of([figure(0.3)], [failure("site")])
    assert (first.scenario, first.failed) == ("engine", 0)
    assert (second.incident, second.measured, second.failed) == ("site", 0, 1)
    assert second.outage is None


def test_systems_of_one_scenario_stand_beside_each_other() -> None:
    runs = [figure(1), figure(1, scenario="site", incident="site killed"), figure(1, "patroni")]
    assert [row.system for row in rows_of(runs, [])] == ["saling", "patroni", "saling"]


def test_a_ratio_is_the_peers_median_over_ours() -> None:
    runs = [figure(0.2), figure(0.2), figure(0.9), figure(5, "patroni")]
    (ratio,) = ratios_of(rows_of(runs, []))
    assert (ratio.incident, ratio.peer, ratio.times) == (ENGINE, "patroni", 25.0)


def test_the_text_names_what_failed_and_what_was_not_run() -> None:
    text = markdown(report([figure(0.2), figure(5, "patroni")], [failure()]))
    assert "engine, saling fast, run 4: TimeoutError: it never came back" in text
    assert "more words" not in text
    assert "2 cores, load 0.5 at the begin and 3.0 at the end." in text
    assert "- cut: it needs root" in text
    assert f"| {ENGINE} | patroni default | saling fast | 25 |" in text


def test_both_files_are_written_and_read_back(tmp_path: Path) -> None:
    made = report([figure(0.2)], [failure()])
    write(made, tmp_path / "new" / "bench")
    read = msgspec.json.decode((tmp_path / "new" / "bench.json").read_bytes(), type=Report)
    assert read == made
    assert (tmp_path / "new" / "bench.md").read_text() == markdown(made)


def seen(unkind: Unkind, system: str = "saling", profile: str = "fast") -> Figure:
    cut = {"scenario": "cut-off", "incident": "primary site cut off", "profile": profile}
    return figure(2.1, system, unkind=unkind, **cut)


def test_the_faulty_sites_side_has_the_worst_of_its_runs() -> None:
    runs = [
        told(lease_margin_s=0.4, acked_inside=90, lost_inside=7, lag_bytes=None),
        told(lease_margin_s=0.2, acked_inside=80, lost_inside=9, lag_bytes=64, lost_after=1),
        told(lease_margin_s=None, acked_after_thaw=2, two_writers_after_s=0.1, whole_after_s=9),
    ]
    (side,) = sides_of([seen(run) for run in runs])
    assert (side.lease_margin_s, side.acked_inside, side.lost_inside) == (0.2, 90, 9)
    assert (side.acked_after_thaw, side.two_writers_after_s, side.lost_after) == (2, 0.1, 1)
    assert (side.lag_bytes, side.whole_after_s) == (64, 9)
    assert (side.quarantined, side.own_count, side.equal) == (None, None, None)


def test_what_is_quarantined_and_the_clients_own_count_are_sums_that_can_be_compared() -> None:
    counts = [Kept(n, OwnCount(own, more), {}, "") for n, own, more in ((12, 12, 0), (9, 8, 1))]
    (side,) = sides_of([seen(told(kept=kept)) for kept in counts])
    assert (side.quarantined, side.own_count, side.equal) == (21, OwnCount(20, 1), True)
    wrong = Kept(3, OwnCount(4, 0), {}, "it holds 3 transactions")
    (side,) = sides_of([seen(told(kept=kept)) for kept in (*counts, wrong)])
    assert side.equal is False


def test_a_peer_stands_beside_it_with_dashes_for_what_it_does_not_tell() -> None:
    ours = seen(told(lease_margin_s=0.25, kept=Kept(12, OwnCount(11, 1), {}, "")))
    theirs = seen(told(lease_margin_s=None, lag_bytes=None, lost_inside=60), "patroni", "default")
    text = markdown(report([ours, theirs], []))
    first, second = (line for line in text.splitlines() if "| 0.0 s |" in line)
    assert first.startswith("| primary site cut off | saling | fast | 0.25 s |")
    assert first.endswith("| 0 B | 12 | 11 (+ 1 unanswered) | yes | yes |")
    assert second.startswith("| primary site cut off | patroni | default | - |")
    assert second.endswith("| - | - | - | - | yes |")


def test_without_a_client_in_a_faulty_site_there_is_no_second_table() -> None:
    assert "faulty site" not in markdown(report([figure(0.2)], []))


def test_one_run_whose_copies_differ_is_seen_in_its_row() -> None:
    (side,) = sides_of([seen(told()), seen(told(difference="lab_writes: 1 rows are missing"))])
    assert side.same_rows is False
    (side,) = sides_of([seen(told()), seen(told())])
    assert side.same_rows is True


def away(run: SlotLost) -> Figure:
    return figure(0.1, scenario="slot-lost", incident="backup away", slot_lost=run)


def test_the_disks_row_has_the_worst_of_its_runs() -> None:
    runs = [
        absent(written_bytes=300 * MIB, pg_wal_most_bytes=90 * MIB, whole_after_s=8),
        absent(written_bytes=260 * MIB, pg_wal_most_bytes=112 * MIB, whole_after_s=12),
        absent(pg_wal_before_bytes=80 * MIB, copied_anew=False, difference="lab_writes: 1 rows"),
    ]
    (disk,) = disks_of([away(run) for run in runs])
    assert (disk.written_bytes, disk.pg_wal_most_bytes) == (256 * MIB, 112 * MIB)
    assert (disk.pg_wal_before_bytes, disk.whole_after_s) == (80 * MIB, 12)
    assert (disk.copied_anew, disk.same_rows) == (False, False)


def test_a_backup_that_was_away_has_a_third_table_and_no_second_one() -> None:
    text = markdown(report([away(absent())], []))
    assert "faulty site" not in text
    line = "| 256 MiB | 64 MiB | 112 MiB | 128 MiB | 10.0 s | yes | yes |"
    assert f"| backup away | saling | fast {line}" in text
    assert "pg_wal" not in markdown(report([figure(0.2)], []))


def test_what_the_old_primary_told_those_that_stayed_has_the_worst_of_its_runs_by_way() -> None:
    runs = [
        (WaySeen(TCP, 40, 0.5, 0, 0), WaySeen(SOCKET, 9, None, 2, 1)),
        (WaySeen(TCP, 30, 0.3, 1, 0), WaySeen(SOCKET, 8, 0.6, 0, 0)),
    ]
    text = markdown(report([seen(told(ways=ways)) for ways in runs], []))
    assert "| primary site cut off | saling | fast | TCP | 40 | 0.30 s | 1 | 0 |" in text
    assert "| primary site cut off | saling | fast | unix socket | 9 | 0.60 s | 2 | 1 |" in text
    assert "stayed with" not in markdown(report([seen(told())], []))


def test_nothing_that_was_seen_is_dropped(tmp_path: Path) -> None:
    unkind = told(reasons=["ALONE: the backup is away"], kept=Kept(1, OwnCount(1, 0), {}, ""))
    write(report([seen(unkind), away(absent())], []), tmp_path / "bench")
    read = msgspec.json.decode((tmp_path / "bench.json").read_bytes(), type=Report)
    assert read.figures[0].unkind == unkind
    assert read.figures[1].slot_lost == absent()
