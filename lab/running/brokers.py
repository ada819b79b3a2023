"""A broker of the lab in a place of the network: `python -m lab.running.brokers --spec FILE`.

The embedded broker looks at its port from where its parent stands, so its parent is a process
of its own in that place. `Broker` starts it and waits until it accepts.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
from collections.abc import Sequence
from pathlib import Path

import msgspec

from controller.broker import Account, BrokerError, EmbeddedBroker
from lab.base.processes import Child, module

START_TIMEOUT_S = 30.0
LOOK_AGAIN_S = 0.02


class Spec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the process is started with; holds passwords, so its file is private."""

    directory: str
    listen: str
    accounts: list[Account]


class Broker:
    """One broker; `start` may be called again after `stop`."""

    def __init__(
        self,
        directory: Path,
        listen: str,
        accounts: Sequence[Account],
        inside: tuple[str, ...] = (),
    ) -> None:
        self.directory = directory
        self._spec = Spec(str(directory), listen, list(accounts))
        self._ready = directory / "ready"
        self._child = Child(
            f"broker {directory.name}",
            directory / "broker.out",
            module("lab.running.brokers", "--spec", str(directory / "spec.json")),
            inside,
        )

    @property
    def pid(self) -> int | None:
        """The process that holds the broker, None when it does not run."""
        return self._child.pid if self._child.running else None

    async def start(self) -> None:
        """Return when it accepts. Raises BrokerError, TimeoutError."""
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._ready.unlink(missing_ok=True)
        spec = self.directory / "spec.json"
        spec.touch(mode=0o600)
        spec.write_bytes(msgspec.json.encode(self._spec))
        self._child.start()
        async with asyncio.timeout(START_TIMEOUT_S):
            while not self._ready.exists():
                if not self._child.running:
                    raise BrokerError(f"{self._child.name} ended: {self._child.last_words()}")
                await asyncio.sleep(LOOK_AGAIN_S)

    async def stop(self) -> None:
        """End it in order. Harmless when it does not run."""
        await self._child.end()


async def run(spec: Spec) -> None:
    """Run one broker until SIGTERM, SIGINT, or its own end. Raises BrokerError."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    broker = EmbeddedBroker(Path(spec.directory), spec.listen, spec.accounts)
    await broker.start()
    ends = [asyncio.create_task(event.wait()) for event in (stop, broker.died)]
    try:
        (Path(spec.directory) / "ready").write_text(str(os.getpid()))
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for end in ends:
            end.cancel()
        await broker.stop()


def main() -> None:
    parser = argparse.ArgumentParser(prog="lab.running.brokers", description="Run one broker.")
    parser.add_argument(
        "--spec", type=Path, required=True, help="JSON file: lab.running.brokers.Spec"
    )
    spec = msgspec.json.decode(parser.parse_args().spec.read_bytes(), type=Spec)
    asyncio.run(run(spec))


if __name__ == "__main__":
    main()
