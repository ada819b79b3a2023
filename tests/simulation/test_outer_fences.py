"""The simulated fences outside of a guard count by the kernel, and stand still only with it."""

from __future__ import annotations

import pytest

from simulator.kernel import Kernel
from simulator.parts.fence import PET_EVERY_MS, WATCHDOG_MS, Door, Timer, Watchdog


def test_a_timer_is_late_by_as_long_as_its_kernel_stood_still() -> None:
    kernel, due = Kernel(1, keep_story=False), []
    timer = Timer(kernel, lambda: due.append(kernel.now_ms))
    timer.set(1000)
    kernel.run_until(400)
    timer.stand_still()
    kernel.run_until(5000)
    assert not due
    timer.go_on()
    kernel.run_until(9000)
    assert due == [5600]


def test_only_the_last_moment_that_was_set_counts() -> None:
    kernel, due = Kernel(1, keep_story=False), []
    timer = Timer(kernel, lambda: due.append(kernel.now_ms))
    timer.set(1000)
    timer.set(2000)
    kernel.run_until(3000)
    assert due == [2000]
    timer.set(4000)
    timer.clear()
    kernel.run_until(5000)
    assert due == [2000]


def test_a_door_shuts_at_its_time_and_is_opened_by_the_next_lease_or_for_good() -> None:
    kernel, shut = Kernel(1, keep_story=False), []
    door = Door(kernel, lambda now: shut.append((kernel.now_ms, now)))
    door.arm(1000)
    kernel.run_until(500)
    door.arm(1500)
    kernel.run_until(2000)
    assert shut == [(1500, True)]
    door.arm(1900)
    assert shut == [(1500, True)], "an end that is past opens nothing"
    door.arm(3000)
    door.open()
    kernel.run_until(5000)
    assert shut == [(1500, True), (2000, False)]


@pytest.mark.parametrize("stops_ms", [100, 4000, 8000, 11_900])
def test_a_watchdog_resets_before_the_lease_ends_whenever_its_guard_stops(stops_ms: int) -> None:
    kernel, reset = Kernel(1, keep_story=False), []
    dog = Watchdog(kernel, lambda: reset.append(kernel.now_ms))
    assert dog.arm(12_000)
    kernel.run_until(stops_ms)
    dog.leave()
    kernel.run_until(30_000)
    assert reset == [min(stops_ms - PET_EVERY_MS + WATCHDOG_MS, 12_000)]


def test_a_watchdog_does_not_begin_under_a_lease_that_is_too_short_for_it() -> None:
    kernel, reset = Kernel(1, keep_story=False), []
    dog = Watchdog(kernel, lambda: reset.append(kernel.now_ms))
    assert not dog.arm(WATCHDOG_MS - 1)
    dog.leave()
    kernel.run_until(30_000)
    assert not dog.runs
    assert not reset


def test_a_watchdog_that_is_petted_without_an_end_waits_for_its_guard_alone() -> None:
    kernel, reset = Kernel(1, keep_story=False), []
    dog = Watchdog(kernel, lambda: reset.append(kernel.now_ms))
    dog.arm(12_000)
    dog.ease()
    kernel.run_until(20_000)
    assert not reset
    dog.leave()
    dog.pet()
    kernel.run_until(40_000)
    assert not reset
    dog.leave()
    kernel.run_until(60_000)
    assert reset == [40_000 - PET_EVERY_MS + WATCHDOG_MS]
