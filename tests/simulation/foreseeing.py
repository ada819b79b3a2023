"""What was foreseen of a loss, and what became of it: the same world lives through it."""

from __future__ import annotations

from random import Random

from msgspec import Struct

from controller.core.foresight.lost import Lost
from controller.core.foresight.what_if import Forecast, what_if
from controller.core.model import Phase, Protection, Record, ServiceState, Transition
from controller.core.moment.view import View
from simulator.draw import draw_setting
from simulator.ending import run_until_well
from simulator.parts.network import HUB
from simulator.parts.service import Service
from simulator.profiles import PROFILES
from simulator.strike import Strike
from simulator.watch import Watch
from simulator.world import World

LIVES_ON_MS = 45_000
CALM = PROFILES["hub"]
"""Its worlds lose no message: what is late in a storm is not foreseen."""
SETTLED = (Phase.PROTECTED, Phase.ALONE, Phase.HELD)
NOTICED_MS = {"crash-primary": 2500, "deaf": 2500, "crash-backup": 17_000, "apart": 17_000}
"""What happened just now nobody can know: until an agent, or a stream, is known to be silent."""

PRELUDES = ("nothing", "pause", "maintenance", "switchover", *NOTICED_MS)


class Came(Struct):
    """What became of one service since the loss. Times are true, in ms after it."""

    changes: list[tuple[int, Transition]]
    lost_bytes: int = 0
    wrote_from_ms: int = 0
    wrote_until_ms: int = 0


class Account(Watch):
    """Writes down what becomes of each service."""

    def __init__(self, world: World) -> None:
        self.since_ms = world.kernel.now_ms
        self.came = {service.name: Came([]) for service in world.services}

    def told(self, now_ms: int, change: Transition, old: Record, new: Record) -> None:
        self.came[new.service].changes.append((now_ms - self.since_ms, change))

    def writes(self, now_ms: int, service: str, agent: str, epoch: int, lost_bytes: int) -> None:
        self.came[service].lost_bytes += lost_bytes
        self.came[service].wrote_from_ms = now_ms - self.since_ms

    def writes_no_more(self, now_ms: int, service: str, agent: str) -> None:
        self.came[service].wrote_until_ms = now_ms - self.since_ms


class Told(Struct, frozen=True):
    """One service: before the loss, as foreseen, and as it came."""

    loss: str
    before: Record
    forecast: Forecast
    came: Came
    after: Record
    writes: bool
    """Whether its primary takes writes in the end."""
    certain: bool
    """Whether the controller could know: the backup was heard, and no change was under way."""

    @property
    def kind(self) -> str:
        """What became of it, in a word."""
        if self.forecast.held:
            return "held"
        if not self.forecast.served:
            return "unserved"
        return "moved" if self.forecast.steps else "untouched"


def loss_of(dice: Random, places: list[str]) -> Lost:
    """One thing is lost, or several at once."""
    lose: set[str] = set()
    cuts: set[frozenset[str]] = set()
    controller = False
    for _ in range(dice.choice((1, 1, 1, 2, 2, 3))):
        kind = dice.choice(("lose", "lose", "cut", "cut", "controller"))
        if kind == "lose":
            lose.add(dice.choice(places[1:]))
        elif kind == "cut":
            cuts.add(frozenset(dice.sample(places, 2)))
        else:
            controller = True
    return Lost(sorted(lose), sorted(cuts, key=sorted), controller, HUB)


def bring_about(world: World, lost: Lost) -> None:
    """For good."""
    now_ms = world.kernel.now_ms
    for site in sorted(lost.places):
        world.strike(Strike(now_ms, "crash-host", (site,)))
    for cut in sorted(sorted(ends) for ends in lost.cuts):
        world.strike(Strike(now_ms, "cut", tuple(cut)))
    if lost.controller:
        world.strike(Strike(now_ms, "crash-controller"))


def foresee_and_live(seed: int, prelude: tuple[str, ...]) -> list[Told]:
    """A world is well, something happens in it or not, then there is a loss."""
    dice = Random(f"foresight {seed}")
    setting = draw_setting(dice, CALM)
    world = World(seed, setting)
    world.start()
    run_until_well(world)
    happens(world, dice, dice.choice(prelude))
    lost = loss_of(dice, world.places)
    state, now_ms = world.controller.state, world.controller.now_ms()
    assert state is not None
    foreseen = what_if(state, lost, list(state.services), now_ms)
    before = dict(world.controller.store.records)
    certain = {uid: _certain(one, now_ms) for uid, one in state.services.items()}
    account = Account(world)
    world.watch.add(account)
    bring_about(world, lost)
    world.kernel.run_until(world.kernel.now_ms + LIVES_ON_MS)
    return [
        _told(world, str(lost), before[service.uid], one, account, certain[service.uid])
        for service, one in zip(world.services, foreseen, strict=True)
    ]


def happens(world: World, dice: Random, what: str) -> None:
    """Before the loss: an operator asks for something, or a host or an engine is lost."""
    service = dice.choice(world.services)
    record = world.controller.store.records[service.uid]
    now_ms = world.kernel.now_ms
    struck = {
        "crash-primary": ("crash-host", (record.primary,)),
        "crash-backup": ("crash-host", (record.backup,)),
        "deaf": ("cut", (record.primary, HUB)),
        "apart": ("cut", (record.primary, record.backup)),
        "switchover": ("switchover", (service.name,)),
        "pause": ("pause", (service.name,)),
    }.get(what)
    if struck is not None:
        world.strike(Strike(now_ms, *struck))
    if what == "maintenance":
        world.strike(Strike(now_ms, "maintenance-begin", (service.name,), 3_600_000))
    world.kernel.run_until(
        now_ms + NOTICED_MS.get(what, 0) + dice.randint(0, dice.choice((300, 2500, 9000)))
    )


def _certain(service: ServiceState, now_ms: int) -> bool:
    record, seen = service.record, service.reports
    heard = View(service, now_ms).unheard_ms(record.backup) <= 1000
    taken = seen[record.primary].report.revision == record.revision
    return heard and taken and record.phase in SETTLED


def _told(
    world: World, loss: str, before: Record, one: Forecast, account: Account, certain: bool
) -> Told:
    service: Service = world.service(before.service)
    after = world.controller.store.records[before.service_uid]
    engine = service.engines[after.primary]
    waits = engine.sync_with and world.kernel.now_ms - engine.confirmed_ms > 5000
    return Told(
        loss, before, one, account.came[before.service], after,
        engine.writable and engine.well and not waits, certain,
    )  # fmt: skip


def wrong(told: Told) -> list[str]:
    """In what the forecast was not true.

    Of what could not be known for certain it may only be darker. Where nobody serves in the end,
    what was about to be decided at the moment of the loss may have come before it or not.
    """
    one, after = told.forecast, told.after
    found = _figures(told)
    if not told.certain:
        # Whether commits of a bound service wait hangs on the engines' own link, unknown here.
        if one.served and not told.writes and not told.before.blocks:
            found.append(f"foreseen served, came {after.phase.value}: {after.because}")
        return found
    foreseen = [(s.change.from_phase, s.change.to_phase) for s in one.steps]
    seen = [(c.from_phase, c.to_phase) for _, c in told.came.changes]
    unserved = not one.served and not told.writes and not one.held
    if unserved and (one.epoch, one.primary) == (after.epoch, after.primary):
        return found
    if foreseen != seen:
        found.append(f"foreseen {foreseen}, came {seen}")
    end = (one.phase, one.epoch, one.primary, one.served)
    ended = (after.phase.value, after.epoch, after.primary, told.writes)
    if end != ended:
        found.append(f"foreseen end {end}, came {ended}")
    return found


def _figures(told: Told) -> list[str]:
    """Which bound was not kept."""
    one, came, found = told.forecast, told.came, []
    for step, (at_ms, change) in zip(one.steps, came.changes, strict=False):
        same = step.change.to_phase == change.to_phase
        if not same:
            break
        if at_ms > step.within_ms:
            found.append(f"{change.to_phase} came after {at_ms} ms, not {step.within_ms}")
    if one.loss_bytes is not None and came.lost_bytes > one.loss_bytes:
        found.append(f"lost {came.lost_bytes} bytes, foreseen {one.loss_bytes}")
    if one.served and one.epoch == told.after.epoch and came.wrote_from_ms > one.outage_ms:
        found.append(f"wrote again after {came.wrote_from_ms} ms, foreseen {one.outage_ms}")
    waits = told.before.protection is Protection.SYNC
    if not one.served and not waits and came.wrote_until_ms > one.writes_end_ms:
        found.append(f"wrote until {came.wrote_until_ms} ms, foreseen {one.writes_end_ms}")
    return found
