"""What the controller's tests share."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.controller.cluster import Cluster, make_cluster
from tests.controller.desk import WAIT_S, Desk


@pytest.fixture
def cluster(tmp_path: Path) -> Cluster:
    """A small cluster: two sites, an agent in each, two services."""
    return make_cluster(tmp_path)


@pytest.fixture
async def desk(cluster: Cluster) -> AsyncIterator[Desk]:
    """A runtime that does not turn yet."""
    one = Desk(cluster)
    yield one
    one.journal.close()
    await one.worker.close()


@pytest.fixture
async def turning(desk: Desk) -> AsyncIterator[Desk]:
    """A runtime that turns."""
    task = asyncio.create_task(desk.runtime.run())
    yield desk
    task.cancel()
    await asyncio.wait([task], timeout=WAIT_S)
