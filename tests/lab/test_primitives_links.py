"""The links, over their real process and real TCP."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from lab.roads.control import LinksError, ask
from lab.roads.links import AddLink, Links
from lab.roads.network import Way

WAIT_S = 30.0
ROUND_TRIP_MS = 40.0
Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Echo:
    """A TCP server that sends back what it reads, and counts who is connected."""

    def __init__(self) -> None:
        self.address = ""
        self.connected = 0
        self.gone = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connected += 1
        try:
            while data := await reader.read(1 << 16):
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            self.connected -= 1
            self.gone.set()
            writer.close()


@pytest.fixture
async def echo() -> AsyncIterator[Echo]:
    one = Echo()
    server = await asyncio.start_server(one.serve, "127.0.0.1", 0)
    one.address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server:
        yield one


@pytest.fixture
async def links(tmp_path: Path) -> AsyncIterator[Links]:
    trips = {("batam", "ikn"): ROUND_TRIP_MS, ("batam", "arbiter"): 0.0}
    one = Links(tmp_path / "links", trips)
    await one.start()
    yield one
    await one.stop()


async def connect(address: str) -> Stream:
    host, _, port = address.rpartition(":")
    return await asyncio.open_connection(host, int(port))


async def say(stream: Stream, text: bytes) -> float:
    """Send and read it back; the milliseconds that took."""
    began = time.monotonic()
    stream[1].write(text)
    async with asyncio.timeout(WAIT_S):
        assert await stream[0].readexactly(len(text)) == text
    return (time.monotonic() - began) * 1000


async def silent(stream: Stream, for_s: float = 0.3) -> bool:
    try:
        async with asyncio.timeout(for_s):
            await stream[0].read(1)
    except TimeoutError:
        return True
    return False


async def none_carried(links: Links) -> None:
    async with asyncio.timeout(WAIT_S):
        while await links.connections():  # noqa: ASYNC110 - the process can only be asked
            await asyncio.sleep(0.02)


async def test_a_round_trip_takes_the_delay_and_little_more(links: Links, echo: Echo) -> None:
    stream = await connect(await links.link("batam", "ikn", echo.address))
    assert await say(stream, b"first") >= 2 * ROUND_TRIP_MS - 1  # with its handshake
    spans = sorted([await say(stream, b"hello") for _ in range(20)])
    assert spans[0] >= ROUND_TRIP_MS - 1
    assert spans[10] < ROUND_TRIP_MS + 30
    stream[1].close()


async def test_delay_costs_no_throughput(links: Links, echo: Echo) -> None:
    reader, writer = await connect(await links.link("batam", "ikn", echo.address))
    size = 32 * 1024 * 1024
    began = time.monotonic()
    writer.write(bytes(size))
    async with asyncio.timeout(WAIT_S):
        assert await reader.readexactly(size) == bytes(size)
    # One write and one read a round trip would take 10 s and more.
    assert time.monotonic() - began < 8
    writer.close()


async def test_many_bytes_arrive_whole_and_in_order(links: Links, echo: Echo) -> None:
    await links.degrade("batam", "ikn", hiccup_probability=0.3, hiccup_ms=20)
    stream = await connect(await links.link("batam", "ikn", echo.address))
    await say(stream, os.urandom(3_000_000))
    stream[1].close()


async def test_a_silent_cut_holds_everything_and_a_heal_lets_it_go_on(
    links: Links, echo: Echo
) -> None:
    address = await links.link("batam", "ikn", echo.address)
    stream = await connect(address)
    await say(stream, b"before")
    await links.cut("batam", "ikn")
    stream[1].write(b"during")
    fresh = await connect(address)
    fresh[1].write(b"fresh")
    assert await silent(stream)
    assert await silent(fresh)
    assert echo.connected == 1
    await links.heal("batam", "ikn")
    async with asyncio.timeout(WAIT_S):
        assert await stream[0].readexactly(6) == b"during"
        assert await fresh[0].readexactly(5) == b"fresh"
    stream[1].close()
    fresh[1].close()


async def test_a_silent_cut_hides_the_end_of_a_connection_until_healed(
    links: Links, echo: Echo
) -> None:
    stream = await connect(await links.link("batam", "ikn", echo.address))
    await say(stream, b"before")
    await links.cut("ikn", "batam")
    stream[1].transport.abort()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(echo.gone.wait(), 0.3)
    await links.heal()
    await asyncio.wait_for(echo.gone.wait(), WAIT_S)
    await none_carried(links)


@pytest.mark.parametrize(("one", "other", "heard"), [("batam", "ikn", 0), ("ikn", "batam", 5)])
async def test_a_cut_of_one_way_stops_that_way_alone(
    links: Links, one: str, other: str, heard: int
) -> None:
    got = bytearray()
    enough = asyncio.Event()

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(100):
            got.extend(data)
            writer.write(data)
            enough.set()
        writer.close()

    async with await asyncio.start_server(listen, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        stream = await connect(await links.link("batam", "ikn", f"127.0.0.1:{port}"))
        await say(stream, b"x")
        got.clear()
        enough.clear()
        await links.cut(one, other, one_way=True)
        stream[1].write(b"hello")
        assert await silent(stream)
        if heard:
            await asyncio.wait_for(enough.wait(), WAIT_S)
        assert len(got) == heard
        await links.heal(other, one)
        async with asyncio.timeout(WAIT_S):
            assert await stream[0].readexactly(5) == b"hello"
        stream[1].close()
        await stream[1].wait_closed()


async def test_a_reset_cut_ends_what_is_and_what_comes(links: Links, echo: Echo) -> None:
    address = await links.link("batam", "ikn", echo.address)
    stream = await connect(address)
    await say(stream, b"before")
    await links.cut("ikn", "batam", "reset")
    with pytest.raises(ConnectionError):
        await asyncio.wait_for(stream[0].read(1), WAIT_S)
    with pytest.raises(ConnectionError):
        await say(await connect(address), b"x")
    await asyncio.wait_for(echo.gone.wait(), WAIT_S)
    await links.heal()
    stream = await connect(address)
    await say(stream, b"after")
    stream[1].close()


async def test_other_roads_are_not_touched(links: Links, echo: Echo) -> None:
    stream = await connect(await links.link("arbiter", "batam", echo.address))
    await links.cut("batam", "ikn", "reset")
    await say(stream, b"still here")
    await links.isolate("ikn")
    await say(stream, b"still here")
    await links.isolate("arbiter")
    stream[1].write(b"x")
    assert await silent(stream)
    stream[1].close()


@pytest.mark.parametrize(("way", "heard"), [("in", b""), ("out", b"out")])
async def test_a_place_can_be_made_deaf_or_mute(links: Links, way: Way, heard: bytes) -> None:
    got = bytearray()

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(100):
            got.extend(data)
            writer.write(data)
        writer.close()

    async with await asyncio.start_server(listen, "127.0.0.1", 0) as server:
        target = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        stream = await connect(await links.link("batam", "ikn", target))
        await say(stream, b"x")
        got.clear()
        await links.isolate("ikn", way=way)
        stream[1].write(b"out")
        assert await silent(stream)
        assert bytes(got) == heard
        stream[1].close()


async def test_a_slow_road_takes_its_time_and_is_fast_again_when_healed(
    links: Links, echo: Echo
) -> None:
    stream = await connect(await links.link("batam", "ikn", echo.address))
    await links.degrade("batam", "ikn", bytes_s=100_000)
    assert await say(stream, bytes(100_000)) >= 990
    await links.heal()
    assert await say(stream, bytes(100_000)) < 900
    stream[1].close()


async def test_hiccups_delay_what_they_hit(links: Links, echo: Echo) -> None:
    stream = await connect(await links.link("batam", "arbiter", echo.address))
    await say(stream, b"x")
    await links.degrade("batam", "arbiter", hiccup_probability=1.0, hiccup_ms=200)
    assert await say(stream, b"x") >= 199
    stream[1].close()


async def test_half_closed_connections_still_carry_the_other_way(links: Links) -> None:
    async def answer_at_the_end(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        question = await reader.read()
        writer.write(question[::-1])
        writer.close()

    async with await asyncio.start_server(answer_at_the_end, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        reader, writer = await connect(await links.link("batam", "ikn", f"127.0.0.1:{port}"))
        writer.write(b"abc")
        writer.write_eof()
        assert await asyncio.wait_for(reader.read(), WAIT_S) == b"cba"
        writer.close()
    await none_carried(links)


async def test_a_target_that_is_not_there_ends_the_connection(links: Links, echo: Echo) -> None:
    host, _, _ = echo.address.partition(":")
    stream = await connect(await links.link("batam", "ikn", f"{host}:1"))
    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        await asyncio.wait_for(stream[0].readexactly(1), WAIT_S)
    await none_carried(links)


async def test_nothing_is_left_of_connections_that_ended(links: Links, echo: Echo) -> None:
    address = await links.link("batam", "ikn", echo.address)
    streams = [await connect(address) for _ in range(20)]
    await asyncio.gather(*(say(stream, b"hello") for stream in streams))
    assert await links.connections() == 20
    for number, (_, writer) in enumerate(streams):
        if number % 2:
            writer.close()
        else:
            writer.transport.abort()
    await none_carried(links)


async def test_what_is_asked_wrongly_is_refused_and_changes_nothing(
    links: Links, echo: Echo
) -> None:
    with pytest.raises(LinksError, match="no road from 'batam' to 'atlantis'"):
        await links.link("batam", "atlantis", echo.address)
    with pytest.raises(LinksError, match="not host:port"):
        await links.link("batam", "ikn", "nowhere")
    with pytest.raises(LinksError, match="one_way"):
        await links.cut("batam", "ikn", "reset", one_way=True)
    with pytest.raises(LinksError, match="hiccup_probability"):
        await links.degrade("batam", "ikn", hiccup_probability=2)
    reader, writer = await asyncio.open_unix_connection(links.control)
    writer.write(b'{"do": "dance"}\n')
    assert b"dance" in await reader.read()
    writer.close()
    stream = await connect(await links.link("batam", "ikn", echo.address))
    await say(stream, b"still here")
    stream[1].close()


async def test_another_process_may_ask_too(links: Links, echo: Echo) -> None:
    answer = await ask(links.control, AddLink("batam", "ikn", echo.address, "127.0.0.1:0"))
    stream = await connect(answer.listen)
    await say(stream, b"hello")
    stream[1].close()


async def test_its_death_is_told(links: Links) -> None:
    assert links.pid is not None
    os.kill(links.pid, signal.SIGKILL)
    await asyncio.wait_for(links.died.wait(), WAIT_S)
    with pytest.raises(LinksError, match="do not listen"):
        await links.connections()


async def test_stopping_ends_every_connection_and_removes_the_socket(
    links: Links, echo: Echo
) -> None:
    stream = await connect(await links.link("batam", "ikn", echo.address))
    await say(stream, b"hello")
    await links.stop()
    with pytest.raises(ConnectionError):
        await asyncio.wait_for(stream[0].readexactly(1), WAIT_S)
    await asyncio.wait_for(echo.gone.wait(), WAIT_S)
    assert not links.control.exists()
    assert not links.died.is_set()


async def test_a_directory_too_long_for_a_socket_is_named(tmp_path: Path) -> None:
    with pytest.raises(LinksError, match="shorter directory"):
        await Links(tmp_path / ("x" * 120), {("batam", "ikn"): 1.0}).start()
