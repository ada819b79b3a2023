"""The client that never stops writing: rising integers into one service, each attempt logged.

`python -m lab.clients.writer --spec FILE --log FILE` runs until SIGTERM. It holds one connection,
sends one insert after the other, and looks for the writable engine among its targets in turn when
the last one fails. The log says of every number whether it was acknowledged. A number is used
once, also by a writer that is started again with the same log.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
from pathlib import Path

import asyncpg
import msgspec

from lab.base.database import ERRORS, Login, connect, outcome_of, reason_of, table_is_missing
from lab.base.records import Connect, Insert, Log, Outcome, next_n, now_ms, read_inserts

PAUSE_S = 0.02
CLOSE_TIMEOUT_S = 1.0
TABLE_SQL = (
    "CREATE TABLE IF NOT EXISTS lab_writes "
    "(n bigint PRIMARY KEY, written_at timestamptz NOT NULL DEFAULT clock_timestamp())"
)


class Target(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One place where the service's primary may be: host:port as this client reaches it."""

    site: str
    address: str


class WriterSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one writer does. A rate above one insert a round trip is not reached."""

    service: str
    login: Login
    targets: tuple[Target, ...]
    rate_per_s: float = 100.0
    first_n: int = 1
    """Writers of one service count from starts far apart."""

    def __post_init__(self) -> None:
        if not self.targets:
            raise ValueError("targets: none given; name each engine of the service")
        if not self.rate_per_s > 0:
            raise ValueError(f"rate_per_s: {self.rate_per_s} is not above 0")


class Writer:
    """One writer; `run` it once."""

    def __init__(self, spec: WriterSpec, log: Log, first_n: int) -> None:
        self._spec = spec
        self._log = log
        self._next_n = first_n
        self._turn = 0
        self._connection: asyncpg.Connection | None = None
        self._table_stands = False

    async def run(self, stop: asyncio.Event) -> None:
        """Write until `stop` is set; the attempt under way is finished and logged."""
        loop = asyncio.get_running_loop()
        period_s = 1 / self._spec.rate_per_s
        due = loop.time()
        while not stop.is_set():
            if self._connection is None and not await self._look():
                await asyncio.sleep(PAUSE_S)
                continue
            await asyncio.sleep(due - loop.time())
            await self._insert()
            # What an outage held up is not made up for: the rate stays what it is.
            due = max(due + period_s, loop.time())
        await self._leave()

    async def _look(self) -> bool:
        """Try one target; the next call tries the next one, unless this one was found."""
        target = self._target()
        start_ms = now_ms()
        reason = ""
        try:
            self._connection = await connect(
                target.address, self._spec.login, target_session_attrs="read-write"
            )
            if not self._table_stands:
                await self._connection.execute(TABLE_SQL)
                self._table_stands = True
        except ERRORS as error:
            reason = reason_of(error)
            self._drop()
            self._turn += 1
        self._log.write(
            Connect(target.site, target.address, start_ms, now_ms(), not reason, reason)
        )
        return not reason

    async def _insert(self) -> None:
        assert self._connection is not None
        target, n = self._target(), self._next_n
        self._next_n += 1
        outcome, reason = Outcome.ACKED, ""
        start_ms = now_ms()
        try:
            # One simple query is one round trip, also for the first one of a connection.
            await self._connection.execute(f"INSERT INTO lab_writes (n) VALUES ({n:d})")
        except ERRORS as error:
            outcome, reason = outcome_of(error), reason_of(error)
            self._table_stands = self._table_stands and not table_is_missing(error)
            self._drop()
        self._log.write(Insert(n, target.site, target.address, start_ms, now_ms(), outcome, reason))

    def _target(self) -> Target:
        return self._spec.targets[self._turn % len(self._spec.targets)]

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None

    async def _leave(self) -> None:
        if self._connection is not None:
            try:
                await self._connection.close(timeout=CLOSE_TIMEOUT_S)
            except ERRORS:
                self._drop()


async def run(spec: WriterSpec, log_path: Path) -> None:
    """Write until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    used = (line.n for line in read_inserts(log_path))
    first_n = max(next_n(used), spec.first_n)
    log = Log(log_path)
    try:
        await Writer(spec, log, first_n).run(stop)
    finally:
        log.close()


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="lab.clients.writer", description="Write, and say what was lost."
    )
    parser.add_argument(
        "--spec", type=Path, required=True, help="JSON file: lab.clients.writer.WriterSpec"
    )
    parser.add_argument("--log", type=Path, required=True, help="JSON lines are added to it")
    options = parser.parse_args()
    spec = msgspec.json.decode(options.spec.read_bytes(), type=WriterSpec)
    asyncio.run(run(spec, options.log))


if __name__ == "__main__":
    main()
