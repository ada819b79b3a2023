"""What the host's programs say of themselves, and that none of them is left behind."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest
from msgspec.structs import replace

from agents.adoption import host
from agents.adoption.plan import Plan
from agents.doctor.findings import Level
from lab.base.processes import pids_of
from tests.agents.adoption.test_checks import plan


@pytest.fixture
def planned(tmp_path: Path) -> Plan:
    (tmp_path / "PG_VERSION").write_text("16\n")
    engine = replace(plan().engine, binaries=tmp_path, data=tmp_path)
    return plan(engine=engine)


def program(directory: Path, script: str) -> None:
    file = directory / "postgres"
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)


@pytest.mark.parametrize(("said", "level"), [("16.4", Level.OK), ("15.9", Level.FAIL)])
async def test_the_programs_must_be_of_the_version_of_the_data(
    planned: Plan, tmp_path: Path, said: str, level: Level
) -> None:
    program(tmp_path, f"echo 'postgres (PostgreSQL) {said}'")
    (finding,) = await host.program_findings(planned)
    assert finding.level is level


async def test_a_program_that_does_not_answer_is_ended_with_all_that_it_started(
    planned: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(tmp_path / "nobody-writes")
    program(tmp_path, f"cat {tmp_path}/nobody-writes; exit 1")
    monkeypatch.setattr(host, "VERSION_LIMIT_S", 0.5)
    (finding,) = await host.program_findings(planned)
    assert finding.level is Level.FAIL
    assert "no answer" in finding.found
    async with asyncio.timeout(30):
        # What was killed needs a moment to be gone.
        while pids_of(tmp_path):  # noqa: ASYNC110 - a process tells nobody that it is gone
            await asyncio.sleep(0.01)
