"""A timeline holds what was asked for, in order, with who decided and what it cost."""

from __future__ import annotations

import random

from config.zones import TimeZone, zone_at
from controller.core.happening import About
from controller.core.model import Operation
from controller.timeline.model import Timeline
from tests.controller.timeline.story import MINUTE, START, change, failover, happened, planned, told


def subjects(line: Timeline) -> list[str]:
    return [entry.subject for entry in line.entries]


def test_the_oldest_stands_first_whatever_the_order_of_reading() -> None:
    lines = [*failover(10, 0), happened(1, 1000), planned(1, 2000)]
    random.Random(7).shuffle(lines)
    times = [entry.at_ms for entry in told(*lines).entries]
    assert times == sorted(times)
    assert len(times) == 8


def test_an_operation_is_told_as_a_whole_with_its_cost() -> None:
    (move,) = told(failover(10, 0)).moves
    assert (move.id, move.kind, move.by, move.outcome) == (
        "paspor-10", "failover", "the controller", "done",
    )  # fmt: skip
    assert (move.from_site, move.to_site) == ("jabodetabek", "batam")
    assert (move.outage_ms, move.loss_bytes) == (3210, 4096)
    assert (move.begun_at_ms, move.ended_at_ms) == (START, START + 3500)


def test_one_that_has_not_ended_says_so() -> None:
    (move,) = told(failover(10, 0)[:2]).moves
    assert (move.outcome, move.ended_at_ms, move.outage_ms) == ("under way", -1, -1)


def test_who_decided_is_the_person_who_asked_for_that_very_change_else_the_controller() -> None:
    asked = change(9, 0, "PROTECTED PROTECTED", by="siti", reason="patching")
    line = told(asked, failover(10, MINUTE))
    assert (line.entries[0].by, line.entries[0].reason) == ("siti", "patching")
    assert {entry.by for entry in line.entries[1:]} == {"the controller"}


def test_a_place_is_where_the_primary_stands_then_its_backup() -> None:
    line = told(failover(10, 0))
    assert line.entries[0].sites == ("jabodetabek", "batam")
    assert line.entries[2].sites == ("batam", "jabodetabek")


def test_the_last_incident_is_whole_also_when_it_began_by_itself() -> None:
    earlier = failover(1, -5000 * MINUTE, "pajak")
    both = [*failover(10, 0), *failover(30, 2 * MINUTE, "kependudukan")]
    paused = change(40, MINUTE, "PROTECTED PROTECTED", service="arsip")
    line = told(earlier, both, paused, last=True)
    assert set(subjects(line)) == {"paspor", "kependudukan"}
    assert len(line.entries) == 12
    assert {move.id for move in line.moves} == {"paspor-10", "kependudukan-30"}


def test_services_that_leave_one_soon_after_another_are_one_incident() -> None:
    lines = [
        change(number, number * 8 * MINUTE, "PROTECTED COUNTDOWN", service=f"s{number}")
        for number in range(1, 6)
    ]
    apart = change(9, -30 * MINUTE, "PROTECTED COUNTDOWN", service="earlier")
    assert subjects(told(apart, lines, last=True)) == ["s1", "s2", "s3", "s4", "s5"]


def test_all_that_one_plan_moved_is_one_incident_however_long_it_took() -> None:
    plan = "evacuate-jabodetabek-1"
    lines = [
        change(
            number,
            number * 60 * MINUTE,
            "PROTECTED DRAINING",
            service=f"s{number}",
            operation=Operation(f"s{number}-1", "switchover", "siti", "flood", plan=plan),
        )
        for number in (1, 2, 3)
    ]
    line = told(planned(1, 55 * MINUTE), lines, planned(2, 181 * MINUTE), last=True)
    assert subjects(line) == [
        "evacuate-jabodetabek-1", "s1", "s2", "s3", "evacuate-jabodetabek-1",
    ]  # fmt: skip


def test_the_last_incident_holds_what_came_shortly_before_it_and_meanwhile() -> None:
    line = told(
        happened(1, -5 * MINUTE),
        happened(2, -50 * MINUTE, because="long before"),
        happened(3, MINUTE, about=About.SITE, what="healthy -> down"),
        happened(4, 900 * MINUTE, because="long after"),
        planned(1, 2 * MINUTE),
        failover(10, 0),
        last=True,
    )
    assert [entry.about for entry in line.entries if entry.about != "service"] == [
        "caution", "site", "plan",
    ]  # fmt: skip
    assert "long" not in " ".join(entry.because for entry in line.entries)


def test_the_last_of_a_service_that_was_never_protected_begins_with_its_first_line() -> None:
    lines = [change(1, 0, "ALONE ARMING"), change(2, MINUTE, "ARMING PROTECTED")]
    assert len(told(lines, last=True).entries) == 2


def test_the_last_of_nothing_is_nothing() -> None:
    assert told(last=True).entries == ()


def test_where_no_service_moved_the_last_holds_its_plan_and_what_came_shortly_before() -> None:
    line = told(happened(1, 0), happened(2, 15 * MINUTE), happened(3, 20 * MINUTE), last=True)
    assert [entry.number for entry in line.entries] == [2, 3]
    plan = [planned(4, 40 * MINUTE), planned(5, 90 * MINUTE)]
    line = told(happened(3, 20 * MINUTE), happened(6, 35 * MINUTE), plan, last=True)
    assert [entry.number for entry in line.entries] == [6, 4, 5]


def test_one_operation_is_chosen_by_its_id() -> None:
    line = told(failover(10, 0), failover(30, 0, "pajak"), operation="paspor-10")
    assert set(subjects(line)) == {"paspor"}
    assert [move.id for move in line.moves] == ["paspor-10"]
    assert len(line.entries) == 4


def test_one_plan_is_chosen_with_the_operations_that_it_asked_for() -> None:
    plan = "evacuate-jabodetabek-1"
    operation = Operation("pajak-5", "switchover", "siti", "flood", plan=plan)
    moved = change(5, MINUTE, "PROTECTED DRAINING", service="pajak", operation=operation)
    line = told(planned(1, 0), planned(2, 30_000, "pajak"), moved, failover(10, 0),
                plan="evacuate-jabodetabek-1")  # fmt: skip
    assert [entry.about for entry in line.entries] == ["plan", "plan", "service"]
    assert [move.plan for move in line.moves] == ["evacuate-jabodetabek-1"]


def test_a_reason_that_only_looks_like_a_plan_is_none() -> None:
    operation = Operation("pajak-5", "switchover", "siti", "evacuate-jabodetabek-1: x")
    line = told(change(5, 0, "PROTECTED DRAINING", service="pajak", operation=operation))
    assert line.moves[0].plan == ""


def test_one_service_is_chosen_with_its_steps_of_plans() -> None:
    line = told(failover(10, 0), failover(30, 0, "pajak"), planned(1, 0, "pajak"), planned(2, 0),
                service="pajak")  # fmt: skip
    assert set(subjects(line)) == {"pajak", "evacuate-jabodetabek-1"}
    assert len(line.entries) == 7


def test_one_site_is_chosen_as_primarys_or_backups() -> None:
    lines = (failover(10, 0), change(50, 0, "PROTECTED COUNTDOWN", service="arsip"), happened(1, 0))
    assert set(subjects(told(*lines, site="jabodetabek"))) == {"paspor", "jabodetabek"}
    assert set(subjects(told(*lines, site="ikn"))) == {"arsip"}


def test_a_link_is_about_both_its_ends() -> None:
    cut = happened(1, 0, about=About.LINK, subject="batam <-> ikn", what="whole -> cut", site="")
    for site in ("batam", "ikn"):
        assert subjects(told(cut, site=site)) == ["batam <-> ikn"]
    assert told(cut, site="jabodetabek").entries == ()


def test_what_is_told_of_a_plan_twice_is_shown_once() -> None:
    again = happened(1, 0, about=About.PLAN, subject="evacuate-jabodetabek-1", what="running")
    assert len(told(planned(1, 0), again).entries) == 1


def test_a_time_is_chosen_by_its_ends() -> None:
    line = told(failover(10, 0), since_ms=START + 2500, until_ms=START + 3400)
    assert [entry.to_phase for entry in line.entries] == ["PROMOTING", "ROUTING"]


def test_what_is_left_out_is_said() -> None:
    assert not told(failover(10, 0)).left_out
    assert told(failover(10, 0), limit=2).left_out
    assert [e.to_phase for e in told(failover(10, 0), limit=2).entries] == ["ARMING", "PROTECTED"]
    assert told(failover(10, 0), whole=False).left_out


def test_sites_keep_the_zone_of_their_longitude_unless_they_name_another() -> None:
    zones = {place.id: place.zone for place in told().places}
    assert zones == {
        "jabodetabek": TimeZone.WIB,
        "batam": TimeZone.WIB,
        "ikn": TimeZone.WITA,
        "labuan-bajo": TimeZone.WITA,
    }
    assert [zone_at(x) for x in (95.3, 112.7, 113.9, 115.2, 119.4, 124.8, 128.2, 140.7)] == [
        "WIB", "WIB", "WIB", "WITA", "WITA", "WITA", "WIT", "WIT",
    ]  # fmt: skip
