"""Asks the agents of other sites once a second whether they are there, each in a task of its own.

A probe is one small GET over a kept connection. It is given up before the next one is due, so
that there is one at a time on each way. What this process itself could not do in time, because
its loop or its machine stood still, is no loss of the way.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable
from contextlib import suppress

import aiohttp
import msgspec
import structlog

from agents.core.paths import Found, PathWindow, ProbeList, take_list
from config.problems import Refused
from config.values import parse_address
from protocol.messages import Order, Path, Probe
from protocol.probing import PROBE_PATH, ProbeAnswer

EVERY_S = 1.0
LIMIT_S = 0.8
STOOD_STILL_S = 0.1
"""A probe that was given up so much later than it should have been says nothing of the way."""
KEEPALIVE_S = 75.0
ANSWER_AT_MOST_BYTES = 4096
SAID_AFTER = 3
"""A single lost probe is counted; so many in a row are said in the log."""

log = structlog.get_logger("paths")


class Prober:
    """All ways that are probed. Its tasks belong to `group`."""

    def __init__(
        self,
        agent: str,
        context: ssl.SSLContext,
        reached: Callable[[str], str],
        group: asyncio.TaskGroup,
    ) -> None:
        """`reached` says by which address a declared one is reached from here."""
        self._agent = agent
        self._context = context
        self._reached = reached
        self._group = group
        self._list = ProbeList()
        self._ways: dict[str, Way] = {}

    @property
    def list_name(self) -> str:
        """Which list it follows; empty before the first one."""
        return self._list.name

    def take(self, order: Order) -> None:
        """Follow the list of an Order, if it has one."""
        known = self._list
        self._list = take_list(known, order, boot_ns() // 1_000_000)
        if self._list.probes != known.probes:
            self._follow()

    def paths(self, now_ms: int) -> tuple[Path, ...]:
        """What was found, in the order of the list."""
        return tuple(way.window.path(name, now_ms) for name, way in self._ways.items())

    @property
    def count(self) -> int:
        """How many agents are probed."""
        return len(self._ways)

    def clocks_ahead_ms(self, now_ms: int) -> tuple[int, ...]:
        """Of each agent that told: its wall clock minus ours."""
        told = (way.window.clock_ahead_ms(now_ms) for way in self._ways.values())
        return tuple(ahead_ms for ahead_ms in told if ahead_ms is not None)

    def _follow(self) -> None:
        before, self._ways = self._ways, {}
        # Spread over the second, so that no probe waits for another one.
        step_s = EVERY_S / max(1, len(self._list.probes))
        for index, probe in enumerate(self._list.probes):
            way = before.pop(probe.agent, None)
            if way is not None and way.probe == probe:
                self._ways[probe.agent] = way
                continue
            if way is not None:
                way.end()
            if (made := self._begin(probe, index * step_s)) is not None:
                self._ways[probe.agent] = made
        for way in before.values():
            way.end()

    def _begin(self, probe: Probe, wait_s: float) -> Way | None:
        if probe.agent == self._agent:
            return None
        try:
            address = parse_address(self._reached(probe.address))
        except Refused as fault:
            said = {"address": probe.address, "error": fault.message, "mend": fault.mend}
            log.error("an Order names an agent that cannot be probed", to=probe.agent, **said)
            return None
        way = Way(probe, f"https://{address}{PROBE_PATH}", self._context)
        way.task = self._group.create_task(way.run(wait_s), name=f"probes of {probe.agent}")
        return way


class Way:
    """One agent at one address."""

    def __init__(self, probe: Probe, url: str, context: ssl.SSLContext) -> None:
        self.probe = probe
        self.window = PathWindow()
        self.task: asyncio.Task[None] | None = None
        self._url = url
        self._context = context
        self._sent_ns = 0
        self._lost_in_a_row = 0

    def end(self) -> None:
        """No more probes; what is under way is given up."""
        if self.task is not None:
            self.task.cancel()

    async def run(self, wait_s: float) -> None:
        """Probe, until cancelled."""
        loop = asyncio.get_running_loop()
        due_s = loop.time() + wait_s
        async with self._session() as session:
            while True:
                await asyncio.sleep(due_s - loop.time())
                await self._probe(session)
                due_s = next_due_s(due_s, loop.time())

    def _session(self) -> aiohttp.ClientSession:
        trace = aiohttp.TraceConfig()
        trace.on_connection_create_end.append(self._connected)
        connector = aiohttp.TCPConnector(
            ssl=self._context, limit=1, keepalive_timeout=KEEPALIVE_S, ttl_dns_cache=60
        )
        return aiohttp.ClientSession(
            connector=connector, trace_configs=[trace], auto_decompress=False
        )

    async def _connected(self, *_: object) -> None:
        """A new connection: its making is no part of the round trip."""
        self._sent_ns = boot_ns()

    async def _probe(self, session: aiohttp.ClientSession) -> None:
        begun_ns = self._sent_ns = boot_ns()
        self.window.ask(begun_ns // 1_000_000)
        try:
            async with asyncio.timeout(LIMIT_S):
                found = await self._ask(session)
        except Exception as error:  # noqa: BLE001
            # Whatever happens on the way to one agent must end no probe of another.
            ended_ns = boot_ns()
            if ended_ns - begun_ns > (LIMIT_S + STOOD_STILL_S) * 1e9:
                return
            self._note_loss(error)
            self.window.take(Found(ended_ns // 1_000_000, is_answered=False))
            return
        self._note_answer()
        self.window.take(found)

    async def _ask(self, session: aiohttp.ClientSession) -> Found:
        async with session.get(
            self._url,
            # Who answers is proved by its certificate's name, whatever its address is.
            server_hostname=self.probe.agent,
            allow_redirects=False,
        ) as response:
            body = await response.content.read(ANSWER_AT_MOST_BYTES)
            answered_ns, wall_ms = boot_ns(), time.time_ns() // 1_000_000
        round_trip_us = (answered_ns - self._sent_ns) // 1000
        # An agent of an earlier version knows no such question: that it says so is an answer.
        ahead_ms = None
        if response.status == 200:
            with suppress(msgspec.DecodeError):
                answer = msgspec.json.decode(body, type=ProbeAnswer)
                ahead_ms = answer.wall_ms + round_trip_us // 2000 - wall_ms
        return Found(answered_ns // 1_000_000, True, round_trip_us, ahead_ms)

    def _note_loss(self, error: Exception) -> None:
        self._lost_in_a_row += 1
        if self._lost_in_a_row == SAID_AFTER:
            problem = f"no answer in {LIMIT_S} s" if isinstance(error, TimeoutError) else str(error)
            log.warning(
                "an agent does not answer probes",
                to=self.probe.agent,
                site=self.probe.site,
                url=self._url,
                problem=problem or repr(error),
            )

    def _note_answer(self) -> None:
        if self._lost_in_a_row >= SAID_AFTER:
            log.info("an agent answers probes again", to=self.probe.agent, site=self.probe.site)
        self._lost_in_a_row = 0


def next_due_s(due_s: float, now_s: float) -> float:
    """The next beat of the same second hand; beats that passed meanwhile are left out."""
    late = max(0.0, now_s - due_s)
    return due_s + EVERY_S * (int(late / EVERY_S) + 1)


def boot_ns() -> int:
    """The guard's clock in nanoseconds."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)
