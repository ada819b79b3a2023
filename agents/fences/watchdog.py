"""The outermost layer: a watchdog that resets the host when an engine outlives its lease.

The guard alone pets it, and under a lease only while the reset that follows would still come
before the lease's end. So it strikes when all inside it failed: a guard that stands still, an
engine that cannot be killed. It is disarmed only when no process of the engine is left.

The device counts whole seconds from the last pet. It is opened by the first lease, not before.
A driver with nowayout is never disarmed: then it is petted for as long as the guard lives.
"""

from __future__ import annotations

import array
import contextlib
import fcntl
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from agents.fences.base import ARMED, CLOSED, OPEN, FenceError, Health, Layer, boottime_ms

TIMEOUT_S = 5
LEAST_TTL_MS = 10_000
"""Two timeouts: a renewal may be late by half a lease before the host is in danger."""
_WDIOC_SETTIMEOUT, _WDIOC_KEEPALIVE = 0xC0045706, 0x80045705
NO_DEVICE = (
    "load a driver of the host's own watchdog, or softdog (modprobe softdog), let the agent's user"
    " write to its device, and leave it to Saling alone; or say `fences: {watchdog: off}`"
)


class Device(Protocol):
    """An open watchdog, which already runs."""

    def set_timeout(self, seconds: int) -> int:
        """What the driver took, in seconds."""

    def pet(self) -> None: ...

    def disarm(self) -> bool:
        """Close it for good; False when the driver forbids that and it runs on."""


class KernelDevice:
    """The device of a driver, by its path. Raises OSError."""

    def __init__(self, path: str) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        self._nowayout = _nowayout(path)

    def set_timeout(self, seconds: int) -> int:
        number = array.array("i", [seconds])
        fcntl.ioctl(self._file, _WDIOC_SETTIMEOUT, number, True)
        return number[0]

    def pet(self) -> None:
        fcntl.ioctl(self._file, _WDIOC_KEEPALIVE, 0)

    def disarm(self) -> bool:
        if self._nowayout:
            return False
        os.write(self._file, b"V")
        os.close(self._file)
        return True


class Watchdog:
    """The watchdog of this host, for one service."""

    name = "watchdog"
    least_ttl_ms = LEAST_TTL_MS

    def __init__(
        self,
        path: str,
        opened: Callable[[str], Device] = KernelDevice,
        clock: Callable[[], int] = boottime_ms,
    ) -> None:
        self._path = path
        self._opened = opened
        self._clock = clock
        self._device: Device | None = None
        self._timeout_ms = TIMEOUT_S * 1000
        self._end_ms = 0
        self.state = CLOSED
        self.note = ""

    @property
    def identity(self) -> str:
        return self._path

    def after(self, other: Layer | None) -> Layer:
        """An open device stays with the one that opened it."""
        return other or self

    def begin(self) -> None:
        pass

    def arm(self, deadline_ms: int, end_ms: int) -> None:
        """The host may be reset at the lease's end: its own fence comes before, at the deadline."""
        self._end_ms = end_ms
        if self._device is None:
            self._begin(end_ms)
        self.state = ARMED
        self.tick()

    def open(self, alone: bool) -> None:
        if self._device is None:
            need_device(self._path)
        self.state = OPEN
        # Only the death of the engine makes it safe to take the watchdog off.
        if not alone:
            self._disarm()
        self.tick()

    def close(self) -> None:
        self.state = CLOSED

    def tick(self) -> None:
        if self._device is None or self.state == CLOSED:
            return
        if self.state == OPEN or self._clock() + self._timeout_ms <= self._end_ms:
            try:
                self._device.pet()
            except OSError as error:
                raise FenceError(f"{self._path}: {error.strerror}", NO_DEVICE) from None

    def remove(self) -> None:
        self._disarm()

    def check(self) -> Health:
        """Opens nothing: an open watchdog runs."""
        try:
            need_device(self._path)
        except FenceError as error:
            return Health(False, str(error), error.mend)
        return Health(True, f"{self._path} is there; only a lease opens it")

    def _begin(self, end_ms: int) -> None:
        if end_ms - self._clock() < TIMEOUT_S * 1000:
            text = f"less of the lease is left than the watchdog's {TIMEOUT_S} s"
            raise FenceError(text, "renew more often, or take a longer lease")
        try:
            device = self._opened(self._path)
        except OSError as error:
            text = f"{self._path} cannot be opened: {error.strerror}"
            raise FenceError(text, NO_DEVICE) from None
        self._device = device
        try:
            seconds = device.set_timeout(TIMEOUT_S)
        except OSError as error:
            self._disarm()
            raise FenceError(
                f"{self._path} takes no timeout: {error.strerror}", NO_DEVICE
            ) from None
        if seconds > TIMEOUT_S:
            self._disarm()
            text = f"{self._path} counts {seconds} s at least; leases leave it {TIMEOUT_S} s"
            raise FenceError(text, "use another driver, such as softdog")
        self._timeout_ms = seconds * 1000

    def _disarm(self) -> None:
        if self._device is None:
            return
        if self._device.disarm():
            self._device, self.note = None, ""
        else:
            self.note = "nowayout: it runs until the host restarts, and needs a guard"


def need_device(path: str) -> None:
    """Raises FenceError unless this may be a watchdog that we can open."""
    with contextlib.suppress(OSError):
        if stat.S_ISCHR(Path(path).stat().st_mode) and os.access(path, os.W_OK):
            return
    why = "may not be written to" if Path(path).exists() else "is not there"
    raise FenceError(f"the watchdog {path} {why}", NO_DEVICE)


def _nowayout(path: str) -> bool:
    """Unknown counts as nowayout: a driver that is closed and runs on would reset the host."""
    name = Path(path).resolve().name
    known = Path("/sys/class/watchdog", "watchdog0" if name == "watchdog" else name, "nowayout")
    try:
        return known.read_text().strip() != "0"
    except OSError:
        return True
