"""The innermost layer: the guard's own loop, which kills the engine at the deadline.

It always stands. This file makes the guard hard to delay, and says how hard.
"""

from __future__ import annotations

import contextlib
import ctypes
import os

from agents.fences.base import ARMED, CLOSED, OPEN, Health, Layer

_MCL_CURRENT, _MCL_FUTURE = 1, 2
MEND = "LimitMEMLOCK=infinity and, for real time, LimitRTPRIO=1 in the agent's unit"


class Process:
    """The account of what the loop does: it is told everything and needs to be told nothing."""

    name = "process"
    least_ttl_ms = 0

    def __init__(self, locked_memory: bool, realtime: bool) -> None:
        self.locked_memory = locked_memory
        self.realtime = realtime
        lacks = [
            text
            for has, text in ((locked_memory, "not locked in memory"), (realtime, "no real time"))
            if not has
        ]
        self.note = ", ".join(lacks)
        self.state = OPEN

    @property
    def identity(self) -> str:
        return self.name

    def after(self, other: Layer | None) -> Layer:
        return self

    def begin(self) -> None:
        pass

    def arm(self, deadline_ms: int, end_ms: int) -> None:
        self.state = ARMED

    def open(self, alone: bool) -> None:
        self.state = OPEN

    def close(self) -> None:
        self.state = CLOSED

    def tick(self) -> None:
        pass

    def remove(self) -> None:
        pass

    def check(self) -> Health:
        if not self.note:
            return Health(True, "the guard is locked in memory and runs in real time")
        return Health(True, f"the guard is {self.note}: on a busy host a fence may be late", MEND)


def be_hard_to_delay() -> Process:
    """Stay in memory and come first, where allowed. Children inherit neither."""
    libc = ctypes.CDLL(None, use_errno=True)
    # A locked future under a limit would turn the next allocation into a crash: for root only.
    locks = _MCL_CURRENT | (0 if os.geteuid() else _MCL_FUTURE)
    return Process(libc.mlockall(locks) == 0, come_first())


def come_first() -> bool:
    """Real time for the calling thread; whether that was allowed."""
    with contextlib.suppress(OSError):
        policy = os.SCHED_RR | os.SCHED_RESET_ON_FORK
        os.sched_setscheduler(0, policy, os.sched_param(1))
        return True
    return False
