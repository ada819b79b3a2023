"""docs/safety.md is true: it names every mutant, no other, and checkers that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.simulation.mutants.catalogue import MUTANTS


@pytest.fixture
def text(root: Path) -> str:
    """The page."""
    return (root / "docs" / "safety.md").read_text()


def test_every_mutant_stands_there_once_and_nothing_else_does(text: str) -> None:
    """So that nobody reads of a proof that is not made."""
    named = re.findall(r"`([a-z]+(?:_[a-z]+)+)`", text)
    assert sorted(named) == sorted(MUTANTS)


def test_every_promise_has_its_checker(text: str, root: Path) -> None:
    """A file each, or more."""
    rows = re.findall(r"^\| (\w+) \| [^|]+ \| (.+) \|$", text, re.MULTILINE)
    assert {f"I{number}" for number in range(1, 12)} <= {name for name, _files in rows}
    for name, files in rows:
        for file in re.findall(r"`([^`]+)`", files):
            assert (root / file).is_file(), f"{name} is watched by {file}, which does not exist"


def test_every_mutant_stands_with_the_promises_that_catch_it(text: str) -> None:
    """And with no others: a mutant that dies of something else proves nothing of its rule."""
    for entry in re.findall(r"^- (`.*)$", text, re.MULTILINE):
        names = re.findall(r"`([a-z]+(?:_[a-z]+)+)`", entry)
        promises = set(
            re.findall(
                r"\b(I\d+|takeover|pause|hold|veto|illness|approval|forced|distance|disk|layers|order"
                r"|capacity|plans|dwell|stage|blind|policy|caution|verdict)\b(?=[.,])",
                entry,
            )
        )
        assert promises == {p for name in names for p in MUTANTS[name].caught_as}, names


def test_every_promise_is_broken_by_a_mutant(text: str) -> None:
    """A checker that nothing wakes may be asleep."""
    promises = set(re.findall(r"^\| (\w+) \| ", text, re.MULTILINE))
    assert promises == {p for mutant in MUTANTS.values() for p in mutant.caught_as}
