"""What the doctor says of a running engine."""

from __future__ import annotations

from pathlib import Path

import pytest

from agents.doctor.engine import (
    role_findings,
    rule_findings,
    running_findings,
    setting_findings,
    sync_findings,
)
from agents.doctor.findings import Level
from agents.engines.pg_settings import PostgresConfig
from agents.engines.pg_waits import Weakness

SAFE = {"hints": True, "safe": True, "hba_file": "/run/pg_hba.conf", "standby": False}


@pytest.fixture
def config() -> PostgresConfig:
    return PostgresConfig(
        service="orders",
        data=Path("/data"),
        run=Path("/run"),
        binaries=Path("/bin"),
        listen="127.0.0.1:5432",
        password_file=Path("/password"),
    )


async def test_of_an_engine_that_does_not_run_nothing_is_said(config: PostgresConfig) -> None:
    assert await running_findings("orders", config) == []


def test_every_right_that_is_missing_is_a_finding_with_the_place_to_mend_it() -> None:
    assert [f.level for f in role_findings("orders", [], False)] == [Level.OK]
    (found,) = role_findings("orders", ["saling_rewind: LOGIN"], standby=True)
    assert found.level is Level.FAIL
    assert "start the agent there" in found.mend


def test_what_is_as_it_should_be_is_not_complained_of(config: PostgresConfig) -> None:
    assert setting_findings("orders", config, SAFE, []) == []


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"hints": False}, "could not be rewound"),
        ({"safe": False}, "loses acknowledged writes"),
        ({"hba_file": "/data/pg_hba.conf"}, "not Saling's own"),
    ],
)
def test_what_is_not_as_it_should_be_is_named(
    config: PostgresConfig, change: dict[str, object], named: str
) -> None:
    (found,) = setting_findings("orders", config, {**SAFE, **change}, [])
    assert named in found.found
    assert found.mend


def test_alter_system_of_an_owned_setting_is_named_with_its_reset(config: PostgresConfig) -> None:
    (found,) = setting_findings("orders", config, SAFE, ["port"])
    assert found.mend == "ALTER SYSTEM RESET port"


def test_a_rule_that_cannot_be_read_is_named_with_its_line() -> None:
    (found,) = rule_findings("orders", [{"line_number": 9, "error": "invalid"}])
    assert "line 9: invalid" in found.found


def test_what_weakens_sync_mode_is_named_with_the_statement_that_mends_it() -> None:
    text = "role report has synchronous_commit = off: ALTER ROLE report RESET synchronous_commit"
    weakened, unseen = sync_findings("orders", Weakness((text,), "waits are not counted", None))
    assert (weakened.level, unseen.level) == (Level.WARN, Level.WARN)
    assert weakened.found == "sync mode is weakened: role report has synchronous_commit = off"
    assert weakened.mend == "ALTER ROLE report RESET synchronous_commit"
    assert [f.level for f in sync_findings("orders", Weakness((), "", None))] == [Level.OK]
