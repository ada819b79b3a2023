"""What a disk breaks that forgets what it acknowledged, and what holds nevertheless."""

from __future__ import annotations

from simulator.run import Result, Script, run_script
from simulator.setting import ServiceSetting, Setting
from simulator.strike import Strike


def lived(profile: str, backup_crash: Strike) -> Result:
    """The backup bravo stops granting and says so; the controller waits for its own promise alone.

    Then bravo's host crashes and cannot tell the controller, but alpha can ask it for leases.
    """
    strikes = (
        Strike(25_000, "cut", ("alpha", "bravo"), 6750),
        Strike(28_000, "cut", ("alpha", "hub"), 60_000),
        backup_crash,
        Strike(31_701, "cut-one-way", ("bravo", "hub"), 3000),
    )
    service = ServiceSetting("s1", primary="alpha", backup="bravo", lease="standard")
    return run_script(Script(1, profile, 60, Setting(("alpha", "bravo"), (service,)), strikes))


HONEST = Strike(31_700, "crash-host", ("bravo",), 20)
LYING = Strike(31_700, "forget-writes", ("bravo", "1"), 20)


def test_a_stop_that_was_told_and_then_forgotten_makes_two_writers() -> None:
    assert lived("crashes", LYING).rule == "I1"


def test_a_stop_that_is_kept_through_the_same_crash_makes_one_writer() -> None:
    assert lived("crashes", HONEST).broken == ""


def test_two_writers_are_no_failure_where_disks_lie() -> None:
    assert lived("lying_disks", LYING).broken == ""
