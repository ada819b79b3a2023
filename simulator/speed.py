"""How much simulated time goes by in a second of one core, in a world of four sites."""

from __future__ import annotations

import time
from random import Random

from simulator.fate import Fate
from simulator.profiles import PROFILES
from simulator.setting import ServiceSetting, Setting
from simulator.watch import Broken
from simulator.world import World

SITES = ("alpha", "bravo", "charlie", "delta")
SERVICES = 8
SECONDS = 60
NIGHTS = 5


def tell_speed() -> int:
    """Without a fault, and in a few nights of every fault; simulated seconds a second and core."""
    calm, *nights = [_measure(seed, bad=seed > 0) for seed in range(NIGHTS + 1)]
    print(f"{len(SITES)} sites, {SERVICES} services, simulated seconds a second and core")
    print(f"no fault: {calm:.0f}; everything: {', '.join(f'{night:.0f}' for night in nights)}")
    return 0


def _setting() -> Setting:
    """Each site backs up its neighbour, both ways."""
    pairs = [(SITES[n % 4], SITES[(n % 4) ^ 1]) for n in range(SERVICES)]
    services = tuple(ServiceSetting(f"s{n + 1}", *pair) for n, pair in enumerate(pairs))
    return Setting(SITES, services)


def _measure(seed: int, *, bad: bool) -> float:
    world = World(seed, _setting())
    end_ms = world.begin_ms + SECONDS * 1000
    if bad:
        world.watch.add(Fate(world, PROFILES["everything"], Random(f"speed {seed}"), end_ms))
    world.start()
    world.kernel.run_until(world.begin_ms)
    begun_s = time.process_time()
    try:
        world.kernel.run_until(end_ms)
    except Broken as error:
        print(f"seed {seed}: {error}")
    return (world.kernel.now_ms - world.begin_ms) / 1000 / (time.process_time() - begun_s)
