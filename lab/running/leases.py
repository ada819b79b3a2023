"""When a lease ends, as the guard of its holder says: asked over the guard's unix socket.

The guard holds a deadline, at which it fences; the lease ends one fence budget after it.
Milliseconds of the boot-time clock, which all sites of a machine share.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from pathlib import Path

from config.leases import PROFILES
from lab.base.plan import Plan

GUARD_TIMEOUT_S = 0.5


async def lease_end_ms(plan: Plan, service: str, site: str) -> float:
    """0 without a lease. Raises OSError or ValueError while the guard does not answer."""
    async with asyncio.timeout(GUARD_TIMEOUT_S):
        deadline_ms = await _deadline_ms(plan.run_directory(service, site))
    if not deadline_ms:
        return 0.0
    return deadline_ms + PROFILES[plan.service(service).profile].fence_budget_ms


async def _deadline_ms(run: Path) -> float:
    reader, writer = await asyncio.open_unix_connection(run / "guard.sock")
    with contextlib.closing(writer):
        writer.write(b'{"id": 1, "request": "status"}\n')
        while line := await reader.readline():
            answer = json.loads(line)
            if answer.get("id") == 1:
                return float(answer.get("deadline_ms") or 0)
    return 0.0
