"""A failing seed becomes a handful of strikes that fail for the same reason, and only for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from agents.core import holder
from controller.core.model import Protection
from simulator import shrink as shrink_module
from simulator.__main__ import main
from simulator.run import Script
from simulator.scenarios.playing import play
from simulator.scenarios.reading import read
from simulator.setting import ServiceSetting, Setting
from simulator.strike import Strike
from tests.simulation.mutants.catalogue import MUTANTS

SEED, PROFILE, SECONDS = "10", "corner", "5"


def half_as_long_again(ttl_ms: int) -> int:
    """The mistake: the holder relies on its lease for longer than it was granted."""
    return ttl_ms * 3 // 2


def test_failing_seed_shrinks_to_what_is_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the mistake it breaks, without it every promise holds."""
    saved = tmp_path / "smaller.txt"
    command = ["--shrink", SEED, "--profile", PROFILE, "--seconds", SECONDS, "--save", str(saved)]
    with monkeypatch.context() as patch:
        patch.setattr(holder, "holder_window_ms", half_as_long_again)
        assert main(command) == 0
        scenario = read(saved.read_text(encoding="utf-8"), "smaller.txt")
        assert play(scenario).rule == "I5"
    assert capsys.readouterr().out == saved.read_text(encoding="utf-8")
    assert len(scenario.strikes) <= 4
    assert len(scenario.setting.services) == 1
    assert len(scenario.setting.sites) == 2
    assert not play(scenario).broken


def test_death_that_nobody_survived_stays_in_every_smaller_night(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without it nobody would have to take over, and nobody would."""
    mutant = MUTANTS["primary_stands_alone_on_an_old_proof"]
    mutant.apply(monkeypatch)
    monkeypatch.setattr(shrink_module, "TRIES_MOST", 20)
    service = ServiceSetting("s1", "alpha", "bravo", protection=Protection.SYNC)
    setting = Setting(("alpha", "bravo"), (service,), ordered=False)
    replays = [Strike(9_250 + 300 * n, "replay", ("alpha", "hub", "3"), 1) for n in range(7)]
    noise = Strike(4_500, "slow-looks", ("bravo",), 100)
    death = Strike(8_000, "crash-host", ("alpha",))
    script = Script(3, "dead_site", 3, setting, (noise, *replays), death)
    shrunk = shrink_module.shrink(script, "takeover: nobody", "takeover", lambda _text: None)
    assert shrunk is not None
    assert death in shrunk.scenario.strikes
    assert noise not in shrunk.scenario.strikes
    assert "s1 writable at bravo" in shrunk.played.broken


def test_seed_that_breaks_nothing_is_not_shrunk(capsys: pytest.CaptureFixture[str]) -> None:
    """It says so."""
    assert main(["--shrink", "1", "--seconds", "2"]) == 1
    assert "there is nothing to shrink" in capsys.readouterr().out
