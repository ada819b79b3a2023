"""`python -m simulator` says what is wrong, whose fault it is, and what would be right."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from simulator.__main__ import main
from simulator.command import as_command

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("--replay 1 --json", "--json belongs to --seeds, not to --replay"),
        ("--speed --profile hub", "--profile belongs to --seeds or --replay or --shrink"),
        ("--replay 1 --seeds 0:2", "--seeds names many nights"),
        ("--record", "--record belongs to --scenario"),
        ("--save it.txt", "--save belongs to --shrink"),
        ("--replay x", "'x' is no seed"),
        ("--seeds 5:5", "B must be more than A"),
        ("--seeds=-3:2", "'-3:2' is not A:B"),
        ("--jobs 0", "at least 1"),
        ("--shrink 1 --save /nowhere/it.txt", "there is no directory /nowhere"),
        ("--shrink 1 --save /", "it is a directory"),
        ("--replay 1 --profile all", "name its --profile"),
        ("--shrink 1 --profile all", "name its --profile"),
    ],
)
def test_what_would_be_ignored_or_makes_no_sense_is_refused(
    arguments: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(arguments.split())
    assert stopped.value.code == 2
    assert said in capsys.readouterr().err


def test_a_scenario_that_cannot_be_read_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    binary, missing = tmp_path / "binary.txt", tmp_path / "missing.txt"
    binary.write_bytes(b"\xf0\x28")
    for file, why in ((binary, "no text in UTF-8"), (missing, "No such file"), (tmp_path, "Is a")):
        assert main(["--scenario", str(file)]) == 2
        assert f"{file}: {why}" in capsys.readouterr().err


def test_what_is_interrupted_says_so_in_one_line_and_breaks_no_promise(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def interrupted() -> int:
        raise KeyboardInterrupt

    assert as_command(interrupted) == 130
    assert capsys.readouterr().err == "interrupted\n"


@pytest.mark.parametrize(("goes", "code"), [("| true", 141), ("> /dev/full", 2)])
def test_what_nobody_can_read_is_no_broken_promise(goes: str, code: int) -> None:
    """1 would mean that a rule broke."""
    replay = f"{sys.executable} -m simulator --replay 3 --seconds 2"
    told = subprocess.run(
        ["bash", "-c", f"{replay} {goes}; echo ${{PIPESTATUS[0]}}"],
        check=True,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert told.stdout.split()[-1] == str(code)
    assert "Traceback" not in told.stderr


def test_with_json_nothing_but_lines_of_json_stands_on_stdout(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["--seeds", "0:2", "--seconds", "2", "--json"]) == 0
    told = capsys.readouterr()
    assert [json.loads(line)["seed"] for line in told.out.splitlines()] == [0, 1]
    assert "2 passed, 0 failed" in told.err
