"""A scenario is read word by word; what cannot be read is named by file, line, word and mend."""

from __future__ import annotations

import pytest

from controller.core.model import Protection
from simulator.scenarios.reading import read, split
from simulator.scenarios.script import Want
from simulator.scenarios.words import ScenarioError
from simulator.scenarios.writing import with_record, write
from simulator.strike import Strike

WORLD = """\
# What happened.
# What must be different.
seed 7
sites jabodetabek batam
pair jabodetabek batam
service app at jabodetabek backed by batam, standard, sync, bound 64kB, writes 500B every 20ms\
, group shop 2, local clients
fence batam nftables watchdog
clock batam slow by 4000 ppm
messages unordered
weather rough
"""


def test_world_and_story_are_as_they_are_written() -> None:
    """Every property of a service, the clocks and the weather."""
    scenario = read(WORLD, "a.txt")
    (service,) = scenario.setting.services
    assert scenario.story == "What happened.\nWhat must be different."
    assert (service.lease, service.protection) == ("standard", Protection.SYNC)
    assert (service.loss_bound_bytes, service.write_bytes) == (64_000, 500)
    assert service.local_clients
    assert (service.group, service.order) == ("shop", 2)
    assert scenario.setting.pairs == (("jabodetabek", "batam"),)
    assert scenario.setting.fences == ((), ("nftables", "watchdog"))
    assert scenario.setting.rates_ppm == (0, 0, -4000)
    assert (scenario.setting.weather, scenario.setting.ordered) == ("rough", False)


def test_strikes_are_of_the_catalogue_and_one_place_that_is_cut_is_isolated() -> None:
    """With victims of the kinds that each verb takes."""
    text = WORLD + "at 3s cut batam for 2s\nat 3s cut batam hub\nat 4s approve app 1 -1\n"
    assert read(text, "a.txt").strikes == (
        Strike(3000, "isolate", ("batam",), 2000),
        Strike(3000, "cut", ("batam", "hub")),
        Strike(4000, "approve", ("app", "1", "-1")),
    )


def test_an_expectation_counts_from_the_time_above_it() -> None:
    """And the end is the last moment that is named."""
    text = WORLD + 'at 3s heal\nexpect app HELD at batam because "a loss" by 9s\n'
    (expectation,) = read(text, "a.txt").expectations
    assert (expectation.want, expectation.from_ms) == (Want.REACHES, 3000)
    assert (expectation.aim.phase, expectation.aim.primary) == ("HELD", "batam")
    assert expectation.words == "a loss"
    assert read(text, "a.txt").end_ms == 9000


def test_an_answer_is_that_of_the_request_above_it() -> None:
    """Requests are counted in their order."""
    text = WORLD + "at 3s pause app\nat 4s resume app\nexpect accepted\n"
    assert read(text, "a.txt").expectations[0].request == "request-2"


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        ("at 3s izolate batam", "'izolate' is not what may happen; did you mean 'isolate'?"),
        ("at 3s isolate bandung", "'bandung' is not a site or hub; there are hub, jabodetabek"),
        ("at 3s crash-host hub", "'hub' is not a site; there are jabodetabek, batam"),
        ("at 3s cut batam batam", "'batam' is named twice; name another place"),
        ("at 3 isolate batam", "'3' is not a time (a number without a unit); write it like"),
        ("at 3s pause-agent batam", "'pause-agent' must come to an end by itself; write `for`"),
        ("at 3s isolate batam 4s", "'4s' is too much here; leave it out"),
        ("expect app PROTECTED", "'PROTECTED' is the last word here; write 'by' after it"),
        ("expect app protected by 4s", "'protected' is not a phase, nor at, writable; there are"),
        ("expect refused", "'refused' answers nothing; ask for something above it: switchover"),
        ("expect app stays HELD by 4s", "'by' does not belong here; write 'until'"),
        ("clock batam fast by 19000 ppm", "'19000' is out of range; write 0 to 10000"),
        ("fence batam moat", "'moat' is not a layer outside of the guard; there are nftables, w"),
        ("sites surabaya", "'sites' stands here for the second time; name all sites in one line"),
        ("service app at batam backed by jabodetabek", "'app' is the name of something else"),
        ("expect app HELD because loss by 9s", "'loss' is not in quotes; write words in quotes"),
    ],
)
def test_error_names_file_line_word_and_mend(line: str, wrong: str) -> None:
    """As an editor can find it."""
    with pytest.raises(ScenarioError) as error:
        read(f"{WORLD}{line}\n", "a.txt")
    assert str(error.value).startswith(f"a.txt:11: {wrong}")


def test_time_goes_forward_and_nothing_comes_after_the_end() -> None:
    """What is read from top to bottom happens in this order."""
    with pytest.raises(ScenarioError, match=r"a.txt:12: '3s' comes after 4s; write what happens"):
        read(f"{WORLD}at 4s heal\nat 3s heal\n", "a.txt")
    with pytest.raises(ScenarioError, match="comes after the end"):
        read(f"{WORLD}at 4s end\nat 5s heal\n", "a.txt")
    with pytest.raises(ScenarioError, match="'4s' is not after 4s"):
        read(f"{WORLD}at 4s heal\nexpect app HELD by 4s\n", "a.txt")
    with pytest.raises(ScenarioError, match="it ends at 4s, before 5s which it expects"):
        read(f"{WORLD}expect app HELD by 5s\nat 4s end\n", "a.txt")


def test_without_a_service_there_is_no_scenario() -> None:
    """Nothing could happen to it."""
    with pytest.raises(ScenarioError, match=r"a.txt: it has no service"):
        read("seed 3\n", "a.txt")
    with pytest.raises(ScenarioError, match="'at' comes too early; declare sites and services"):
        read("at 3s heal\n", "a.txt")


def test_what_is_written_is_read_as_the_same() -> None:
    """But for the lines at which it stands."""
    events = "at 3s crash-host batam for 0.25s\nat 5s heal\nexpect no write lost\nat 9s end\n"
    scenario = read(WORLD + events, "a.txt")
    again = read(write(scenario), "a.txt")
    assert write(again) == write(scenario)
    assert (again.setting, again.strikes) == (scenario.setting, scenario.strikes)
    assert (again.heals_ms, again.end_ms) == (scenario.heals_ms, scenario.end_ms)


def test_what_was_recorded_is_no_part_of_the_scenario() -> None:
    """It stands below the dashes, and can be replaced."""
    text = with_record(with_record(WORLD, "old\n"), "new\n")
    assert split(text) == (WORLD, "new\n")
    assert read(text, "a.txt") == read(WORLD, "a.txt")
