"""The router between the places of the lab: `python -m lab.roads.router --spec FILE`, as root.

It makes a network namespace for each place, holds the TUN device that leads out of each, and
carries every IP packet from one to the other over a lane of `lab.roads.lanes`. It is asked on a
unix socket, one line of JSON each way, as `lab.roads.links` is. At its end, or its parent's, it
kills whatever stands in its namespaces; with it they are gone.

A door is a port of the present network's loopback that leads to the same port of a place's
loopback. It crosses no lane, so that the lab sees a place which nobody else reaches.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import random
import selectors
import socket
from pathlib import Path

import msgspec

from lab.roads.control import Answer, serve_requests
from lab.roads.lanes import Lane
from lab.roads.links import Heal
from lab.roads.netns import Place, be_told_of_parents_death, end_all_within, make_place, within

MTU = 32 * 1024
"""Far above a real road's: the fewer packets, the less of a processor this process takes."""
PACKETS_A_TURN = 64
DOOR_BYTES = 64 * 1024
DOOR_CONNECT_TIMEOUT_S = 2.0
NICENESS = -15
"""What it carries must not wait for those who sent it."""


class CutLane(msgspec.Struct, frozen=True, tag_field="do", tag="cut", forbid_unknown_fields=True):
    """Both ways, or from `one` to `other` alone."""

    one: str
    other: str
    one_way: bool = False


class Degrade(
    msgspec.Struct, frozen=True, tag_field="do", tag="degrade", forbid_unknown_fields=True
):
    """From `one` to `other` alone; what is not given is good."""

    one: str
    other: str
    extra_ms: float = 0.0
    bytes_s: int = 0
    loss: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.loss <= 1:
            raise ValueError(f"loss: {self.loss} is not of 0 to 1")
        if self.bytes_s < 0 or self.extra_ms < 0:
            raise ValueError("bytes_s, extra_ms: neither may be below 0")


class OpenDoor(msgspec.Struct, frozen=True, tag_field="do", tag="door", forbid_unknown_fields=True):
    """The same port of 127.0.0.1 on both sides."""

    place: str
    port: int


class WhereIs(msgspec.Struct, frozen=True, tag_field="do", tag="where", forbid_unknown_fields=True):
    """Asks for the file by which a place's namespace is entered."""

    place: str


Request = CutLane | Degrade | Heal | OpenDoor | WhereIs


class Spec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the process is started with."""

    control: str
    parent: int
    """The process id of the lab, with whose end this one ends."""
    hosts: dict[str, str]
    """The address of each place; all in one /24."""
    round_trips_ms: list[tuple[str, str, float]]
    seed: int = 0


class Router:
    """All places and the lanes between them. Methods raise ValueError or OSError."""

    def __init__(self, spec: Spec, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.places = {name: make_place(host, MTU) for name, host in spec.hosts.items()}
        dice = random.Random(spec.seed)
        self._lanes: dict[tuple[str, str], Lane] = {}
        for one, other, round_trip_ms in spec.round_trips_ms:
            for pair in ((one, other), (other, one)):
                self._lanes[pair] = Lane(round_trip_ms / 2000, dice)
        self._armed: set[Lane] = set()
        self._doors: list[asyncio.Server] = []

    def run(self) -> None:
        """Begin to carry."""
        for name, place in self.places.items():
            roads = {
                socket.inet_aton(self.places[end].host): (lane, self.places[end].device)
                for (start, end), lane in self._lanes.items()
                if start == name
            }
            self._loop.add_reader(place.device, self._carry, place.device, roads)

    async def do(self, request: Request) -> Answer:
        match request:
            case CutLane():
                self._lane(request.one, request.other).cut()
                if not request.one_way:
                    self._lane(request.other, request.one).cut()
            case Degrade():
                lane = self._lane(request.one, request.other)
                lane.extra_s = request.extra_ms / 1000
                lane.bytes_s, lane.loss = request.bytes_s, request.loss
            case Heal():
                self._heal(request)
            case OpenDoor():
                await self._open(self._place(request.place), request.port)
            case WhereIs():
                return Answer(
                    listen=f"/proc/{os.getpid()}/fd/{self._place(request.place).namespace}"
                )
        return Answer()

    def close(self) -> None:
        """End everything that stands in a place; the places end with this process."""
        for door in self._doors:
            door.close()
        for place in self.places.values():
            self._loop.remove_reader(place.device)
        end_all_within(self.places.values())

    def _carry(self, device: int, roads: dict[bytes, tuple[Lane, int]]) -> None:
        for _ in range(PACKETS_A_TURN):
            try:
                packet = os.read(device, 65536)
            except BlockingIOError:
                return
            # IPv6 has no addresses here; what it says by itself goes nowhere.
            road = roads.get(packet[16:20]) if packet[0] >> 4 == 4 else None
            if road is not None and road[0].take(packet, self._loop.time()):
                self._arm(*road)

    def _arm(self, lane: Lane, device: int) -> None:
        due_s = lane.next_s()
        if due_s is not None and lane not in self._armed:
            self._armed.add(lane)
            self._loop.call_at(due_s, self._deliver, lane, device)

    def _deliver(self, lane: Lane, device: int) -> None:
        self._armed.discard(lane)
        for packet in lane.arrived(self._loop.time()):
            os.write(device, packet)
        self._arm(lane, device)

    def _heal(self, request: Heal) -> None:
        pairs = [(request.one, request.other), (request.other, request.one)]
        for one, other in pairs if request.one or request.other else list(self._lanes):
            self._lane(one, other).heal()

    async def _open(self, place: Place, port: int) -> None:
        async def pass_through(near: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with contextlib.closing(writer), contextlib.suppress(OSError):
                await _join(place, port, near, writer)

        self._doors.append(await asyncio.start_server(pass_through, "127.0.0.1", port))

    def _lane(self, one: str, other: str) -> Lane:
        lane = self._lanes.get((one, other))
        if lane is None:
            raise ValueError(f"no road from {one!r} to {other!r}: round_trips_ms names none")
        return lane

    def _place(self, name: str) -> Place:
        place = self.places.get(name)
        if place is None:
            raise ValueError(f"no place {name!r}: hosts names {', '.join(self.places)}")
        return place


async def _join(
    place: Place, port: int, near: asyncio.StreamReader, near_writer: asyncio.StreamWriter
) -> None:
    """Both directions until each has ended. Raises OSError where nobody listens."""
    with within(place):
        inner = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    with contextlib.closing(inner):
        async with asyncio.timeout(DOOR_CONNECT_TIMEOUT_S):
            await asyncio.get_running_loop().sock_connect(inner, ("127.0.0.1", port))
        far, far_writer = await asyncio.open_connection(sock=inner)
        with contextlib.closing(far_writer):
            await asyncio.gather(_pump(near, far_writer), _pump(far, near_writer))


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(DOOR_BYTES):
        writer.write(data)
        await writer.drain()
    if writer.can_write_eof():
        writer.write_eof()


async def serve(spec: Spec) -> None:
    """Run the router until SIGTERM or SIGINT."""
    router = Router(spec, asyncio.get_running_loop())
    router.run()
    try:
        await serve_requests(spec.control, Request, router.do)
    finally:
        router.close()


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="lab.roads.router", description="Route between the places."
    )
    parser.add_argument(
        "--spec", type=Path, required=True, help="JSON file, see lab.roads.router.Spec"
    )
    spec = msgspec.json.decode(parser.parse_args().spec.read_bytes(), type=Spec)
    be_told_of_parents_death(spec.parent)
    os.nice(NICENESS)
    # epoll counts whole milliseconds; select counts as finely as the kernel's timers.
    with asyncio.Runner(
        loop_factory=lambda: asyncio.SelectorEventLoop(selectors.SelectSelector())
    ) as runner:
        runner.run(serve(spec))


if __name__ == "__main__":
    main()
