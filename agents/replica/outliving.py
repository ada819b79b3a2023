"""For how long an engine has outlived its kill, and how that is told."""

from __future__ import annotations

import time

import structlog

STUCK_AFTER_S = 1.0
"""A kill that takes longer waits for the kernel."""

log = structlog.get_logger("guard")


class Ending:
    """`with ending:` while an engine is being ended; may be entered anew within itself."""

    def __init__(self, service: str) -> None:
        self._service = service
        self._depth = 0
        self._since_s = 0.0
        self._told = False

    def __enter__(self) -> None:
        if not self._depth:
            self._since_s, self._told = time.monotonic(), False
        self._depth += 1

    def __exit__(self, *_: object) -> None:
        self._depth -= 1

    @property
    def stuck(self) -> str:
        """That it outlives its kill; empty when it does not."""
        lasts_s = time.monotonic() - self._since_s
        if not self._depth or lasts_s < STUCK_AFTER_S:
            return ""
        return (
            f"its engine cannot be ended yet: killed {lasts_s:.0f} s ago, its processes hang in "
            "the kernel, as they do while a disk does not answer; they do nothing more, and are "
            "gone when it answers or the host is started anew"
        )

    def tell(self) -> None:
        """Once in the log, if so."""
        if self.stuck and not self._told:
            self._told = True
            log.error("the engine outlives its kill", service=self._service, because=self.stuck)
