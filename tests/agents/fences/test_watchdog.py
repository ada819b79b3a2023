"""The watchdog on a stand-in: what resets the host, and what never does."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from agents.fences.base import FenceError
from agents.fences.watchdog import LEAST_TTL_MS, TIMEOUT_S, KernelDevice, Watchdog

W_MS = TIMEOUT_S * 1000


class Device:
    """Counts down in the clock's time, and remembers when it would have reset the host."""

    def __init__(self, host: Host) -> None:
        host.device = self
        self._host = host
        self.timeout_ms = 60_000
        self.petted_ms = host.now_ms
        self.closed = False

    def set_timeout(self, seconds: int) -> int:
        taken = max(seconds, self._host.least_s)
        self.timeout_ms = taken * 1000
        return taken

    def pet(self) -> None:
        self.petted_ms = self._host.now_ms

    def disarm(self) -> bool:
        self.closed = not self._host.nowayout
        return self.closed

    @property
    def strikes_ms(self) -> int:
        return self.petted_ms + self.timeout_ms


class Host:
    """A clock, and the watchdog that was opened on it."""

    def __init__(self, least_s: int = 1, nowayout: bool = False) -> None:
        self.now_ms = 100_000
        self.least_s, self.nowayout = least_s, nowayout
        self.device: Device | None = None
        self.dog = Watchdog("/dev/null", lambda _: Device(self), lambda: self.now_ms)

    @property
    def open(self) -> Device:
        assert self.device
        return self.device

    def pass_ms(self, span_ms: int) -> None:
        for _ in range(span_ms // 100):
            self.now_ms += 100
            self.dog.tick()


def test_nothing_is_opened_before_the_first_lease() -> None:
    host = Host()
    host.dog.open(alone=False)
    host.dog.open(alone=True)
    host.dog.check()
    assert host.device is None


def test_the_host_is_reset_by_the_lease_s_end_and_not_much_sooner() -> None:
    host = Host()
    end_ms = host.now_ms + 9900
    host.dog.arm(end_ms - 500, end_ms)
    host.pass_ms(20_000)
    assert end_ms - 100 <= host.open.strikes_ms <= end_ms


def test_a_renewal_puts_the_reset_off_and_a_lesser_one_brings_it_nearer() -> None:
    host = Host()
    host.dog.arm(host.now_ms + 9400, host.now_ms + 9900)
    host.pass_ms(8000)
    end_ms = host.now_ms + 9900
    host.dog.arm(end_ms - 500, end_ms)
    host.pass_ms(1000)
    assert host.open.strikes_ms > host.now_ms
    host.dog.arm(end_ms - 2500, end_ms - 2000)
    host.pass_ms(10_000)
    assert host.open.strikes_ms <= end_ms - 2000


def test_a_fence_that_is_over_in_time_disarms_it_and_one_that_is_not_resets_the_host() -> None:
    host = Host()
    end_ms = host.now_ms + 9900
    host.dog.arm(end_ms - 500, end_ms)
    host.pass_ms(9400)
    host.dog.close()
    host.pass_ms(50)
    host.dog.open(alone=False)
    assert host.open.closed
    host.dog.arm(host.now_ms + 9400, host.now_ms + 9900)
    host.dog.close()
    host.pass_ms(20_000)
    assert not host.open.closed
    assert host.open.strikes_ms < host.now_ms


def test_a_primary_that_stands_alone_is_petted_and_not_disarmed() -> None:
    host = Host()
    host.dog.arm(host.now_ms + 9400, host.now_ms + 9900)
    host.dog.open(alone=True)
    host.pass_ms(60_000)
    assert not host.open.closed
    assert host.open.strikes_ms > host.now_ms
    host.dog.open(alone=False)
    assert host.open.closed


def test_a_driver_that_is_never_disarmed_is_petted_on_while_nothing_writes() -> None:
    host = Host(nowayout=True)
    host.dog.arm(host.now_ms + 9400, host.now_ms + 9900)
    host.dog.open(alone=False)
    assert "nowayout" in host.dog.note
    host.pass_ms(60_000)
    assert host.open.strikes_ms > host.now_ms


def test_what_is_too_short_or_too_slow_is_refused() -> None:
    host = Host()
    with pytest.raises(FenceError, match="is left than the watchdog's"):
        host.dog.arm(host.now_ms + 1000, host.now_ms + W_MS - 1)
    assert host.device is None
    slow = Host(least_s=30)
    with pytest.raises(FenceError, match="counts 30 s at least"):
        slow.dog.arm(slow.now_ms + 9400, slow.now_ms + 9900)
    assert slow.open.closed
    assert LEAST_TTL_MS >= 2 * W_MS


def test_a_device_that_is_not_there_says_what_to_do() -> None:
    with pytest.raises(FenceError, match="is not there") as caught:
        Watchdog("/dev/saling-none").open(alone=False)
    assert "modprobe softdog" in caught.value.mend
    health = Watchdog("/dev/saling-none").check()
    assert not health.holds


@pytest.mark.skipif(
    not Path("/dev/watchdog").exists() or os.environ.get("SALING_WATCHDOG") != "softdog",
    reason="no /dev/watchdog (this kernel may have no softdog), or SALING_WATCHDOG=softdog does "
    "not say that the host's own may be opened",
)
def test_the_kernel_s_own_takes_a_timeout_and_is_disarmed() -> None:
    device = KernelDevice("/dev/watchdog")
    assert device.set_timeout(TIMEOUT_S) == TIMEOUT_S
    device.pet()
    assert device.disarm()
