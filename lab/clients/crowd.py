"""Several clients at once: writers of one process, each with a connection and a log of its own.

`python -m lab.clients.crowd --spec FILE --directory DIR` runs until SIGTERM. Client k writes the
numbers above k x NUMBERS_A_CLIENT, so that none is used twice, and logs to `client-K.jsonl`.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
from itertools import takewhile
from pathlib import Path
from typing import Any

import msgspec

from lab.base.geography import CLIENTS
from lab.base.processes import Child, module
from lab.base.records import Insert, InsertTail, Log, Outcome, next_n, now_ms, read_inserts
from lab.clients.writer import Target, Writer, WriterSpec
from lab.judging.checks import longest_gap
from lab.running.ground import Ground

HOW_MANY = 8
RATE_PER_S = 25.0
NUMBERS_A_CLIENT = 1_000_000_000
FIRST_WRITES_TIMEOUT_S = 30.0
LOOK_AGAIN_S = 0.05


class CrowdSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How many clients there are; each writes as `writer` says."""

    writer: WriterSpec
    clients: int = HOW_MANY

    def __post_init__(self) -> None:
        if self.clients < 1:
            raise ValueError(f"clients: {self.clients} is below 1")


class Crowd:
    """The process of the clients, and what their logs say. `async with` starts and ends it."""

    def __init__(
        self,
        ground: Ground,
        service: str,
        *,
        clients: int = HOW_MANY,
        rate_per_s: float = RATE_PER_S,
    ) -> None:
        plan = ground.plan
        targets = tuple(Target(s, plan.engine(service, s)) for s in plan.service(service).sites)
        self.directory = plan.directory / "crowd" / service
        self._spec = CrowdSpec(WriterSpec(service, ground.login(), targets, rate_per_s), clients)
        spec = self.directory / "crowd.json"
        arguments = module(
            "lab.clients.crowd", "--spec", str(spec), "--directory", str(self.directory)
        )
        self._child = Child(
            "crowd", self.directory / "crowd.out", arguments, ground.inside(CLIENTS)
        )
        self._begun_ms = now_ms()
        logs = [_log(self.directory, number) for number in range(1, clients + 1)]
        self._tails = [InsertTail(log, self._begun_ms) for log in logs]

    async def __aenter__(self) -> Crowd:
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        (self.directory / "crowd.json").write_bytes(msgspec.json.encode(self._spec))
        self._child.start()
        await self.wait_for_writes()
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self._child.end()

    def clients(self) -> list[list[Insert]]:
        """What each client tried since this crowd began."""
        return [tail.inserts() for tail in self._tails]

    async def wait_for_writes(self, wait_s: float = FIRST_WRITES_TIMEOUT_S) -> None:
        """Wait until every client has a further write acknowledged. Raises TimeoutError."""
        begun_ms = now_ms()
        while now_ms() < begun_ms + wait_s * 1000:
            if all(_acked_since(client, begun_ms) for client in self.clients()):
                return
            await asyncio.sleep(LOOK_AGAIN_S)
        raise TimeoutError(
            f"not every client got a write acknowledged within {wait_s} s\n"
            f"{self._child.last_words(5)}"
        )

    def outage_s(self, from_ms: float, to_ms: float) -> float:
        """The longest time between two acknowledged writes of the client that waited longest."""
        gaps = [longest_gap(client, from_ms, to_ms).length_ms for client in self.clients()]
        return round(max(gaps) / 1000, 3)

    def lost(self, present: set[int], from_ms: float, to_ms: float) -> int:
        """How many writes of a window were acknowledged, to whichever client, and are absent.

        `present` must have been read after the window's end.
        """
        return sum(
            i.outcome is Outcome.ACKED and from_ms < i.end_ms <= to_ms and i.n not in present
            for client in self.clients()
            for i in client
        )


async def run(spec: CrowdSpec, directory: Path) -> None:
    """Write until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    for ending in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(ending, stop.set)
    async with asyncio.TaskGroup() as group:
        for number in range(1, spec.clients + 1):
            group.create_task(
                _client(spec.writer, number, directory, stop), name=f"client {number}"
            )


async def _client(spec: WriterSpec, number: int, directory: Path, stop: asyncio.Event) -> None:
    path = _log(directory, number)
    first_n = number * NUMBERS_A_CLIENT
    first_n = max(first_n, next_n(line.n for line in read_inserts(path)))
    log = Log(path)
    try:
        await Writer(spec, log, first_n).run(stop)
    finally:
        log.close()


def _log(directory: Path, number: int) -> Path:
    return directory / f"client-{number}.jsonl"


def _acked_since(inserts: list[Insert], since_ms: float) -> bool:
    """The newest are looked at first: a long log is not read through for its last lines."""
    fresh = takewhile(lambda i: i.start_ms > since_ms, reversed(inserts))
    return any(i.outcome is Outcome.ACKED for i in fresh)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="lab.clients.crowd", description="Several clients that write."
    )
    parser.add_argument(
        "--spec", type=Path, required=True, help="JSON file: lab.clients.crowd.CrowdSpec"
    )
    parser.add_argument("--directory", type=Path, required=True, help="for the clients' logs")
    options = parser.parse_args()
    spec: Any = msgspec.json.decode(options.spec.read_bytes(), type=CrowdSpec)
    asyncio.run(run(spec, options.directory))


if __name__ == "__main__":
    main()
