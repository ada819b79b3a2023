"""Writers of several services in one process, each with a connection and a log of its own.

`python -m lab.clients.writers --spec FILE --directory DIR` runs until SIGTERM; the writer of a
service logs to `SERVICE.jsonl`.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
from pathlib import Path
from typing import Any

import msgspec

from lab.base.records import Log, next_n, read_inserts
from lab.clients.writer import Writer, WriterSpec


class WritersSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One writer a service."""

    writers: tuple[WriterSpec, ...]

    def __post_init__(self) -> None:
        services = [writer.service for writer in self.writers]
        if twice := {name for name in services if services.count(name) > 1}:
            raise ValueError(f"writers: more than one for {', '.join(sorted(twice))}")


def log_of(directory: Path, service: str) -> Path:
    """Where the writer of a service says what became of its inserts."""
    return directory / f"{service}.jsonl"


async def run(spec: WritersSpec, directory: Path) -> None:
    """Write until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    for ending in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(ending, stop.set)
    async with asyncio.TaskGroup() as group:
        for writer in spec.writers:
            group.create_task(_write(writer, directory, stop), name=f"writer of {writer.service}")


async def _write(spec: WriterSpec, directory: Path, stop: asyncio.Event) -> None:
    path = log_of(directory, spec.service)
    first_n = max(spec.first_n, next_n(line.n for line in read_inserts(path)))
    log = Log(path)
    try:
        await Writer(spec, log, first_n).run(stop)
    finally:
        log.close()


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="lab.clients.writers", description="Write to several services."
    )
    parser.add_argument(
        "--spec", type=Path, required=True, help="JSON file: lab.clients.writers.WritersSpec"
    )
    parser.add_argument("--directory", type=Path, required=True, help="for the writers' logs")
    options = parser.parse_args()
    spec: Any = msgspec.json.decode(options.spec.read_bytes(), type=WritersSpec)
    asyncio.run(run(spec, options.directory))


if __name__ == "__main__":
    main()
