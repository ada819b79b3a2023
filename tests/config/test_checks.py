"""The file of a site's own checks: its mistakes, and whose it must be."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from config.checks import CHECKS_AT_MOST, OWN_KINDS, distrust, load_checks
from config.problems import ConfigError, Problem
from config.validate import Report

Judge = Callable[[dict[str, Any] | str], Report]
Said = Callable[[Report, str], Problem]
POWER = {"kind": "power", "command": ["/usr/local/sbin/check-power"]}


def content(*checks: dict[str, Any]) -> dict[str, Any]:
    return {"version": 1, "checks": list(checks)}


def test_a_check_needs_a_kind_and_a_command_and_the_rest_has_defaults(
    tmp_path: Path, judge: Judge
) -> None:
    report = judge(content(POWER))
    assert (report.kind, report.problems, report.exit_code) == ("checks", (), 0)
    [check] = load_checks(report.file).checks
    times = (check.interval_ms, check.timeout_ms, check.on_after_ms, check.off_after_ms)
    assert times == (30_000, 10_000, 5000, 60_000)


@pytest.mark.parametrize(
    ("changes", "path", "message"),
    [
        ({"kind": "Power"}, "kind", "no name"),
        ({"command": "check-power"}, "command", "list"),
        ({"command": []}, "command", "at least 1"),
        ({"command": ["check-power"]}, "command", "no whole path"),
        ({"interval": "500ms"}, "interval", "shorter than a second"),
        ({"timeout": "10ms"}, "timeout", "shorter than 100 ms"),
        ({"timeout": 10}, "timeout", "without a unit"),
        ({"shell": "x"}, "shell", "unknown key"),
        *[({"kind": kind}, "kind", "Saling itself") for kind in OWN_KINDS],
    ],
)
def test_a_mistake_is_named_by_its_place_with_a_mend(
    judge: Judge, said: Said, changes: dict[str, Any], path: str, message: str
) -> None:
    report = judge(content({**POWER, **changes}))
    assert report.exit_code == 2
    assert message in said(report, f"checks[0].{path}").message


def test_each_kind_has_one_check(judge: Judge, said: Said) -> None:
    report = judge(content(POWER, POWER))
    assert "the first is checks[0]" in said(report, "checks[1].kind").message


def test_more_checks_than_a_report_can_tell_of_are_refused(judge: Judge) -> None:
    many = [{**POWER, "kind": f"power-{n}"} for n in range(CHECKS_AT_MOST + 1)]
    assert judge(content(*many)).exit_code == 2


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file that may be trusted."""
    made = tmp_path / "checks.yaml"
    made.write_text(yaml.safe_dump(content(POWER)), encoding="utf-8")
    made.chmod(0o644)
    return made


def test_what_only_its_owner_writes_is_trusted(file: Path) -> None:
    assert distrust(file) is None


@pytest.mark.parametrize("mode", [0o664, 0o646, 0o666, 0o777])
def test_a_file_that_others_may_write_is_refused_with_the_mend(file: Path, mode: int) -> None:
    file.chmod(mode)
    with pytest.raises(ConfigError) as refused:
        load_checks(file)
    [problem] = refused.value.problems
    assert f"mode {mode:04o}" in problem.message
    assert problem.mend == f"chmod go-w {file.resolve()}"


def test_a_directory_in_which_others_may_put_another_file_is_refused(file: Path) -> None:
    inside = file.parent / "open"
    inside.mkdir()
    inside.chmod(0o777)
    moved = file.rename(inside / "checks.yaml")
    refused = distrust(moved)
    assert refused is not None
    assert refused.mend == f"chmod go-w {inside.resolve()}"
    link = inside / "link.yaml"
    link.symlink_to(moved.rename(file))
    assert distrust(file) is None
    assert distrust(link) is not None
    inside.chmod(0o777 | stat.S_ISVTX)
    assert distrust(link) is None


def test_a_directory_that_a_group_may_write_is_refused_unless_the_group_is_root(
    file: Path,
) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root gives a directory to any group")
    inside = file.parent / "shared"
    inside.mkdir()
    moved = file.rename(inside / "checks.yaml")
    os.chown(inside, -1, 12345)
    inside.chmod(0o775)
    refused = distrust(moved)
    assert refused is not None
    assert refused.mend == f"chmod go-w {inside}"
    os.chown(inside, -1, 0)
    assert distrust(moved) is None


def test_every_link_on_the_way_counts_and_where_it_stands(file: Path) -> None:
    inside = file.parent / "open"
    inside.mkdir()
    middle = inside / "middle.yaml"
    middle.symlink_to(file)
    first = file.parent / "first.yaml"
    first.symlink_to("open/middle.yaml")
    assert distrust(first) is None
    inside.chmod(0o777)
    refused = distrust(first)
    assert refused is not None
    assert refused.mend == f"chmod go-w {inside}"
    assert distrust(file.parent / "open" / ".." / "checks.yaml") is not None
    assert distrust(file) is None


def test_a_link_that_another_user_made_is_refused(file: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root gives a link away")
    link = file.parent / "link.yaml"
    link.symlink_to(file)
    os.chown(link, 12345, -1, follow_symlinks=False)
    assert "user 12345" in str(distrust(link))


def test_links_that_lead_to_each_other_are_refused(tmp_path: Path) -> None:
    (tmp_path / "one").symlink_to("other")
    (tmp_path / "other").symlink_to("one")
    assert "Too many levels" in str(distrust(tmp_path / "one"))


def test_a_link_is_as_good_as_what_it_leads_to(file: Path) -> None:
    link = file.parent / "link.yaml"
    link.symlink_to(file)
    assert distrust(link) is None
    file.chmod(0o666)
    assert distrust(link) is not None
    file.unlink()
    assert "No such file" in str(distrust(link))


def test_a_file_of_another_user_is_refused(file: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root gives a file away")
    os.chown(file, 12345, 0)
    refused = distrust(file)
    assert refused is not None
    assert "user 12345" in refused.message
    assert refused.mend.startswith("chown root")


def test_a_directory_in_place_of_the_file_is_refused(tmp_path: Path) -> None:
    assert "no regular file" in str(distrust(tmp_path))
