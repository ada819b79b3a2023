"""How noisy this machine is meanwhile: how late a sleeper wakes, how long the disk flushes.

`python -m lab.clients.noise --file FILE` sleeps 5 ms again and again, and every 100 ms writes 8 KiB
to FILE and flushes it; on SIGTERM it prints one JSON object, `Noise`, and ends.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any

import msgspec

from agents.spread import Spread
from lab.base.processes import Child, module

SLEEP_S = 0.005
FLUSH_EVERY_S = 0.1
BLOCK = b"x" * 8192


class Noise(msgspec.Struct, frozen=True):
    """In milliseconds: p50, p99, p99.9 and the highest."""

    wakes_late: tuple[int, int, int, int]
    flush: tuple[int, int, int, int]

    def __str__(self) -> str:
        return f"a 5 ms sleep came late by {shown(self.wakes_late)}; a flush of 8 KiB took " + (
            shown(self.flush)
        )


class Noises:
    """`async with Noises(...)` measures in a process of its own until `end` says what it was."""

    def __init__(self, directory: Path) -> None:
        self._log = directory / "noise.out"
        self._child = Child(
            "noise",
            self._log,
            module("lab.clients.noise", "--file", str(directory / "noise.block")),
        )

    async def __aenter__(self) -> Noises:
        self._child.start()
        return self

    async def __aexit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        await self._child.end()

    async def end(self) -> Noise:
        """What it was. Raises RuntimeError when the measuring process said nothing."""
        await self._child.end()
        lines = self._log.read_bytes().splitlines()
        if not lines:
            raise RuntimeError("the process that measures the noise ended without a word")
        return msgspec.json.decode(lines[-1], type=Noise)


def spread_of(spread: Spread) -> tuple[int, int, int, int]:
    """p50, p99, p99.9 and the highest."""
    p50, p99, p999, most = (spread.percentile_ms(rank) for rank in (500, 990, 999, 1000))
    return p50, p99, p999, most


def shown(values_ms: tuple[int, int, int, int]) -> str:
    """As it stands in tables: p50 / p99 / p99.9 / max."""
    return " / ".join(str(value) for value in values_ms) + " ms"


def measure(file: Path) -> Noise:
    """Until SIGTERM."""
    told: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _frame: told.append(number))
    wakes, flushes = Spread(1_000_000), Spread(100_000)
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT, 0o600)
    flushed_s = 0.0
    while not told:
        slept_s = _span_s(time.sleep, SLEEP_S)
        wakes.add(max(0, round((slept_s - SLEEP_S) * 1000)))
        if time.monotonic() - flushed_s > FLUSH_EVERY_S:
            flushed_s = time.monotonic()
            flushes.add(round(_span_s(_flush, descriptor) * 1000))
    os.close(descriptor)
    return Noise(spread_of(wakes), spread_of(flushes))


def _span_s(act: Any, argument: Any) -> float:
    begun_s = time.monotonic()
    act(argument)
    return time.monotonic() - begun_s


def _flush(descriptor: int) -> None:
    os.pwrite(descriptor, BLOCK, 0)
    os.fsync(descriptor)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="lab.clients.noise", description="Measure this machine's noise."
    )
    parser.add_argument("--file", type=Path, required=True, help="written and flushed, 8 KiB")
    noise = measure(parser.parse_args().file)
    sys.stdout.write(msgspec.json.encode(noise).decode() + "\n")


if __name__ == "__main__":
    main()
