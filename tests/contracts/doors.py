"""What the tests of the kernel's door need: whether it can be made here, and a guard behind it."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from agents.guard.client import GUARD
from lab.roads.netns import Place


def why_no_door() -> str:
    if os.geteuid() != 0:
        return "rules of the kernel need root"
    for tool in ("nft", "ip", "setpriv"):
        if shutil.which(tool) is None:
            return f"needs `{tool}`: install nftables, iproute2 and util-linux"
    trial = ["unshare", "--net", "nft", "list", "tables"]
    tried = subprocess.run(trial, capture_output=True, check=False)
    return "" if tried.returncode == 0 else f"the kernel takes no rules: {tried.stderr.decode()}"


needs_door = pytest.mark.skipif(bool(why_no_door()), reason=why_no_door() or "a door can be made")


async def guard_within(network: Place, run: Path, data: Path, *prefix: str) -> None:
    """A guard that lives in this network namespace, started by `prefix`."""
    options = ["--run", str(run), "--data", str(data)]
    command = [*prefix, sys.executable, "-I", "-S", str(GUARD), *options]
    place = ["ip", "netns", "exec", network.host]
    process = await asyncio.create_subprocess_exec(*place, *command)
    assert await process.wait() == 0
