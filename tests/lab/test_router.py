"""The router, over real namespaces and the kernel's own TCP."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from lab.base.ports import free_port
from lab.base.processes import ROOT
from lab.roads.control import LinksError
from lab.roads.namespaces import Namespaces, why_not
from lab.roads.netns import Place, within

pytestmark = [pytest.mark.root, pytest.mark.skipif(bool(why_not()), reason=why_not())]

TRIPS = {("batam", "ikn"): 40.0, ("batam", "arbiter"): 10.0, ("ikn", "arbiter"): 10.0}
WAIT_S = 30.0
SILENCE_S = 0.4
PORT = 7000
Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@pytest.fixture
async def net(tmp_path: Path) -> AsyncIterator[Namespaces]:
    one = Namespaces(tmp_path / "network", TRIPS, seed=3)
    await one.start()
    yield one
    await one.stop()


@contextlib.contextmanager
def standing(net: Namespaces, place: str) -> Iterator[None]:
    """Sockets made meanwhile belong to the place."""
    path = net.inside(place)[1].removeprefix("--net=")
    namespace = os.open(path, os.O_RDONLY)
    try:
        with within(Place(net.hosts[place], namespace, -1)):
            yield
    finally:
        os.close(namespace)


def of_kind(net: Namespaces, place: str, kind: int) -> socket.socket:
    with standing(net, place):
        return socket.socket(socket.AF_INET, kind | socket.SOCK_NONBLOCK)


def tcp(net: Namespaces, place: str) -> socket.socket:
    return of_kind(net, place, socket.SOCK_STREAM)


@contextlib.asynccontextmanager
async def echo(net: Namespaces, place: str, host: str = "") -> AsyncIterator[None]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer), contextlib.suppress(OSError):
            while data := await reader.read(1 << 20):
                writer.write(data)
                await writer.drain()

    listener = tcp(net, place)
    listener.bind((host or net.hosts[place], PORT))
    async with await asyncio.start_server(serve, sock=listener):
        yield


async def connect(net: Namespaces, one: str, other: str, wait_s: float = WAIT_S) -> Stream:
    near = tcp(net, one)
    try:
        async with asyncio.timeout(wait_s):
            await asyncio.get_running_loop().sock_connect(near, (net.hosts[other], PORT))
    except TimeoutError:
        near.close()
        raise
    return await asyncio.open_connection(sock=near)


async def say(stream: Stream, text: bytes) -> float:
    """Send and read it back; the milliseconds that took."""
    began = time.monotonic()
    stream[1].write(text)
    async with asyncio.timeout(WAIT_S):
        assert await stream[0].readexactly(len(text)) == text
    return (time.monotonic() - began) * 1000


async def unanswered(stream: Stream, text: bytes) -> bool:
    """Whether nothing comes back, not even an end."""
    stream[1].write(text)
    try:
        async with asyncio.timeout(SILENCE_S):
            await stream[0].read(1)
    except TimeoutError:
        return True
    return False


async def test_a_round_trip_takes_the_delay_of_both_ways(net: Namespaces) -> None:
    """How much longer it takes is noise of the machine: printed, not asserted."""
    async with echo(net, "ikn"):
        stream = await connect(net, "batam", "ikn")
        beyond = sorted([await say(stream, b"x" * 200) - 40.0 for _ in range(60)])
        stream[1].close()
    assert beyond[0] >= 0
    print(f"beyond 40 ms: median {statistics.median(beyond):.2f}, most {beyond[-1]:.2f} ms")


async def test_a_cut_is_silent_and_a_connection_goes_on_when_it_is_healed(net: Namespaces) -> None:
    async with echo(net, "ikn"):
        stream = await connect(net, "batam", "ikn")
        await say(stream, b"before")
        await net.cut("batam", "ikn")
        assert await unanswered(stream, b"lost")
        with pytest.raises(TimeoutError):
            await connect(net, "batam", "ikn", wait_s=SILENCE_S)
        await net.heal("ikn", "batam")
        async with asyncio.timeout(WAIT_S):
            assert await stream[0].readexactly(4) == b"lost"
        stream[1].close()


async def test_a_one_way_cut_stops_one_direction_alone(net: Namespaces) -> None:
    one = of_kind(net, "batam", socket.SOCK_DGRAM)
    other = of_kind(net, "ikn", socket.SOCK_DGRAM)
    loop = asyncio.get_running_loop()
    with one, other:
        one.bind((net.hosts["batam"], PORT))
        other.bind((net.hosts["ikn"], PORT))
        await net.cut("batam", "ikn", one_way=True)
        await loop.sock_sendto(one, b"there", (net.hosts["ikn"], PORT))
        await loop.sock_sendto(other, b"back", (net.hosts["batam"], PORT))
        async with asyncio.timeout(WAIT_S):
            assert await loop.sock_recv(one, 100) == b"back"
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(SILENCE_S):
                await loop.sock_recv(other, 100)


async def test_an_isolated_place_hears_nobody_and_the_others_hear_each_other(
    net: Namespaces,
) -> None:
    async with echo(net, "ikn"):
        await net.isolate("batam")
        with pytest.raises(TimeoutError):
            await connect(net, "batam", "ikn", wait_s=SILENCE_S)
        for place in ("arbiter", "clients", "ikn"):
            stream = await connect(net, place, "ikn")
            await say(stream, b"hello")
            stream[1].close()


async def test_a_transfer_comes_whole_over_a_road_that_loses_packets(net: Namespaces) -> None:
    text = os.urandom(3_000_000)
    await net.degrade("batam", "ikn", loss=0.05)
    async with echo(net, "ikn"):
        stream = await connect(net, "batam", "ikn")
        await say(stream, text)
        stream[1].close()


async def test_a_slow_road_carries_no_more_than_its_speed_and_adds_its_delay(
    net: Namespaces,
) -> None:
    await net.slow("batam", "ikn", bytes_s=1_000_000, extra_ms=50.0)
    async with echo(net, "ikn"):
        stream = await connect(net, "batam", "ikn")
        assert await say(stream, b"hello") >= 90.0
        assert await say(stream, bytes(1_000_000)) >= 900.0
        stream[1].close()


async def test_a_fast_road_carries_a_bulk_transfer(net: Namespaces) -> None:
    size = 100_000_000
    async with echo(net, "arbiter"):
        stream = await connect(net, "ikn", "arbiter")
        began = time.monotonic()
        for _ in range(10):
            await say(stream, bytes(size // 10))
        took_s = time.monotonic() - began
        stream[1].close()
    print(f"{size / took_s / 1e6:.0f} MB/s each way at once")


async def test_a_door_leads_to_a_place_that_is_cut_off(net: Namespaces) -> None:
    port = free_port()
    listener = tcp(net, "batam")
    listener.bind(("127.0.0.1", port))

    async def greet(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"inside")
        writer.close()

    async with await asyncio.start_server(greet, sock=listener):
        await net.isolate("batam")
        await net.door("batam", port)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        async with asyncio.timeout(WAIT_S):
            assert await reader.read() == b"inside"
        writer.close()


async def test_what_cannot_be_is_refused_by_name(net: Namespaces) -> None:
    with pytest.raises(LinksError, match="no road from 'batam' to 'medan'"):
        await net.cut("batam", "medan")
    with pytest.raises(ValueError, match=r"loss: 1\.5 is not of 0 to 1"):
        await net.degrade("batam", "ikn", loss=1.5)


OWNER = """
import asyncio, subprocess, sys
from pathlib import Path
from lab.roads.namespaces import Namespaces

async def main():
    net = Namespaces(Path(sys.argv[1]), {("batam", "ikn"): 1.0})
    await net.start()
    stands = ["setsid", "sh", "-c", "echo in; exec sleep 600"]
    inner = subprocess.Popen([*net.inside("batam"), *stands], stdout=subprocess.PIPE)
    inner.stdout.readline()  # one that is still on its way in is in no place yet
    print(net.router.pid, inner.pid, flush=True)
    await asyncio.sleep(600)

asyncio.run(main())
"""


def test_all_that_stands_in_a_place_ends_with_the_lab_however_it_ends(tmp_path: Path) -> None:
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE
    )
    assert owner.stdout is not None
    with owner.stdout:
        line = owner.stdout.readline()
    pids = [int(word) for word in line.split()]
    assert len(pids) == 2
    owner.send_signal(signal.SIGKILL)
    owner.wait()
    until = time.monotonic() + WAIT_S
    while any(_lives(pid) for pid in pids):
        assert time.monotonic() < until, f"these live on: {[p for p in pids if _lives(p)]}"
        time.sleep(0.02)


def _lives(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"
