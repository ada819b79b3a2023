"""Every bug that the simulator found and that was mended keeps the smallest night that showed it.

The files are scenarios, most of them made by `--shrink SEED --save FILE`; their first lines say
what was wrong.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from simulator.scenarios.playing import play
from simulator.scenarios.reading import read

FILES = sorted(Path(__file__).with_name("regressions").glob("*.txt"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_mended_bug_does_not_come_back(file: Path) -> None:
    """Every promise holds, and all becomes well again."""
    scenario = read(file.read_text(encoding="utf-8"), file.name)
    assert scenario.story
    assert not play(scenario).broken
