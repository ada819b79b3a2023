"""Probes over real TLS: who answers, what is counted, and what a slow observer leaves out."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import aiohttp
import msgspec
import pytest

from agents.guard.client import now_ms
from agents.network import prober as module
from agents.network.peer_client import client_context
from agents.network.prober import Prober, Way, next_due_s
from lab.base.keys import LabKeys
from protocol.messages import Header, Order, Path, Probe
from protocol.probing import PROBE_PATH, ProbeAnswer
from tests.agents.network.test_peers import AWAY, HOME, Grantor, get, tls_of

Until = Callable[[Callable[[], object], str], Awaitable[None]]


@pytest.fixture
async def away(keys: LabKeys) -> AsyncIterator[Grantor]:
    made = Grantor(keys)
    task = asyncio.create_task(made.server.run("127.0.0.1:0", made.context, made.ready))
    await asyncio.wait_for(made.ready.wait(), 30)
    yield made
    task.cancel()
    await asyncio.wait({task})


class Observer:
    """The prober of HOME."""

    def __init__(self, keys: LabKeys, group: asyncio.TaskGroup, reach: dict[str, str]) -> None:
        context = client_context(tls_of(keys, HOME))
        self.prober = Prober(HOME, context, lambda address: reach.get(address, address), group)
        self.number = 0

    def follow(self, *probes: Probe) -> None:
        self.number += 1
        header = Header("testing", "controller", "boot", "life", self.number)
        self.prober.take(Order(header, HOME, 1, "store", (), f"list-{self.number}", probes))

    @property
    def path(self) -> Path:
        return next(iter(self.prober.paths(now_ms())), Path("nobody"))

    def tasks(self) -> list[asyncio.Task[None]]:
        return [t for way in self.prober._ways.values() if (t := way.task) is not None]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "EVERY_S", 0.05)


def probe(address: str, agent: str = AWAY) -> Probe:
    return Probe(agent, "ikn", address)


async def test_an_agent_without_any_service_answers_over_one_kept_connection(
    away: Grantor, keys: LabKeys, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    connections = 0
    connect = away.server._protocol

    def count(runner: Any) -> asyncio.Protocol:
        nonlocal connections
        connections += 1
        return connect(runner)

    monkeypatch.setattr(away.server, "_protocol", count)
    monkeypatch.setattr(module, "LIMIT_S", 30.0)
    begun_ms = now_ms()
    async with asyncio.TaskGroup() as group:
        observer = Observer(keys, group, {"ikn.example:8701": f"127.0.0.1:{away.server.port}"})
        observer.follow(probe("ikn.example:8701"))
        await until(lambda: observer.path.asked == 20, "twenty probes")
        told = observer.path
        assert (told.to, told.lost) == (AWAY, 0)
        took_ms = now_ms() - begun_ms
        assert 0 < told.round_trip_us < took_ms * 1000
        assert abs(told.clock_ahead_ms) < took_ms
        assert told.answer_age_ms < took_ms
        assert observer.prober.list_name == "list-1"
        assert observer.prober.clocks_ahead_ms(now_ms()) == (told.clock_ahead_ms,)
        assert connections == 1
        observer.follow()


async def test_only_a_certificate_of_our_authority_is_told_the_time(away: Grantor) -> None:
    assert (await get(away, PROBE_PATH))[0] == 403


async def test_nobody_answers_in_the_place_of_another_agent(
    away: Grantor, keys: LabKeys, until: Until
) -> None:
    async with asyncio.TaskGroup() as group:
        observer = Observer(keys, group, {})
        observer.follow(probe(f"127.0.0.1:{away.server.port}", agent="sorong-1"))
        await until(lambda: observer.path.lost >= 3, "losses")
        assert observer.path.asked == observer.path.lost
        observer.follow()


async def test_an_agent_of_an_earlier_version_answers_that_it_knows_no_probes(
    away: Grantor, keys: LabKeys, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PROBE_PATH", "/saling/v0/probe")
    async with asyncio.TaskGroup() as group:
        observer = Observer(keys, group, {})
        observer.follow(probe(f"127.0.0.1:{away.server.port}"))
        await until(lambda: observer.path.asked >= 3, "answers")
        assert observer.path.lost == 0
        assert observer.prober.clocks_ahead_ms(now_ms()) == ()
        observer.follow()


async def test_an_agent_that_hangs_is_lost_and_holds_up_no_other(
    away: Grantor, keys: LabKeys, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LIMIT_S", 0.04)
    ended = asyncio.Event()

    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()
        ended.set()

    server = await asyncio.start_server(hang, "127.0.0.1", 0)
    async with asyncio.TaskGroup() as group:
        observer = Observer(keys, group, {})
        hung = probe(f"127.0.0.1:{server.sockets[0].getsockname()[1]}", agent="sorong-1")
        observer.follow(hung, probe(f"127.0.0.1:{away.server.port}"))
        await until(lambda: observer.path.lost >= 3, "losses")
        well = observer.prober.paths(now_ms())[1]
        await until(lambda: observer.prober.paths(now_ms())[1].asked > well.asked, "others go on")
        observer.follow()
    await ended.wait()
    server.close()
    await server.wait_closed()


async def test_a_removed_agent_is_probed_no_more_and_those_that_stay_go_on(
    away: Grantor, keys: LabKeys, until: Until
) -> None:
    async with asyncio.TaskGroup() as group:
        observer = Observer(keys, group, {})
        stays = probe(f"127.0.0.1:{away.server.port}")
        observer.follow(stays, probe("127.0.0.1:1", agent="sorong-1"))
        kept, removed = observer.tasks()
        await until(lambda: observer.path.asked >= 3, "answers")
        asked = observer.path.asked
        observer.follow(stays)
        await asyncio.wait({removed}, timeout=5)
        assert removed.cancelled()
        assert observer.tasks() == [kept]
        assert [path.to for path in observer.prober.paths(now_ms())] == [AWAY]
        assert observer.path.asked >= asked
        # At another address it is another way, which knows nothing yet.
        observer.follow(probe("127.0.0.1:1"))
        await asyncio.wait({kept}, timeout=5)
        assert kept.cancelled()
        observer.follow()


async def test_an_address_that_is_none_and_this_agent_itself_are_left_out(keys: LabKeys) -> None:
    async with asyncio.TaskGroup() as group:
        observer = Observer(keys, group, {})
        observer.follow(probe("no address"), probe("127.0.0.1:1", agent=HOME))
        assert observer.prober.paths(now_ms()) == ()
        assert observer.prober.list_name == "list-1"


async def test_a_loop_that_stood_still_makes_no_loss(
    away: Grantor, keys: LabKeys, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All other probes have half a minute, so that no slow machine makes a loss either."""
    monkeypatch.setattr(module, "LIMIT_S", 30.0)
    probe_once, stood_at = Way._probe, list[int]()

    async def stand_still_once(way: Way, session: aiohttp.ClientSession) -> None:
        asked = way.window.path(AWAY, now_ms()).asked
        if asked < 2 or stood_at:
            await probe_once(way, session)
            return
        stood_at.append(asked)
        ask = asyncio.create_task(probe_once(way, session))
        with monkeypatch.context() as patch:
            patch.setattr(module, "LIMIT_S", 0.001)
            asyncio.get_running_loop().call_soon(time.sleep, 2 * module.STOOD_STILL_S)
            await ask

    monkeypatch.setattr(Way, "_probe", stand_still_once)
    async with asyncio.TaskGroup() as group:
        observer = Observer(keys, group, {})
        observer.follow(probe(f"127.0.0.1:{away.server.port}"))
        await until(lambda: stood_at, "a loop that stands still")
        await until(lambda: observer.path.asked >= stood_at[0] + 2, "answers after it")
        assert observer.path.lost == 0
        observer.follow()


@pytest.mark.parametrize(
    ("due_s", "now_s", "expected"),
    [(10.0, 10.1, 11.0), (10.0, 10.999, 11.0), (10.0, 13.2, 14.0), (10.0, 9.99, 11.0)],
)
def test_the_beat_is_kept_and_what_was_missed_is_left_out(
    due_s: float, now_s: float, expected: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "EVERY_S", 1.0)
    assert next_due_s(due_s, now_s) == expected


def test_the_answer_is_read_whatever_a_later_version_adds_to_it() -> None:
    said = b'{"agent":"ikn-1","wall_ms":1,"up_ms":2,"more":[3]}'
    assert msgspec.json.decode(said, type=ProbeAnswer) == ProbeAnswer(AWAY, 1, 2)
