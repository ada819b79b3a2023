"""Messages between places: late, lost, doubled, out of order, and cut off one way or both."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from msgspec import Struct
from msgspec.structs import replace

from simulator.kernel import Kernel

Deliver = Callable[[bytes], None]

HUB = "hub"
"""The place of the controller and the broker."""


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

    def cut(self, source: str, target: str, until_ms: int) -> None:
        """Nothing gets from source to target any more."""
        known_ms = self._cut_until_ms.get((source, target), 0)
        self._cut_until_ms[source, target] = max(known_ms, until_ms)

    def stop_broker(self, until_ms: int) -> None:
        """No message between agents and the controller gets through."""
        self._broker_down_until_ms = max(self._broker_down_until_ms, until_ms)

    def storm(self, weather: Weather, until_ms: int) -> None:
        """Worse weather for a while."""
        self._storm, self._storm_until_ms = weather, until_ms

    def heal(self) -> None:
        """End every fault; bad weather is one, too."""
        self._weather = replace(self._weather, loss=0.0, doubled=0.0, late=0.0)
        self._cut_until_ms.clear()
        self._broker_down_until_ms = self._storm_until_ms = 0

    def open(self, source: str, target: str) -> bool:
        """Whether what is sent now may arrive."""
        return self._cut_until_ms.get((source, target), 0) <= self._kernel.now_ms

    def open_both_ways(self, one: str, other: str) -> bool:
        """Whether a connection between the two lives."""
        return self.open(one, other) and self.open(other, one)

    def delay_ms(self) -> int:
        """How long a packet is under way."""
        weather = self._weather
        return self._kernel.between(weather.near_ms, weather.far_ms)

    def send(self, source: str, target: str, raw: bytes, deliver: Deliver) -> None:
        """Send a message; it arrives once, twice, late or never."""
        now_ms = self._kernel.now_ms
        brokered = HUB in (source, target)
        if not self.open(source, target) or (brokered and now_ms < self._broker_down_until_ms):
            return
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
        arrive = partial(self._arrive, raw, deliver)
        self._kernel.at(when_ms + late_ms * late, arrive)
        if self._kernel.chance(weather.doubled):
            self._kernel.at(when_ms + late_ms, arrive)

    def _arrive(self, raw: bytes, deliver: Deliver) -> None:
        self._kernel.story.stir(self._kernel.now_ms, raw)
        deliver(raw)
