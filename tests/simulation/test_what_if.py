"""What is foreseen is what happens in a simulated world, and no later than foreseen."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from controller.core.lost import Lost
from controller.core.model import Phase, Protection, Record
from controller.core.what_if import Forecast, what_if
from simulator.parts.network import HUB
from simulator.setting import ServiceSetting, Setting
from simulator.strike import Strike
from simulator.watch import Watch
from simulator.world import World

FIRST, SECOND = "jabodetabek", "batam"
SETTLED_MS = 20_000
FAST_AND_SLOW = (9_000, -9_000, -9_000)
"""Parts in a million; the rules bear ten thousand each way."""
LOSSES: dict[str, tuple[Lost, tuple[Strike, ...]]] = {
    "the primary's site": (Lost({FIRST}), (Strike(0, "crash-host", (FIRST,)),)),
    "the backup's site": (Lost({SECOND}), (Strike(0, "crash-host", (SECOND,)),)),
    "both sites": (
        Lost({FIRST, SECOND}),
        (Strike(0, "crash-host", (FIRST,)), Strike(0, "crash-host", (SECOND,))),
    ),
    "the link between the two": (
        Lost((), [frozenset((FIRST, SECOND))]),
        (Strike(0, "cut", (FIRST, SECOND)),),
    ),
    "the primary's link to the controller": (
        Lost((), [frozenset((FIRST, HUB))], controller_place=HUB),
        (Strike(0, "cut", (FIRST, HUB)),),
    ),
    "both links of the primary": (
        Lost((), [frozenset((FIRST, HUB)), frozenset((FIRST, SECOND))], controller_place=HUB),
        (Strike(0, "cut", (FIRST, HUB)), Strike(0, "cut", (FIRST, SECOND))),
    ),
}


@dataclass
class Changes(Watch):
    """Every change of the record, and every engine that became writable, with its true time."""

    seen: list[tuple[int, str, str]] = field(default_factory=list)
    wrote: list[tuple[int, str, int]] = field(default_factory=list)

    def swapped(self, now_ms: int, old: Record | None, new: Record) -> None:
        self.seen.append((now_ms, new.phase.value, new.primary))

    def writes(self, now_ms: int, service: str, agent: str, epoch: int, lost_bytes: int) -> None:
        self.wrote.append((now_ms, agent, lost_bytes))


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize(
    ("lease", "protection", "seed"),
    [
        ("tight", Protection.ASYNC, 1),
        ("fast", Protection.ASYNC, 2),
        ("standard", Protection.ASYNC, 3),
        ("fast", Protection.SYNC, 4),
    ],
)
def test_what_is_foreseen_happens_and_no_later(
    loss: str, lease: str, protection: Protection, seed: int
) -> None:
    lost, strikes = LOSSES[loss]
    world, changes = protected(seed, ServiceSetting("paspor", FIRST, SECOND, lease, protection))
    lost_ms, told = world.kernel.now_ms, foreseen(world, lost)
    for strike in strikes:
        world.strike(strike)
    last_ms = told.steps[-1].within_ms if told.steps else 0
    world.kernel.run_until(lost_ms + last_ms + SETTLED_MS)
    assert [phase for _, phase, _ in changes.seen] == [s.change.to_phase for s in told.steps]
    for (came_ms, phase, _primary), foretold in zip(changes.seen, told.steps, strict=True):
        assert came_ms - lost_ms <= foretold.within_ms, phase
    assert changes.seen == [] or changes.seen[-1][2] == told.primary
    for wrote_ms, agent, lost_bytes in changes.wrote:
        assert agent == told.primary
        assert wrote_ms - lost_ms <= told.outage_ms
        assert told.loss_bytes is not None
        assert lost_bytes <= told.loss_bytes


def protected(seed: int, service: ServiceSetting) -> tuple[World, Changes]:
    """A world in which the service is protected, at a moment that the seed chooses."""
    world = World(seed, Setting((FIRST, SECOND), (service,), rates_ppm=FAST_AND_SLOW))
    world.start()
    world.kernel.run_until(SETTLED_MS + 37 * seed)
    assert world.controller.state is not None
    (state,) = world.controller.state.services.values()
    assert state.record.phase is Phase.PROTECTED
    changes = Changes()
    world.watch.add(changes)
    return world, changes


def foreseen(world: World, lost: Lost) -> Forecast:
    state = world.controller.state
    assert state is not None
    (told,) = what_if(state, lost, list(state.services), world.controller.now_ms())
    return told
