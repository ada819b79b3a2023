"""Messages between places: late, lost, doubled, out of order, and cut off one way or both."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from msgspec import Struct
from msgspec.structs import replace

from simulator.kernel import Kernel
from simulator.parts.corruption import Corruption
from simulator.parts.mailbag import Mailbag

Deliver = Callable[[bytes], None]

HUB = "hub"
"""The place of the controller and the broker."""


REPLAY_MOST_MS = 300
HELD_MOST = 2000
"""More messages than this a stalled connection does not keep."""


class Weather(Struct, frozen=True):
    """What a network does to messages when no fault is at work."""

    near_ms: int = 2
    far_ms: int = 30
    loss: float = 0.0
    doubled: float = 0.0
    late: float = 0.0
    late_most_ms: int = 4000


class Network:
    """Directed links between places. A broken link heals at its time, or with `heal`."""

    def __init__(self, kernel: Kernel, weather: Weather, ordered: bool) -> None:
        """`ordered`: what goes over the broker keeps its order, but for what is late or doubled."""
        self._kernel = kernel
        self._weather = weather
        self._storm: Weather | None = None
        self._storm_until_ms = 0
        self._cut_until_ms: dict[tuple[str, str], int] = {}
        self._broker_down_until_ms = 0
        self._ordered = ordered
        self._last_ms: dict[tuple[str, str], int] = {}
        self._broker_runs = 0
        self._stalled_until_ms: dict[tuple[str, str], int] = {}
        self._held: dict[tuple[str, str], list[Callable[[], None]]] = {}
        self._lag_ms: dict[tuple[str, str], tuple[int, int]] = {}
        self._corruption = Corruption(kernel)
        self._corrupt_until_ms: dict[tuple[str, str], int] = {}
        self._sent = Mailbag(kernel)

    def cut(self, source: str, target: str, until_ms: int) -> None:
        """Nothing gets from source to target any more."""
        known_ms = self._cut_until_ms.get((source, target), 0)
        self._cut_until_ms[source, target] = max(known_ms, until_ms)

    def stop_broker(self, until_ms: int) -> None:
        """No message between agents and the controller gets through."""
        self._broker_down_until_ms = max(self._broker_down_until_ms, until_ms)

    def restart_broker(self, until_ms: int) -> None:
        """It is away until then, and what was under way over it is lost."""
        self._broker_runs += 1
        self.stop_broker(until_ms)

    def stall(self, source: str, target: str, until_ms: int) -> None:
        """A half-open connection: nothing arrives until then, then everything at once."""
        self._stalled_until_ms[source, target] = until_ms
        self._kernel.at(until_ms, lambda: self._let_go(source, target))

    def lag(self, source: str, target: str, by_ms: int, until_ms: int) -> None:
        """The log of engines crosses a link that much later."""
        self._lag_ms[source, target] = (by_ms, until_ms)

    def corrupt(self, source: str, target: str, until_ms: int) -> None:
        """Some messages are changed or cut on their way."""
        self._corrupt_until_ms[source, target] = until_ms

    def replay(self, source: str, target: str, count: int) -> None:
        """Messages that were sent over a link once, long ago or lately, come again."""
        for raw, deliver in self._sent.some(source, target, count):
            when_ms = self._kernel.now_ms + self._kernel.between(0, REPLAY_MOST_MS)
            self._kernel.at(when_ms, partial(self._arrive, raw, deliver))

    def storm(self, weather: Weather, until_ms: int) -> None:
        """Worse weather for a while."""
        self._storm, self._storm_until_ms = weather, until_ms

    def heal(self) -> None:
        """End every fault; bad weather is one, too."""
        self._weather = replace(self._weather, loss=0.0, doubled=0.0, late=0.0)
        self._cut_until_ms.clear()
        self._broker_down_until_ms = self._storm_until_ms = 0
        self._corrupt_until_ms.clear()
        self._lag_ms.clear()
        for source, target in list(self._stalled_until_ms):
            self._stalled_until_ms[source, target] = 0
            self._let_go(source, target)

    def open(self, source: str, target: str) -> bool:
        """Whether what is sent now may arrive."""
        cut = self._cut_until_ms
        return not cut or cut.get((source, target), 0) <= self._kernel.now_ms

    def open_both_ways(self, one: str, other: str) -> bool:
        """Whether a connection between the two lives."""
        return self.open(one, other) and self.open(other, one)

    def stream_ms(self, source: str, target: str) -> int:
        """How long a piece of log is under way."""
        weather = self._weather
        under_way_ms = self._kernel.between(weather.near_ms, weather.far_ms)
        if not self._lag_ms and not self._stalled_until_ms:
            return under_way_ms
        now_ms = self._kernel.now_ms
        lag_ms, until_ms = self._lag_ms.get((source, target), (0, 0))
        stalled_ms = max(0, self._stalled_until_ms.get((source, target), 0) - now_ms)
        return under_way_ms + max(stalled_ms, lag_ms if now_ms < until_ms else 0)

    def send(self, source: str, target: str, raw: bytes, deliver: Deliver) -> None:
        """Send a message; it arrives once, twice, late or never."""
        now_ms = self._kernel.now_ms
        brokered = HUB in (source, target)
        if not self.open(source, target) or (brokered and now_ms < self._broker_down_until_ms):
            return
        self._sent.keep(source, target, raw, deliver)
        if now_ms < self._corrupt_until_ms.get((source, target), 0):
            spoiled = self._corruption.strike(raw)
            if spoiled is None:
                return
            raw = spoiled
        stormy = self._storm is not None and now_ms < self._storm_until_ms
        weather = self._storm if stormy and self._storm else self._weather
        if self._kernel.chance(weather.loss):
            return
        when_ms = now_ms + self._kernel.between(weather.near_ms, weather.far_ms)
        if brokered and self._ordered:
            when_ms = max(when_ms, self._last_ms.get((source, target), 0))
            self._last_ms[source, target] = when_ms
        late_ms = self._kernel.between(0, weather.late_most_ms)
        late = self._kernel.chance(weather.late)
        runs = self._broker_runs if brokered else -1
        arrive = partial(self._reach, (source, target), runs, raw, deliver)
        self._kernel.at(when_ms + late_ms * late, arrive)
        if self._kernel.chance(weather.doubled):
            self._kernel.at(when_ms + late_ms, arrive)

    def _reach(self, link: tuple[str, str], runs: int, raw: bytes, deliver: Deliver) -> None:
        """The end of its link; `runs` is the run of the broker that carries it, -1 without one."""
        if runs not in (-1, self._broker_runs):
            return
        if self._kernel.now_ms >= self._stalled_until_ms.get(link, 0):
            self._arrive(raw, deliver)
        elif len(self._held.setdefault(link, [])) < HELD_MOST:
            self._held[link].append(partial(self._reach, link, runs, raw, deliver))

    def _let_go(self, source: str, target: str) -> None:
        if self._kernel.now_ms < self._stalled_until_ms.get((source, target), 0):
            return
        for arrive in self._held.pop((source, target), []):
            self._kernel.at(self._kernel.now_ms, arrive)

    def _arrive(self, raw: bytes, deliver: Deliver) -> None:
        self._kernel.story.stir(self._kernel.now_ms, raw)
        deliver(raw)
