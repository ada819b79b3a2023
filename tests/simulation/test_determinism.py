"""A seed is the whole of a run: the same seed tells the same story, in any process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from simulator.run import Result, run

SECONDS = 8


def digests(root: Path, seeds: str, hash_seed: str, profile: str) -> list[str]:
    """What another process makes of the same seeds."""
    command = [sys.executable, "-m", "simulator", "--seeds", seeds, "--seconds", str(SECONDS)]
    done = subprocess.run(
        [*command, "--profile", profile, "--json"],
        cwd=root,
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        capture_output=True,
        check=False,
        timeout=900,
    )
    assert done.stderr.decode().rstrip().endswith(" failed"), done.stderr.decode()
    lines = done.stdout.decode().splitlines()
    return [msgspec.json.decode(line, type=Result).digest for line in lines]


@pytest.mark.parametrize("profile", ["everything", "still"])
def test_same_seed_tells_the_same_story_in_every_process(root: Path, profile: str) -> None:
    """Nothing depends on the order of a set, the hash of a string or the time of day."""
    here = [run(seed, profile, SECONDS).digest for seed in range(3)]
    assert digests(root, "0:3", "1", profile) == here
    assert digests(root, "0:3", "2", profile) == here


def test_different_seeds_tell_different_stories() -> None:
    """The digest sees the difference."""
    assert run(1, "everything", 2).digest != run(2, "everything", 2).digest


def test_replay_tells_the_story_and_its_digest(capsys: pytest.CaptureFixture[str]) -> None:
    """Time, who and what, line by line."""
    from simulator.__main__ import main

    assert main(["--replay", "3", "--seconds", "2"]) == 0
    told = capsys.readouterr().out
    assert "ALONE -> ARMING" in told
    assert run(3, "everything", 2).digest in told


def test_last_line_counts_what_passed_and_failed(capsys: pytest.CaptureFixture[str]) -> None:
    """One line for scripts."""
    from simulator.__main__ import main

    assert main(["--seeds", "0:3", "--seconds", "2"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "3 passed, 0 failed"
