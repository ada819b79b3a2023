"""A lab whose journal does not replay fails the run, whenever that is found."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from lab.base.keys import make_keys
from lab.base.plan import Plan, write_topology
from tests.lab.conftest import FAST
from tests.lab.replayed import Replays


def test_a_journal_that_does_not_replay_is_told_with_its_lab_and_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    plan, replays = Plan(tmp_path / "lab", (FAST,)), Replays()
    write_topology(plan, make_keys(tmp_path / "keys", plan.agents, {}))
    plan.journal_directory.mkdir(parents=True)
    (plan.journal_directory / "journal-00000001.jsonl").write_text("{}\n")
    replays.begin(plan)
    (told,) = replays.wrong()
    (kept,) = tmp_path.glob("saling-journal-*")
    assert FAST.name in told
    assert str(kept) in told


def test_a_lab_that_was_never_launched_has_nothing_to_replay(tmp_path: Path) -> None:
    replays = Replays()
    replays.begin(Plan(tmp_path, (FAST,)))
    assert replays.wrong() == []
