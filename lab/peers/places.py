"""Where a peer's programs run: places with names and addresses, and the delays between them.

A peer names the others by host name, and each place must reach another by a road of its own.
`ProxyPlaces` gives each place a hosts file and loopback addresses: its own, on which its
programs listen, and for each other place one on which a link of the lab listens. In
`NamespacePlaces` each place has a network of its own, clients in it included, as Saling's lab has.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from lab.roads.links import Links
from lab.roads.namespaces import Namespaces
from lab.roads.network import Network

OCTETS = range(20, 250)
AS_FIRST_PROCESS = (
    *("unshare", "--user", "--map-root-user", "--mount", "--pid", "--fork", "--kill-child"),
    "--mount-proc",
)
AS_ORDINARY_USER = ("unshare", "--user", "--map-user=1000", "--map-group=1000")
BIND_HOSTS = 'mount --bind "$0" /etc/hosts && exec "$@"'


class Places(Protocol):
    """Some places. Names are as in `lab.base.geography`; `host` gives the DNS name of one."""

    @property
    def links(self) -> Network:
        """The roads between them, to be cut and healed."""

    async def open(self) -> None:
        """Make the network. Raises OSError or LinksError."""

    async def close(self) -> None:
        """Leave nothing of it."""

    def host(self, place: str) -> str:
        """By what name or address it is reached from everywhere, itself included."""

    def address(self, place: str) -> str:
        """The IP address on which its programs listen, and that its own clients use."""

    def address_with_door(self, place: str) -> str:
        """The same for a program that this process asks, too, by a `door`."""

    async def door(self, place: str, port: int) -> str:
        """The host:port by which this process reaches it, whatever is cut between places."""

    def command(self, place: str, command: Sequence[str]) -> list[str]:
        """What to start instead of `command`, that it may run there.

        It runs as the first process of a PID namespace, as an ordinary user.
        """


class ProxyPlaces:
    """Places on loopback, for which no root is needed."""

    def __init__(
        self,
        directory: Path,
        round_trips_ms: Mapping[tuple[str, str], float],
        ports: Mapping[str, Sequence[int]],
    ) -> None:
        """`ports`: for each place the ports on which others reach it."""
        self._directory = directory
        self._ports = ports
        self._names = list(ports)
        roads = {k: ms for k, ms in round_trips_ms.items() if set(k) <= set(ports)}
        self._links = Links(directory / "links", roads)
        self._octet = _free_octet({port for of_place in ports.values() for port in of_place})

    @property
    def links(self) -> Network:
        return self._links

    async def open(self) -> None:
        await self._links.start()
        for here in self._names:
            for there in self._names:
                for port in self._ports[there] if here != there else ():
                    target = f"{self.address(there)}:{port}"
                    await self._links.link(here, there, target, f"{self._seen(here, there)}:{port}")
            self._write_hosts(here)

    async def close(self) -> None:
        await self._links.stop()

    def host(self, place: str) -> str:
        return f"{place}.lab"

    def address(self, place: str) -> str:
        return self._seen(place, place)

    def address_with_door(self, place: str) -> str:
        return self.address(place)

    async def door(self, place: str, port: int) -> str:
        return f"{self.address(place)}:{port}"

    def command(self, place: str, command: Sequence[str]) -> list[str]:
        with_hosts = ("sh", "-c", BIND_HOSTS, str(self._hosts_file(place)))
        return [*AS_FIRST_PROCESS, *with_hosts, *AS_ORDINARY_USER, *command]

    def _seen(self, here: str, there: str) -> str:
        """The address of one place as another one knows it: 0 in the third byte is its own."""
        road = 0 if here == there else 1 + self._names.index(here)
        return f"127.{self._octet}.{road}.{1 + self._names.index(there)}"

    def _hosts_file(self, place: str) -> Path:
        return self._directory / "hosts" / place

    def _write_hosts(self, place: str) -> None:
        lines = [f"{self._seen(place, other)} {self.host(other)}" for other in self._names]
        path = self._hosts_file(place)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.write_text("\n".join(["127.0.0.1 localhost", *lines]) + "\n")


class NamespacePlaces:
    """Places that are network namespaces, for which root is needed."""

    def __init__(self, directory: Path, round_trips_ms: Mapping[tuple[str, str], float]) -> None:
        self._links = Namespaces(directory / "links", round_trips_ms)

    @property
    def links(self) -> Network:
        return self._links

    async def open(self) -> None:
        await self._links.start()

    async def close(self) -> None:
        await self._links.stop()

    def host(self, place: str) -> str:
        return self._links.hosts[place]

    def address(self, place: str) -> str:
        return self._links.hosts[place]

    def address_with_door(self, place: str) -> str:
        """A door leads to the place's loopback."""
        return "0.0.0.0"

    async def door(self, place: str, port: int) -> str:
        await self._links.door(place, port)
        return f"127.0.0.1:{port}"

    def command(self, place: str, command: Sequence[str]) -> list[str]:
        inside = self._links.inside(place)
        return [*inside, *AS_FIRST_PROCESS, *AS_ORDINARY_USER, *command]


def _free_octet(ports: set[int]) -> int:
    """The second byte of loopback addresses that no other lab uses at present."""
    for number in range(len(OCTETS)):
        octet = OCTETS[(os.getpid() + number) % len(OCTETS)]
        if all(_is_free(f"127.{octet}.0.1", port) for port in ports):
            return octet
    raise OSError(f"every loopback network has listeners on {sorted(ports)}: end other labs")


def _is_free(address: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError:
            return False
    return True
