"""The settings that Saling owns: refused by name, and listed in the docs as they are."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agents.engines.pg_settings import PostgresConfig, argv
from config.enginesettings import AT_START, CHANGED_RUNNING, WITHIN_BOUNDS, refusal
from config.problems import Problem
from config.validate import Report

DOCS = Path(__file__).parents[2] / "docs" / "postgresql.md"


@pytest.mark.parametrize("name", [*AT_START, *CHANGED_RUNNING])
def test_an_owned_setting_is_refused_at_load_with_its_reason(
    judge: Callable[[Any], Report],
    agent: Callable[..., Any],
    said: Callable[[Report, str], Problem],
    name: str,
) -> None:
    report = judge(agent({"services.0.settings": {name: "x"}}))
    assert report.exit_code == 2
    found = said(report, f"services[0].settings.{name}")
    assert found.message.startswith("this setting is Saling's own")
    assert found.value == '"x"'


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        (
            "max_slot_wal_keep_size",
            ["16MB", "16384kB", "4GB", "1024", "4 TB", "4096GB"],
            ["-1", "", "lots", "0", "15MB", "15", "5TB", "4194305", "99999TB", "9" * 40],
        ),
        ("max_wal_senders", ["10", "64"], ["9", "0", "-20", "many"]),
        ("max_replication_slots", ["10", "20"], ["0"]),
        ("wal_level", ["replica", "logical"], ["minimal"]),
    ],
)
def test_a_setting_within_bounds_is_the_dbas_to_choose(
    name: str, good: list[str], bad: list[str]
) -> None:
    assert [refusal(name, value) for value in good] == [None] * len(good)
    assert all(refusal(name, value) for value in bad)


def test_a_bound_that_is_none_is_refused_with_the_most_that_may_be_given(
    judge: Callable[[Any], Report],
    agent: Callable[..., Any],
    said: Callable[[Report, str], Problem],
) -> None:
    report = judge(agent({"services.0.settings": {"max_slot_wal_keep_size": "99999TB"}}))
    assert report.exit_code == 2
    found = said(report, "services[0].settings.max_slot_wal_keep_size")
    assert "fills the primary's disk" in found.message
    assert found.mend == "give 16MB to 4TB, or take it out"
    assert found.value == '"99999TB"'


def test_all_other_settings_are_the_dbas() -> None:
    assert refusal("shared_buffers", "2GB") is None


@pytest.mark.parametrize("major", [15, 16, 17, 18])
def test_what_is_given_at_a_start_is_what_is_said_to_be_owned(major: int) -> None:
    config = PostgresConfig(
        service="orders",
        data=Path("/data"),
        run=Path("/run"),
        binaries=Path("/bin"),
        listen="127.0.0.1:5432",
        password_file=Path("/password"),
        settings={"max_wal_senders": "30"},
    )
    words = argv(config, major)[3:]
    given = [word.partition("=")[0] for word in words if word != "-c"]
    said = {*AT_START, *WITHIN_BOUNDS} - ({"promote_trigger_file"} if major > 15 else set())
    assert sorted(given) == sorted(said)
    assert "max_wal_senders=30" in words


def rows_under(heading: str) -> list[str]:
    """The rows of the table in this part of the docs, without its head."""
    part = DOCS.read_text().partition(f"## {heading}\n")[2].partition("\n## ")[0]
    return [line for line in part.splitlines() if line.startswith("|")][2:]


def test_the_docs_list_every_owned_setting_with_its_reason_and_no_other() -> None:
    at_start = [f"| `{name}` | {why} |" for name, why in AT_START.items()]
    running = [f"| `{name}` | {why} |" for name, why in CHANGED_RUNNING.items()]
    bounded = [
        f"| `{name}` | `{usual}` | {bounds} | {why} |"
        for name, (usual, bounds, why) in WITHIN_BOUNDS.items()
    ]
    assert rows_under("Settings that Saling owns, given at each start") == at_start
    assert rows_under("Settings that Saling owns and changes while the engine runs") == running
    assert rows_under("Settings within bounds") == bounded
