"""A failing seed becomes a handful of strikes that fail for the same reason, and only for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from agents.core import holder
from simulator.__main__ import main
from simulator.scenarios.playing import play
from simulator.scenarios.reading import read

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


def test_seed_that_breaks_nothing_is_not_shrunk(capsys: pytest.CaptureFixture[str]) -> None:
    """It says so."""
    assert main(["--shrink", "1", "--seconds", "2"]) == 1
    assert "there is nothing to shrink" in capsys.readouterr().out
