"""One lab for all modules here: starting one takes as long as many a test."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio

from lab.running.four_sites import Lab
from tests.lab.conftest import FAST, mended, running


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def pair() -> AsyncIterator[Lab]:
    """Two real sites and the controller's domain."""
    async with running((FAST,)) as lab:
        yield lab


@pytest_asyncio.fixture(loop_scope="package")
async def whole(pair: Lab) -> AsyncIterator[Lab]:
    """The pair, with everything that an earlier test killed running again and protected."""
    yield await mended(pair)
