"""A guard that stands still keeps no deadline: every life of the agent ends it, and its engine."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from agents.core.events import GuardState
from agents.core.model import Permit
from agents.guard.client import now_ms
from agents.metrics import Metrics
from agents.replica.jobs import Fresh
from agents.replica.keeper import Keeper
from tests.agents.guard.bench import unfenced
from tests.contracts.conftest import MakeSite, Site, until


def keeper_of(site: Site, put: Callable[[Any], None]) -> Keeper:
    engine, metrics = site.engine, Metrics("batam-1", "batam")
    return Keeper("orders", engine.guard, engine, put, Fresh(), metrics, unfenced())


async def freeze_guard(site: Site) -> None:
    status = await site.engine.guard.status()
    assert status.engine is not None and status.engine.writable
    os.kill(status.pid, signal.SIGSTOP)


async def test_a_new_life_of_the_agent_ends_a_guard_that_stands_still(
    make_site: MakeSite, template: Path
) -> None:
    site, told = make_site("a"), list[Any]()
    await site.start_as_primary(template)
    await freeze_guard(site)
    await site.restart_agent()
    task = asyncio.create_task(keeper_of(site, told.append).run())

    async def over() -> bool:
        return bool(told)

    await until(over, "the new life knows its guard")
    assert site.processes() == []
    assert told[0] == GuardState(Permit.CLOSED, 0, False, False)
    task.cancel()


async def test_a_guard_that_stands_still_beside_a_primary_without_a_deadline_is_ended(
    make_site: MakeSite, template: Path
) -> None:
    """Nothing is asked of it while the primary stands alone, so that only a look tells."""
    site, told = make_site("a"), list[Any]()
    await site.start_as_primary(template)
    await site.engine.guard.alone()
    keeper = keeper_of(site, told.append)
    task = asyncio.create_task(keeper.run())

    async def known() -> bool:
        return bool(told)

    await until(known, "the guard is known")
    assert told[0].permit is Permit.ALONE
    await freeze_guard(site)

    async def another() -> bool:
        return len(told) > 1

    await until(another, "another guard is there")
    assert site.processes() == []
    assert told[1].permit is Permit.CLOSED
    task.cancel()


async def test_a_fence_past_a_guard_that_stands_still_leaves_no_process(
    make_site: MakeSite, template: Path
) -> None:
    site = make_site("a")
    await site.start_as_primary(template)
    await freeze_guard(site)
    begun_ms = now_ms()
    await keeper_of(site, lambda _: None).close()
    assert site.processes() == []
    print(f"fenced past its guard in {now_ms() - begun_ms} ms")
