"""What an explanation says beside the phase."""

from __future__ import annotations

from controller.core.explanation.explain import explain
from controller.core.model import Approval, HeldFor, Phase
from tests.controller.core.given import NOW, TERMS, Given, backup_report, primary_report


def warnings(given: Given) -> tuple[str, ...]:
    return explain(given.service, NOW).warnings


def test_nothing_is_warned_of_where_renewals_and_fences_come_in_time_or_are_not_known() -> None:
    assert warnings(Given(Phase.PROTECTED)) == ()
    known = primary_report(renewal_gap_p999_ms=TERMS.renew_ms + 30, kill_p999_ms=40)
    assert warnings(Given(Phase.PROTECTED).primary(known)) == ()


def test_late_renewals_of_the_primary_are_warned_of_with_figures_and_mend() -> None:
    late = primary_report(renewal_gap_p999_ms=TERMS.renew_ms + 310)
    assert warnings(Given(Phase.PROTECTED).primary(late)) == (
        "renewals of jabodetabek-1 come late: p99.9 is 310 ms, TTL/8 is 250 ms; "
        "choose profile standard or free the machine",
    )


def test_what_a_backup_measured_when_it_was_primary_says_nothing_of_renewals_but_of_kills() -> None:
    old = backup_report(renewal_gap_p999_ms=TERMS.renew_ms + 310, kill_p999_ms=101)
    (said,) = warnings(Given(Phase.PROTECTED).backup(old))
    assert said.startswith("fences of batam-1 may not end in time: p99.9 of a kill is 101 ms")


def test_an_agent_that_is_not_heard_is_not_judged_by_an_old_report() -> None:
    late = primary_report(renewal_gap_p999_ms=TERMS.renew_ms + 310)
    assert warnings(Given(Phase.PROTECTED).primary(late, age_ms=60_000)) == ()


def ways(given: Given) -> dict[str, str]:
    told = explain(given.service, NOW).ways
    return {way.name: " | ".join(clause.text for clause in way.clauses) for way in told}


def test_ways_out_of_another_hold_are_not_shown() -> None:
    lost = ways(Given(Phase.HELD, held_for=HeldFor.LOSS).stopped())
    assert {"loss_approved", "log_arrived", "store_restored_in_hold"} <= lost.keys()
    assert not {"force_proved", "force_asked", "well_again", "restored_accepted"} & lost.keys()
    asked = Approval("siti", 1, -1)
    forced = ways(Given(Phase.HELD, held_for=HeldFor.FORCED, approval=asked).stopped())
    assert {"force_proved", "force_given_up"} <= forced.keys()
    assert not {"loss_approved", "loss_approved_by_one", "approval_ended"} & forced.keys()


def test_nothing_is_said_of_a_hold_or_of_waiting_commits_where_there_are_none() -> None:
    shown = ways(Given(Phase.PROTECTED))
    assert not {"hold_over", "hold_counted", "hold_released", "commits_go_on"} & shown.keys()
    assert not any("overdue by" in text or "are missing" in text for text in shown.values())
    assert "integrity_hold" in shown
