"""The incidents of the field, played on the shipped rules: each ends as its script expects, and
goes the very way that was recorded.

`python -m simulator --scenario tests/scenarios/*.txt --record` records anew.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from simulator.scenarios.playing import play
from simulator.scenarios.reading import read, split

FILES = sorted(Path(__file__).parent.glob("*.txt"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_scenario_goes_as_it_expects_and_as_it_was_recorded(file: Path) -> None:
    """What differs from the record is shown; if it is meant, it is recorded anew."""
    text = file.read_text(encoding="utf-8")
    played = play(read(text, file.name))
    assert not played.broken
    assert played.record == split(text)[1]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_scenario_tells_its_story_first(file: Path) -> None:
    """What happened where, and what Saling must do differently; and something is expected."""
    scenario = read(file.read_text(encoding="utf-8"), file.name)
    assert len(scenario.story.split()) >= 12
    assert scenario.expectations
