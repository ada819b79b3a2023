"""The prober: asks engines of its own site again and again whether they let one write.

`python -m lab.clients.prober --spec FILE --log FILE` runs until SIGTERM. It really tries to commit
a row, so that a second writable copy is seen even when no client is connected to it. An engine
that says it is in recovery is believed, for none can be written then, and its log is spared.
The commit is local: a wait for the backup says nothing of whether this copy is writable.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
from pathlib import Path

import asyncpg
import msgspec

from lab.base.database import ERRORS, Login, connect, outcome_of, reason_of, table_is_missing
from lab.base.records import Answer, Log, Outcome, Probe, next_n, now_ms, read_probes

TABLE_SQL = (
    "CREATE TABLE IF NOT EXISTS lab_probes (site text, n bigint, "
    "at timestamptz NOT NULL DEFAULT clock_timestamp(), PRIMARY KEY (site, n))"
)
INSERT_SQL = "INSERT INTO lab_probes (site, n) VALUES ($1, $2)"


class ProbedEngine(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The engine of one service in one site, at its direct host:port."""

    service: str
    site: str
    address: str


class ProberSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one prober process asks; each engine has a task of its own."""

    login: Login
    engines: tuple[ProbedEngine, ...]
    interval_ms: int = 50

    def __post_init__(self) -> None:
        if self.interval_ms <= 0:
            raise ValueError(f"interval_ms: {self.interval_ms} is not above 0")


class Prober:
    """Asks one engine; `run` it once."""

    def __init__(
        self, engine: ProbedEngine, login: Login, interval_ms: int, log: Log, first_n: int
    ) -> None:
        self._engine = engine
        self._login = login
        self._interval_s = interval_ms / 1000
        self._log = log
        self._next_n = first_n
        self._connection: asyncpg.Connection | None = None
        self._was_writable = False
        self._sent = False

    async def run(self, stop: asyncio.Event) -> None:
        """Ask until `stop` is set; the question under way is finished and logged."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        while not stop.is_set():
            await asyncio.sleep(due - loop.time())
            await self._ask()
            due = max(due + self._interval_s, loop.time())
        self._drop()

    async def _ask(self) -> None:
        n = self._next_n
        self._next_n += 1
        self._sent = False
        start_ms = now_ms()
        answer, reason = await self._commit(n)
        self._was_writable = answer is Answer.COMMITTED
        service, site = self._engine.service, self._engine.site
        end_ms = now_ms()
        self._log.write(Probe(service, site, n, start_ms, end_ms, answer, reason, self._sent))

    async def _commit(self, n: int) -> tuple[Answer, str]:
        try:
            connection = self._connection or await self._connect()
        except TimeoutError as error:
            return Answer.UNKNOWN, reason_of(error)
        except ERRORS as error:
            return Answer.DOWN, reason_of(error)
        try:
            if not self._was_writable and await connection.fetchval("SELECT pg_is_in_recovery()"):
                return Answer.STANDBY, ""
            self._sent = True
            await connection.execute(INSERT_SQL, self._engine.site, n)
        except ERRORS as error:
            return await self._refused(connection, error)
        return Answer.COMMITTED, ""

    async def _connect(self) -> asyncpg.Connection:
        settings = {"synchronous_commit": "local", "application_name": "lab-prober"}
        self._connection = await connect(
            self._engine.address, self._login, server_settings=settings
        )
        return self._connection

    async def _refused(
        self, connection: asyncpg.Connection, error: Exception
    ) -> tuple[Answer, str]:
        """A missing table is made for the next question; any other error ends the session."""
        if not table_is_missing(error):
            self._drop()
            failed = outcome_of(error) is Outcome.FAILED
            return (Answer.FAILED if failed else Answer.UNKNOWN), reason_of(error)
        self._sent = False
        try:
            await connection.execute(TABLE_SQL)
        except ERRORS:
            self._drop()
        return Answer.UNKNOWN, reason_of(error)

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None


async def run(spec: ProberSpec, log_path: Path) -> None:
    """Ask all engines until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    first_n = next_n(line.n for line in read_probes(log_path))
    log = Log(log_path)
    try:
        async with asyncio.TaskGroup() as group:
            for engine in spec.engines:
                prober = Prober(engine, spec.login, spec.interval_ms, log, first_n)
                group.create_task(prober.run(stop), name=f"prober {engine.site} {engine.service}")
    finally:
        log.close()


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="lab.clients.prober", description="Ask engines if they write."
    )
    parser.add_argument(
        "--spec", type=Path, required=True, help="JSON file: lab.clients.prober.ProberSpec"
    )
    parser.add_argument("--log", type=Path, required=True, help="JSON lines are added to it")
    options = parser.parse_args()
    spec = msgspec.json.decode(options.spec.read_bytes(), type=ProberSpec)
    asyncio.run(run(spec, options.log))


if __name__ == "__main__":
    main()
