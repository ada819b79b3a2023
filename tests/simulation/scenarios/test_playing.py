"""A scenario that is played says when each expectation was met, and which one does not hold."""

from __future__ import annotations

from pathlib import Path

import pytest

from simulator.__main__ import main
from simulator.run import run_drawn
from simulator.scenarios.playing import Played, play
from simulator.scenarios.reading import read
from simulator.shrink import scenario_of

WORLD = """\
seed 7
sites jabodetabek batam
service app at jabodetabek backed by batam
"""


def played(*lines: str) -> Played:
    return play(read(WORLD + "".join(f"{line}\n" for line in lines), "a.txt"))


@pytest.mark.parametrize("profile", ["everything", "hub"])
def test_seed_that_is_written_as_a_scenario_goes_the_same_way(profile: str) -> None:
    """So what is shrunk and saved is the run that failed."""
    result, script = run_drawn(3, profile, 6, False)
    assert play(scenario_of(script, "nothing")).digest == result.digest


def test_each_expectation_counts_from_where_the_one_above_it_was_met() -> None:
    """PROTECTED by 20s is not met by what was so before the failover."""
    told = played(
        "expect app PROTECTED at jabodetabek by 4s",
        "at 5s crash-host jabodetabek for 2s",
        "expect app writable at batam by 9s",
        "expect app PROTECTED by 20s",
    ).record
    assert told.index("app writable at batam by 9s") < told.index(
        "met          app PROTECTED by 20s"
    )


@pytest.mark.parametrize(
    ("line", "is_so"),
    [
        ("expect app HELD by 6s", "but at 6.000 s it is PROTECTED at jabodetabek"),
        ("expect app stays ALONE until 6s", "it is PROTECTED at jabodetabek"),
        ("expect app writable nowhere by 6s", "writable jabodetabek"),
        ("expect refused", "the answer is: automatic failover was paused"),
        ('expect accepted "a banana"', "the answer is: automatic failover was paused"),
    ],
)
def test_broken_expectation_says_what_is_the_case(line: str, is_so: str) -> None:
    """And where it stands."""
    broken = played("at 5s pause app", line, "at 7s end").broken
    assert broken.startswith(f"expect: a.txt:5: {line.removeprefix('expect ')}, but at ")
    assert is_so in broken


def test_loss_and_fences_are_seen_all_the_time() -> None:
    """Wherever their line stands."""
    cut = "at 5s isolate jabodetabek for 5s"
    assert "jabodetabek  app is fenced: deadline" in played(cut, "at 12s end").record
    assert "app is fenced" in played("expect nobody fenced", cut, "at 12s end").broken
    assert "so many bytes are lost" in played(cut, "expect no write lost", "at 12s end").broken
    assert not played(cut, "expect at most 1MB of app lost", "at 12s end").broken


def test_last_heal_makes_all_well_or_breaks_a_promise() -> None:
    """The operators resume what they paused, as after every seed."""
    told = played("at 5s crash-host jabodetabek", "at 15s heal")
    assert not told.broken
    assert "all services are well" in told.record


def test_command_line_plays_records_and_says_what_is_wrong(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """0 when all was met, 1 when not, 2 when it cannot be read; a broken one is not recorded."""
    good, bad, wrong = (tmp_path / name for name in ("good.txt", "bad.txt", "wrong.txt"))
    good.write_text(f"{WORLD}expect app PROTECTED by 4s\n", encoding="utf-8")
    bad.write_text(f"{WORLD}expect app HELD by 1s\n", encoding="utf-8")
    wrong.write_text("sits a b\n", encoding="utf-8")
    assert main(["--scenario", str(good), "--record"]) == 0
    assert "\n----\n    0.000 s  app " in good.read_text(encoding="utf-8")
    before = bad.read_text(encoding="utf-8")
    assert main(["--scenario", str(bad), "--record"]) == 1
    assert bad.read_text(encoding="utf-8") == before
    assert main(["--scenario", str(wrong)]) == 2
    assert "wrong.txt:1: 'sits' is not what a line may begin with" in capsys.readouterr().err
