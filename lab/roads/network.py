"""What the lab needs of the network between its places, and who may provide it.

Two do. `lab.roads.links` needs no rights: every place stands on loopback and TCP proxies stand
between them; they delay, and cut so that the kernel at both ends still acknowledges.
`lab.roads.namespaces` needs root: every place is a network namespace of its own, and between them a
router of ours carries IP packets; what it cuts is cut for the kernel too, and for clients.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Protocol

Way = Literal["both", "in", "out"]
"""Which direction is cut, as the place sees it: `in` makes it deaf, `out` makes it mute."""


class Network(Protocol):
    """The roads between places. All are open until told otherwise."""

    @property
    def hosts(self) -> Mapping[str, str]:
        """The IP address of each place; a place that is not named stands on loopback."""

    async def start(self) -> None: ...

    async def stop(self) -> None:
        """Leave nothing behind. Harmless when it does not run."""

    def inside(self, place: str) -> tuple[str, ...]:
        """The words to put before a command so that it runs in a place."""

    async def link(self, from_site: str, to_site: str, target: str) -> str:
        """The host:port by which `from_site` reaches what listens on `target` in `to_site`."""

    async def door(self, place: str, port: int) -> None:
        """Let this process reach a loopback port of a place at 127.0.0.1, whatever is cut."""

    async def cut(self, one: str, other: str, *, one_way: bool = False) -> None:
        """Silently: both ways, or from `one` to `other` alone."""

    async def isolate(self, site: str, *, way: Way = "both") -> None:
        """Silently cut a place from all others."""

    async def slow(self, one: str, other: str, *, extra_ms: float = 0.0, bytes_s: int = 0) -> None:
        """From `one` to `other`: a delay on top, and a speed shared by all; 0 is no limit."""

    async def heal(self, one: str = "", other: str = "") -> None:
        """Undo all of it for one road both ways, or for all roads."""
