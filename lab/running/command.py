"""Runs `saling` against the controller of a lab."""

from __future__ import annotations

import asyncio
import sys

from lab.base.processes import ROOT, module
from lab.running.four_sites import Lab


async def saling(lab: Lab, *arguments: str) -> tuple[int, str]:
    """The exit code of the command, and what it printed."""
    url = f"http://{lab.plan.address('controller')}"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, *module("controller.cli", *arguments, "--controller", url)),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(60):
        out, _ = await process.communicate()
    return process.returncode or 0, out.decode()
