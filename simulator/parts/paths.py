"""The probes of one life of an agent: who answers it in other sites, by its own clock."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from agents.core.paths import Found, PathWindow, ProbeList, take_list
from protocol.messages import Order, Path

if TYPE_CHECKING:
    from simulator.parts.agent import Process

EVERY_MS = 1000
LIMIT_MS = 800
QUESTION, ANSWER = b"probe", b"here"


class Prober:
    """Asks as the shipped one does: once a second and way, one probe at a time."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._list = ProbeList()
        self._windows: dict[str, PathWindow] = {}
        self._asked = 0
        self._open: dict[int, str] = {}
        """Whom each probe that is neither answered nor given up asks."""

    @property
    def list_name(self) -> str:
        return self._list.name

    def take(self, order: Order) -> None:
        """Follow the list of an Order, if it has one."""
        begins = not self._list.name
        self._list = take_list(self._list, order, self._process.host.now_ms())
        known = self._windows
        self._windows = {p.agent: known.get(p.agent, PathWindow()) for p in self._list.probes}
        if begins and self._list.name:
            self._process.later(self._process.kernel.between(1, EVERY_MS), self._ask_all)

    def paths(self) -> tuple[Path, ...]:
        """What was found, in the order of the list."""
        now_ms = self._process.host.now_ms()
        return tuple(window.path(agent, now_ms) for agent, window in self._windows.items())

    def _ask_all(self) -> None:
        for agent in self._windows:
            self._ask(agent)
        self._process.later(EVERY_MS, self._ask_all)

    def _ask(self, agent: str) -> None:
        host = self._process.host
        asked = host.wires.hosts.get(agent)
        self._asked += 1
        number, sent_ms = self._asked, host.now_ms()
        self._open[number] = agent
        self._windows[agent].ask(sent_ms)
        self._process.later(LIMIT_MS, partial(self._give_up, number))
        if asked is None:
            return
        network, site = host.network, host.site

        def answer(_question: bytes) -> None:
            if asked.process is not None and asked.process.awake:
                network.send(agent, site, ANSWER, hear)

        def hear(_answer: bytes) -> None:
            self._process.later(0, partial(self._heard, number, sent_ms))

        network.send(site, agent, QUESTION, answer)

    def _heard(self, number: int, sent_ms: int) -> None:
        agent = self._open.pop(number, None)
        window = self._windows.get(agent or "")
        if window is not None:
            now_ms = self._process.host.now_ms()
            window.take(Found(now_ms, True, (now_ms - sent_ms) * 1000, 0))

    def _give_up(self, number: int) -> None:
        agent = self._open.pop(number, None)
        window = self._windows.get(agent or "")
        if window is not None:
            window.take(Found(self._process.host.now_ms(), is_answered=False))
