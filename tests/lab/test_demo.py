"""The demo is what a newcomer runs first: it must come through, and its report must be whole."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import pytest

from lab.base.processes import ROOT

pytestmark = [pytest.mark.lab, pytest.mark.postgres]

MOST_S = 110.0

ACT_FIELDS = {"name", "outage_s", "promotion_s", "acked_lost", "two_writers_s", "lease_ttl_s",
              "timeline"}  # fmt: skip


async def test_the_demo_comes_through_and_reports_its_acts(tmp_path: Path) -> None:
    report = tmp_path / "demo-report.json"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "controller.cli", "demo", "--report", str(report)),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(MOST_S):
            out, err = await process.communicate()
    except TimeoutError:
        process.terminate()
        await process.wait()
        raise
    assert process.returncode == 0, err.decode()
    assert out == b"", "only data belong on standard output"
    acts = json.loads(report.read_bytes())["acts"]
    assert [a["name"].split()[0] for a in acts] == ["kill", "switchover"]
    for done in acts:
        assert set(done) >= ACT_FIELDS
        assert done["two_writers_s"] == 0
        assert done["timeline"]
    assert acts[1]["acked_lost"] == 0
