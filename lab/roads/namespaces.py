"""A network namespace for each place of the lab, joined by the router. Linux, as root.

`why_not()` says why this machine cannot have them. Everything is the router's: when it ends,
for whatever reason, so do the namespaces and what stands in them.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import msgspec

from lab.base.geography import CLIENT_ROUND_TRIP_MS, CLIENTS
from lab.base.processes import Child, module
from lab.roads.control import LinksError, ask
from lab.roads.links import Heal
from lab.roads.netns import why_not
from lab.roads.network import Way
from lab.roads.router import CutLane, Degrade, OpenDoor, Spec, WhereIs

NETWORK = "198.18.0"
"""Of the range that is set aside for benchmarks; seen inside the namespaces only."""
START_TIMEOUT_S = 20.0
TRY_AGAIN_S = 0.02

__all__ = ["Namespaces", "why_not"]


class Namespaces:
    """The places named in `round_trips_ms`, and one for the clients, near to all of them."""

    def __init__(
        self, directory: Path, round_trips_ms: Mapping[tuple[str, str], float], *, seed: int = 0
    ) -> None:
        trips = [(one, other, ms) for (one, other), ms in round_trips_ms.items()]
        places = list(dict.fromkeys(place for pair in round_trips_ms for place in pair))
        trips += [(CLIENTS, place, CLIENT_ROUND_TRIP_MS) for place in places]
        self._places = (*places, CLIENTS)
        self._hosts = {place: f"{NETWORK}.{n}" for n, place in enumerate(self._places, start=1)}
        self._control = directory / "router.sock"
        self._spec_file = directory / "router.json"
        self._spec = Spec(str(self._control), os.getpid(), self._hosts, trips, seed)
        self._inside: dict[str, tuple[str, ...]] = {}
        self.router = Child(
            "router",
            directory / "router.log",
            module("lab.roads.router", "--spec", str(self._spec_file)),
        )

    @property
    def hosts(self) -> Mapping[str, str]:
        return MappingProxyType(self._hosts)

    async def start(self) -> None:
        """Make the places; return when they are joined. Raises LinksError."""
        if reason := why_not():
            raise LinksError(reason)
        self._control.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._control.unlink(missing_ok=True)
        self._spec_file.write_bytes(msgspec.json.encode(self._spec))
        self.router.start()
        try:
            async with asyncio.timeout(START_TIMEOUT_S):
                await self._answering()
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """End the router, and with it all places and all that stands in them."""
        self._inside.clear()
        await self.router.end()

    def inside(self, place: str) -> tuple[str, ...]:
        """The words before a command that runs in a place. Raises LinksError, KeyError."""
        if not self._inside:
            raise LinksError("the router was not started")
        return self._inside[place]

    async def link(self, from_site: str, to_site: str, target: str) -> str:
        """The address itself: here every place has its own."""
        del from_site, to_site
        return target

    async def door(self, place: str, port: int) -> None:
        """Let this process reach a loopback port of a place at 127.0.0.1, whatever is cut."""
        await ask(self._control, OpenDoor(place, port))

    async def cut(self, one: str, other: str, *, one_way: bool = False) -> None:
        """Silently: both ways, or from `one` to `other` alone."""
        await ask(self._control, CutLane(one, other, one_way))

    async def isolate(self, site: str, *, way: Way = "both") -> None:
        """Cut a place from all others, the clients too."""
        for other in self._places:
            if other != site:
                one, end = (other, site) if way == "in" else (site, other)
                await self.cut(one, end, one_way=way != "both")

    async def slow(self, one: str, other: str, *, extra_ms: float = 0.0, bytes_s: int = 0) -> None:
        """From `one` to `other`: a delay on top, and a speed shared by all; 0 is no limit."""
        await self.degrade(one, other, extra_ms=extra_ms, bytes_s=bytes_s)

    async def degrade(
        self,
        one: str,
        other: str,
        *,
        extra_ms: float = 0.0,
        bytes_s: int = 0,
        loss: float = 0.0,
    ) -> None:
        """From `one` to `other`, with packets lost too. Each call replaces the last."""
        await ask(self._control, Degrade(one, other, extra_ms, bytes_s, loss))

    async def heal(self, one: str = "", other: str = "") -> None:
        """Undo all of it for one road both ways, or for all roads."""
        await ask(self._control, Heal(one, other))

    async def _answering(self) -> None:
        while self.router.running:
            # The socket's file stands a moment before the router listens on it.
            with contextlib.suppress(LinksError):
                for place in self._places:
                    path = (await ask(self._control, WhereIs(place))).listen
                    self._inside[place] = ("nsenter", f"--net={path}", "--")
                return
            await asyncio.sleep(TRY_AGAIN_S)
        raise LinksError(f"the router ended at its start: {self.router.last_words()}")
