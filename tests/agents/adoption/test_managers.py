"""Who else might start the server: read from files and texts as other tools write them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from agents.adoption.managers import (
    manager_findings,
    start_conf_findings,
    starts_by_itself,
    unit_findings,
    unit_of,
)
from agents.adoption.takeover import keep_host_from_starting
from agents.doctor.findings import Level


@pytest.mark.parametrize(
    ("text", "starts"),
    [
        ("auto\n", True),
        ("# Automatic startup\n\nauto # really\n", True),
        ("", True),
        ("manual\n", False),
        ("# a\ndisabled\n", False),
    ],
)
def test_start_conf_is_read_as_debian_reads_it(tmp_path: Path, text: str, starts: bool) -> None:
    file = tmp_path / "start.conf"
    assert starts_by_itself(file)
    file.write_text(text)
    assert starts_by_itself(file) is starts


def test_start_conf_is_changed_with_consent_only_and_once(tmp_path: Path) -> None:
    config = tmp_path / "postgresql.conf"
    assert list(start_conf_findings(config, consent=False)) == []
    assert not keep_host_from_starting(config)
    (tmp_path / "start.conf").write_text("auto\n")
    (finding,) = start_conf_findings(config, consent=False)
    assert finding.level is Level.FAIL and "echo disabled" in finding.mend
    (finding,) = start_conf_findings(config, consent=True)
    assert finding.level is Level.OK
    assert keep_host_from_starting(config)
    assert not starts_by_itself(tmp_path / "start.conf")
    assert not keep_host_from_starting(config)


def test_the_unit_of_a_server_is_found_in_its_control_group() -> None:
    assert unit_of("0::/system.slice/postgresql-16.service\n") == "postgresql-16.service"
    slice_of = "0::/system.slice/system-postgresql.slice/postgresql@15-main.service\n"
    assert unit_of(slice_of) == "postgresql@15-main.service"
    assert unit_of("0::/user.slice/user-0.slice/session-1.scope\n") == ""
    assert unit_of("") == ""


@pytest.mark.parametrize(
    ("shown", "mend"),
    [
        ("UnitFileState=enabled\nRestart=no\n", "systemctl disable"),
        ("UnitFileState=disabled\nRestart=always\n", "Restart=no"),
        ("", "systemctl disable"),
        ("UnitFileState=disabled\nRestart=on-failure\n", ""),
    ],
)
def test_a_unit_that_would_start_the_server_is_refused(shown: str, mend: str) -> None:
    (finding,) = unit_findings("postgresql-16.service", shown)
    assert (finding.level is Level.FAIL) is bool(mend)
    assert mend in finding.mend


@pytest.mark.parametrize(
    ("file", "preloaded", "manager"),
    [
        ("patroni.dynamic.json", "", "Patroni"),
        ("postgresql-auto-failover.conf", "", "pg_auto_failover"),
        ("", "pg_stat_statements, repmgr", "repmgr"),
        ("", "pg_stat_statements", ""),
    ],
)
async def test_another_manager_is_found(
    tmp_path: Path, file: str, preloaded: str, manager: str
) -> None:
    if file:
        (tmp_path / file).touch()
    found = await manager_findings(tmp_path, os.getpid(), preloaded)
    failed = [f.found for f in found if f.level is Level.FAIL and f.what == "other managers"]
    assert bool(failed) is bool(manager)
    assert all(manager in text for text in failed)
