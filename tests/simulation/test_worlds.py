"""The simulated worlds are made of what is shipped."""

from __future__ import annotations

from agents.fences import watchdog
from agents.guard import fences as guard_fences
from agents.replica import keeper
from config.leases import DEFAULT_PROFILE, PROFILES
from simulator.parts import fence, runner
from simulator.setting import LEASES, ServiceSetting, Setting
from simulator.strike import Strike
from simulator.world import World


def test_leases_are_those_of_the_shipped_profiles() -> None:
    """But for one that is tighter than any of them, and one that is just long enough for a
    watchdog. The patient one is too slow for a world."""
    assert {PROFILES["fast"], PROFILES[DEFAULT_PROFILE]} < set(LEASES.values())
    tight, watched = sorted(set(LEASES.values()) - set(PROFILES.values()), key=lambda t: t.ttl_ms)
    assert tight.ttl_ms < min(terms.ttl_ms for terms in PROFILES.values())
    assert watchdog.LEAST_TTL_MS < watched.ttl_ms < PROFILES["patient"].ttl_ms


def test_what_the_simulated_shell_waits_for_is_what_the_shipped_one_does() -> None:
    """Times of the keeper and of the watchdog, which the parts of a world repeat."""
    assert runner.CLOSE_MS == keeper.CLOSE_LIMIT_MS + keeper.ANSWER_LIMIT_MS
    assert (runner.EXTEND_MS, runner.BIND_MS) == (keeper.EXTEND_LIMIT_MS, keeper.BIND_LIMIT_MS)
    assert runner.LOOK_EVERY_MS == keeper.LOOK_EVERY_S * 1000
    assert (runner.LOOK_MS, runner.SILENT_LOOKS) == (keeper.LOOK_LIMIT_MS, keeper.SILENT_LOOKS)
    assert fence.WATCHDOG_MS == watchdog.TIMEOUT_S * 1000
    assert fence.PET_EVERY_MS == guard_fences.TICK_S * 1000


def test_what_was_posted_outlives_the_agent_and_not_its_boot() -> None:
    """As `agents.host.posts_file` has it."""
    service = ServiceSetting("app", "alpha", "bravo")
    world = World(1, Setting(("alpha", "bravo"), (service,), pairs=(("alpha", "bravo"),)))
    world.strike(Strike(5000, "post", ("alpha", "power"), 20_000))
    world.strike(Strike(6000, "kill-agent", ("alpha",), 500))
    world.strike(Strike(8000, "crash-host", ("alpha",), 500))
    world.start()
    told = []
    for moment_ms in (7500, 9500):
        world.kernel.run_until(moment_ms)
        told.append([post.kind for post in world.host("alpha").posts])
    assert told == [["power"], []]
