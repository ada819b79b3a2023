"""Messages between places: late, lost, doubled, damaged, out of order, held up, or told again."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial

from msgspec import Struct
from msgspec.structs import replace

from simulator.kernel import Kernel

Deliver = Callable[[bytes], None]
Link = tuple[str, str]
Told = tuple[bytes, Deliver]

REMEMBERED = 64
OLD_EVERY = 16
HELD_MOST = 1000
"""What waits on a half-open connection beyond this is lost."""
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
        self._cut_until_ms: dict[Link, int] = {}
        self._broker_down_until_ms = 0
        self._broker_life = 0
        self._ordered = ordered
        self._last_ms: dict[Link, int] = {}
        self._stalled: dict[Link, deque[Told]] = {}
        """What arrived on links on which nothing arrives now."""
        self._corrupt_until_ms: dict[Link, int] = {}
        self._memories: dict[Link, Memory] = {}

    def cut(self, source: str, target: str, until_ms: int) -> None:
        """Nothing gets from source to target any more."""
        known_ms = self._cut_until_ms.get((source, target), 0)
        self._cut_until_ms[source, target] = max(known_ms, until_ms)

    def stop_broker(self, until_ms: int) -> None:
        """No message between agents and the controller gets through."""
        self._broker_down_until_ms = max(self._broker_down_until_ms, until_ms)

    def restart_broker(self, until_ms: int) -> None:
        """The same, and what is under way to or from the broker is lost."""
        self._broker_life += 1
        self.stop_broker(until_ms)

    def stall(self, source: str, target: str, until_ms: int) -> None:
        """A half-open connection: for a while nothing arrives, then everything at once."""
        self._stalled.setdefault((source, target), deque(maxlen=HELD_MOST))
        self._kernel.at(until_ms, lambda: self._release((source, target)))

    def corrupt(self, source: str, target: str, until_ms: int) -> None:
        """What is sent there comes damaged."""
        self._corrupt_until_ms[source, target] = until_ms

    def replay(self, source: str, target: str, back: int) -> None:
        """One of the earlier messages comes again: the one so far back, or the oldest known."""
        memory = self._memories.get((source, target))
        told = memory.recall(back) if memory else None
        if told and self.open(source, target):
            self._kernel.after(self.delay_ms(), lambda: self._arrive((source, target), -1, *told))

    def storm(self, weather: Weather, until_ms: int) -> None:
        """Worse weather for a while."""
        self._storm, self._storm_until_ms = weather, until_ms

    def heal(self) -> None:
        """End every fault; bad weather is one, too."""
        self._weather = replace(self._weather, loss=0.0, doubled=0.0, late=0.0)
        self._cut_until_ms.clear()
        self._corrupt_until_ms.clear()
        self._broker_down_until_ms = self._storm_until_ms = 0
        for link in list(self._stalled):
            self._release(link)

    def open(self, source: str, target: str) -> bool:
        """Whether what is sent now may arrive."""
        return self._cut_until_ms.get((source, target), 0) <= self._kernel.now_ms

    def open_both_ways(self, one: str, other: str) -> bool:
        """Whether a connection between the two lives."""
        return self.open(one, other) and self.open(other, one)

    def flows(self, source: str, target: str) -> bool:
        """Whether the stream of a log gets there now."""
        return self.open_both_ways(source, target) and (source, target) not in self._stalled

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
        link, life = (source, target), self._broker_life if brokered else -1
        self._memories.setdefault(link, Memory()).keep(raw, deliver)
        if now_ms < self._corrupt_until_ms.get(link, 0):
            raw = damage(raw, self._kernel.between(0, 1 << 30))
        stormy = self._storm is not None and now_ms < self._storm_until_ms
        weather = self._storm if stormy and self._storm else self._weather
        if self._kernel.chance(weather.loss):
            return
        when_ms = now_ms + self._kernel.between(weather.near_ms, weather.far_ms)
        if brokered and self._ordered:
            when_ms = max(when_ms, self._last_ms.get(link, 0))
            self._last_ms[link] = when_ms
        late_ms = self._kernel.between(0, weather.late_most_ms)
        late = self._kernel.chance(weather.late)
        arrive = partial(self._arrive, link, life, raw, deliver)
        self._kernel.at(when_ms + late_ms * late, arrive)
        if self._kernel.chance(weather.doubled):
            self._kernel.at(when_ms + late_ms, arrive)

    def _arrive(self, link: Link, life: int, raw: bytes, deliver: Deliver) -> None:
        """`life`: the broker's, when it was sent; -1 for what cannot be lost with it."""
        if life not in (-1, self._broker_life):
            return
        if self._stalled and link in self._stalled:
            self._stalled[link].append((raw, deliver))
            return
        self._kernel.story.stir(self._kernel.now_ms, raw)
        deliver(raw)

    def _release(self, link: Link) -> None:
        for raw, deliver in self._stalled.pop(link, ()):
            self._arrive(link, -1, raw, deliver)


class Memory:
    """Some messages of one link: the latest, and now and then one of long ago."""

    def __init__(self) -> None:
        self._count = 0
        self._old: deque[Told] = deque(maxlen=REMEMBERED)
        self._new: deque[Told] = deque(maxlen=OLD_EVERY)

    def keep(self, raw: bytes, deliver: Deliver) -> None:
        """Remember one more."""
        if self._count % OLD_EVERY == 0 and self._new:
            self._old.append(self._new[0])
        self._count += 1
        self._new.append((raw, deliver))

    def recall(self, back: int) -> Told | None:
        """The one so far back among those that are remembered, or the oldest; None if none is."""
        known = [*self._old, *self._new]
        return known[-1 - min(back, len(known) - 1)] if known else None


def damage(raw: bytes, dice: int) -> bytes:
    """A message cut short, or with one byte that no text has. `dice`: any whole number.

    A change that leaves a message readable is not made here: signatures and TLS are there for it.
    """
    place = dice // 2 % len(raw)
    if dice % 2:
        return raw[:place]
    return raw[:place] + bytes((raw[place] | 0x80,)) + raw[place + 1 :]
