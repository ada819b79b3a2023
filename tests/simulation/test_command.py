"""`python -m simulator` says what is wrong, whose fault it is, and what would be right."""

from __future__ import annotations

from pathlib import Path

import pytest

from simulator.__main__ import main


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
        ("--jobs 0", "at least 1"),
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
