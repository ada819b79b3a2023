"""The links between the places of the lab: TCP proxies with delay and faults, in one process.

`python -m lab.roads.links --spec FILE` runs them, so that work elsewhere does not delay them;
`Links` starts that process and speaks to it over a unix socket, one line of JSON each way. Any
other process may do the same with `ask(control, request)`.

A link listens for what `from_site` sends to one address in `to_site`. Faults are of the road
between two places and hold for all links on it, whichever way they were dialled:

- silent cut: nothing arrives, not even the end of a connection; connections hang and, once
  healed, go on with all their bytes, as TCP does that found its road again. The kernel goes on
  acknowledging at both ends, so that only timeouts above TCP see this cut.
- reset cut: connections end with a reset, and so does each new one.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import random
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import BinaryIO, Literal

import msgspec

from controller.broker import die_with_parent
from lab.roads.control import Answer, LinksError, ask, serve_requests
from lab.roads.network import Way
from lab.roads.relay import Connection, Road, State

START_TIMEOUT_S = 20.0
STOP_TIMEOUT_S = 5.0
TRY_AGAIN_S = 0.02

Cut = Literal["silent", "reset"]


class AddLink(msgspec.Struct, frozen=True, tag_field="do", tag="link", forbid_unknown_fields=True):
    from_site: str
    to_site: str
    target: str
    listen: str


class CutRoad(msgspec.Struct, frozen=True, tag_field="do", tag="cut", forbid_unknown_fields=True):
    """Both ways, or from `one` to `other` alone."""

    one: str
    other: str
    mode: Cut
    one_way: bool = False


class Degrade(
    msgspec.Struct, frozen=True, tag_field="do", tag="degrade", forbid_unknown_fields=True
):
    """From `one` to `other` alone. 0 is no limit, and no hiccup."""

    one: str
    other: str
    bytes_s: int = 0
    hiccup_probability: float = 0.0
    hiccup_ms: float = 0.0


class Heal(msgspec.Struct, frozen=True, tag_field="do", tag="heal", forbid_unknown_fields=True):
    """One road both ways, or all roads when both names are empty."""

    one: str = ""
    other: str = ""


class Look(msgspec.Struct, frozen=True, tag_field="do", tag="look", forbid_unknown_fields=True):
    """Asks how many connections there are."""


Request = AddLink | CutRoad | Degrade | Heal | Look


class Spec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the process is started with: its control socket and (place, place, round trip ms)."""

    control: str
    round_trips_ms: list[tuple[str, str, float]]
    seed: int = 0


class Links:
    """The links' process, started and owned by this one. Roads are open until told otherwise."""

    def __init__(
        self, directory: Path, round_trips_ms: Mapping[tuple[str, str], float], *, seed: int = 0
    ) -> None:
        self.directory = directory
        self.control = directory / "links.sock"
        self.log_path = directory / "links.log"
        self.died = asyncio.Event()
        trips = [(one, other, ms) for (one, other), ms in round_trips_ms.items()]
        self._roads = tuple(round_trips_ms)
        self._spec = Spec(str(self.control), trips, seed)
        self._process: asyncio.subprocess.Process | None = None
        self._watcher: asyncio.Task[None] | None = None
        self._stopping = False

    @property
    def hosts(self) -> Mapping[str, str]:
        """None is named: every place stands on loopback."""
        return MappingProxyType({})

    def inside(self, place: str) -> tuple[str, ...]:
        """Everything stands in the present network already."""
        del place
        return ()

    async def door(self, place: str, port: int) -> None:
        """Loopback is one and the same everywhere."""

    @property
    def pid(self) -> int | None:
        process = self._process
        return process.pid if process is not None and process.returncode is None else None

    async def start(self) -> None:
        """Start the process; return when it answers. Raises LinksError."""
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.control.unlink(missing_ok=True)
        spec = self.directory / "links.json"
        spec.write_bytes(msgspec.json.encode(self._spec))
        self._stopping = False
        self.died.clear()
        with _opened(self.log_path) as log:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "lab.roads.links", "--spec", str(spec)),
                cwd=Path(__file__).resolve().parents[2],
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=die_with_parent,
                # A Ctrl-C on the terminal is for the parent, which stops its children in order.
                start_new_session=True,
            )
        self._watcher = asyncio.create_task(self._watch(self._process), name="links watcher")
        try:
            await asyncio.wait_for(self._answering(self._process), START_TIMEOUT_S)
        except TimeoutError as error:
            await self.stop()
            raise LinksError(
                f"links did not answer within {START_TIMEOUT_S} s: see {self.log_path}"
            ) from error
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """End the process and with it every link. Harmless when it does not run."""
        process, watcher = self._process, self._watcher
        if process is None or watcher is None:
            return
        self._stopping = True
        if process.returncode is None:
            process.terminate()
        _, late = await asyncio.wait({watcher}, timeout=STOP_TIMEOUT_S)
        if late:
            process.kill()
            await watcher
        self._process = self._watcher = None

    async def link(
        self, from_site: str, to_site: str, target: str, listen: str = "127.0.0.1:0"
    ) -> str:
        """A new link to `target` (host:port); returns the host:port that it listens on."""
        return (await ask(self.control, AddLink(from_site, to_site, target, listen))).listen

    async def cut(
        self, one: str, other: str, mode: Cut = "silent", *, one_way: bool = False
    ) -> None:
        """Cut a road both ways, or silently from `one` to `other` alone."""
        await ask(self.control, CutRoad(one, other, mode, one_way))

    async def isolate(self, site: str, mode: Cut = "silent", *, way: Way = "both") -> None:
        """Cut a place from all others; one way only silently."""
        for road in self._roads:
            if site not in road:
                continue
            other = road[0] if road[1] == site else road[1]
            one, end = (other, site) if way == "in" else (site, other)
            await self.cut(one, end, mode, one_way=way != "both")

    async def degrade(
        self,
        one: str,
        other: str,
        *,
        bytes_s: int = 0,
        hiccup_probability: float = 0.0,
        hiccup_ms: float = 0.0,
    ) -> None:
        """From `one` to `other`: a speed shared by all, and now and then an extra delay.

        Each call replaces the last; a call without figures makes the road good again.
        """
        await ask(self.control, Degrade(one, other, bytes_s, hiccup_probability, hiccup_ms))

    async def slow(self, one: str, other: str, *, extra_ms: float = 0.0, bytes_s: int = 0) -> None:
        """From `one` to `other`: a delay on top, and a speed shared by all; 0 is no limit."""
        certain = 1.0 if extra_ms else 0.0
        await self.degrade(
            one, other, bytes_s=bytes_s, hiccup_probability=certain, hiccup_ms=extra_ms
        )

    async def heal(self, one: str = "", other: str = "") -> None:
        """Undo cuts and degradation of one road both ways, or of all roads."""
        await ask(self.control, Heal(one, other))

    async def connections(self) -> int:
        """How many connections are being carried."""
        return (await ask(self.control, Look())).connections

    async def _watch(self, process: asyncio.subprocess.Process) -> None:
        await process.wait()
        if not self._stopping:
            self.died.set()

    async def _answering(self, process: asyncio.subprocess.Process) -> None:
        while process.returncode is None:
            # The socket's file stands a moment before the process listens on it.
            with contextlib.suppress(LinksError):
                await ask(self.control, Look())
                return
            await asyncio.sleep(TRY_AGAIN_S)
        last = self.log_path.read_text(errors="replace").strip().splitlines()[-1:]
        raise LinksError(f"links ended with {process.returncode} at their start: {last}")


class Switchboard:
    """All roads and all links, inside the links' process. Methods raise ValueError or OSError."""

    def __init__(self, spec: Spec) -> None:
        dice = random.Random(spec.seed)
        self._roads: dict[tuple[str, str], Road] = {}
        for one, other, round_trip_ms in spec.round_trips_ms:
            for pair in ((one, other), (other, one)):
                self._roads[pair] = Road(round_trip_ms / 2000, dice)
        self._listeners: list[asyncio.Server] = []
        self._connections: set[Connection] = set()

    async def do(self, request: Request) -> Answer:
        match request:
            case AddLink():
                return Answer(listen=await self._add(request))
            case CutRoad():
                self._cut(request)
            case Degrade():
                self._degrade(request)
            case Heal():
                self._heal(request)
            case Look():
                return Answer(connections=len(self._connections))
        return Answer()

    async def close(self) -> None:
        for listener in self._listeners:
            listener.close()
        for connection in tuple(self._connections):
            connection.close(abort=True)
        for listener in self._listeners:
            await listener.wait_closed()

    async def _add(self, request: AddLink) -> str:
        there = self._road(request.from_site, request.to_site)
        back = self._road(request.to_site, request.from_site)
        target = _split(request.target)
        host, port = _split(request.listen)
        listener = await asyncio.get_running_loop().create_server(
            lambda: Connection(there, back, target, self._connections).near_side(), host, port
        )
        self._listeners.append(listener)
        bound = listener.sockets[0].getsockname()
        return f"{bound[0]}:{bound[1]}"

    def _cut(self, request: CutRoad) -> None:
        if request.one_way and request.mode == "reset":
            raise ValueError("one_way: a reset reaches both ends; cut one way with mode 'silent'")
        there = self._road(request.one, request.other)
        back = self._road(request.other, request.one)
        for road in (there,) if request.one_way else (there, back):
            road.become(State(request.mode))

    def _degrade(self, request: Degrade) -> None:
        road = self._road(request.one, request.other)
        if not 0 <= request.hiccup_probability <= 1:
            raise ValueError(f"hiccup_probability: {request.hiccup_probability} is not of 0 to 1")
        if request.bytes_s < 0 or request.hiccup_ms < 0:
            raise ValueError("bytes_s, hiccup_ms: neither may be below 0")
        road.bytes_s = request.bytes_s
        road.hiccup_probability = request.hiccup_probability
        road.hiccup_s = request.hiccup_ms / 1000

    def _heal(self, request: Heal) -> None:
        pairs = [(request.one, request.other), (request.other, request.one)]
        for one, other in pairs if request.one or request.other else list(self._roads):
            self._degrade(Degrade(one, other))
            self._road(one, other).become(State.OPEN)

    def _road(self, one: str, other: str) -> Road:
        road = self._roads.get((one, other))
        if road is None:
            raise ValueError(f"no road from {one!r} to {other!r}: round_trips_ms names none")
        return road


async def serve(spec: Spec) -> None:
    """Run the links until SIGTERM or SIGINT."""
    board = Switchboard(spec)
    await serve_requests(spec.control, Request, board.do)
    await board.close()


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="lab.roads.links", description="Run the links of one lab."
    )
    parser.add_argument(
        "--spec", type=Path, required=True, help="JSON file, see lab.roads.links.Spec"
    )
    spec = msgspec.json.decode(parser.parse_args().spec.read_bytes(), type=Spec)
    asyncio.run(serve(spec))


def _split(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise ValueError(f"address {address!r} is not host:port")
    return host, int(port)


def _opened(path: Path) -> BinaryIO:
    return path.open("wb")


if __name__ == "__main__":
    main()
