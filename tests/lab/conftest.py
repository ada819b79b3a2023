"""One lab a module: a pair of real sites, and a clean start for every test."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
import pytest_asyncio

from lab.base.plan import Plan, Service
from lab.running.four_sites import Lab
from tests.lab.replayed import every_lab_replayed

FAST = Service("paspor", ("jabodetabek", "batam"))
STANDARD = Service("pajak", ("batam", "jabodetabek"), profile="standard")
PRIMARY, PARTNER = FAST.sites


@asynccontextmanager
async def running(
    services: tuple[Service, ...],
    network: str = "proxies",
    rules: Mapping[str, Any] = MappingProxyType({}),
) -> AsyncIterator[Lab]:
    """A lab in a directory of its own, of which nothing is left."""
    directory = Path(tempfile.mkdtemp(prefix="saling-"))
    async with Lab(Plan(directory, services, rules=rules), network=network) as lab:
        yield lab
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="session", autouse=True)
def replayed() -> Iterator[None]:
    """Every lab's journal is replayed once it has stopped, whichever fixture made it."""
    with every_lab_replayed():
        yield


@pytest.fixture(scope="module")
def services() -> tuple[Service, ...]:
    """What the module's lab runs; a module may say otherwise."""
    return (FAST,)


@pytest.fixture(scope="module")
def network() -> str:
    """What stands between the places of the module's lab; a module may say otherwise."""
    return "proxies"


@pytest.fixture(scope="module")
def rules() -> Mapping[str, Any]:
    """More keys of the module's topology; a module may say otherwise."""
    return {}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pair(
    services: tuple[Service, ...], network: str, rules: Mapping[str, Any]
) -> AsyncIterator[Lab]:
    """Two real sites and the controller's domain."""
    async with running(services, network, rules) as lab:
        yield lab


@pytest_asyncio.fixture(loop_scope="module")
async def whole(pair: Lab) -> AsyncIterator[Lab]:
    """The pair, with everything that an earlier test killed running again and protected."""
    yield await mended(pair)


async def mended(lab: Lab) -> Lab:
    await lab.links.heal()
    await lab.start_brokers()
    lab.controller.start()
    for site in lab.plan.sites:
        lab.start_site(site)
    await lab.wait_until_protected()
    return lab
