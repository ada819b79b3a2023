"""What a host's faults mean: a frozen one takes no write, a boot has a name of its own."""

from __future__ import annotations

import pytest

from controller.core.model import Phase
from simulator.clock import RATE_MOST_PPM, Clock
from simulator.engine import Engine
from simulator.setting import ServiceSetting, Setting
from simulator.strike import Strike
from simulator.world import World

TTL_MS = 10_000


@pytest.fixture
def world() -> World:
    """One protected service, alpha its primary."""
    service = ServiceSetting("s1", primary="alpha", backup="bravo", lease="fast")
    world = World(1, Setting(("alpha", "bravo"), (service,)))
    world.start()
    world.kernel.run_until(20_000)
    assert world.controller.store.records["uid-s1"].phase is Phase.PROTECTED
    return world


def engine(world: World, site: str) -> Engine:
    return world.service("s1").engines[site]


def test_frozen_primary_takes_no_write_and_goes_on_within_its_lease(world: World) -> None:
    """Its log does not grow meanwhile."""
    world.strike(Strike(world.kernel.now_ms, "freeze-host", ("alpha",), for_ms=300))
    frozen_at = engine(world, "alpha").position
    world.kernel.run_until(world.kernel.now_ms + 299)
    assert engine(world, "alpha").position == frozen_at
    world.kernel.run_until(world.kernel.now_ms + 1000)
    assert engine(world, "alpha").position > frozen_at
    assert not engine(world, "bravo").writable


def test_primary_that_slept_through_its_lease_never_takes_a_write_again(world: World) -> None:
    """The checkers look at the very moment of the thaw."""
    world.strike(Strike(world.kernel.now_ms, "freeze-host", ("alpha",), for_ms=3 * TTL_MS))
    frozen_at = engine(world, "alpha").position
    world.kernel.run_until(world.kernel.now_ms + 3 * TTL_MS - 1)
    assert engine(world, "bravo").writable
    world.kernel.run_until(world.kernel.now_ms + 1)
    assert not engine(world, "alpha").writable
    assert engine(world, "alpha").position == frozen_at


def test_every_boot_has_a_name_of_its_own(world: World) -> None:
    """A life of the agent that begins on the same boot has not."""
    host, names = world.host("alpha"), []
    for end in (host.kill_agent, host.crash, host.crash):
        assert host.process is not None
        names.append(host.process.boot_id)
        end()
        host.boot()
        host.start_agent()
    assert names[0] == names[1] != names[2]


def test_clock_that_drifts_does_not_jump() -> None:
    """And shows no moment sooner than any drift within the bound allows."""
    clock = Clock(-RATE_MOST_PPM, 0, 0)
    due_ms = clock.read_ms(10_000) + 1000
    soonest_ms = clock.soonest_ms(due_ms, 10_000)
    before_ms = clock.read_ms(10_000)
    clock.set_rate(RATE_MOST_PPM, 10_000)
    assert clock.read_ms(10_000) == before_ms
    assert clock.true_ms(due_ms) - soonest_ms in (0, 1)
