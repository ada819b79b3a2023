"""What an agent's shell does for a local veto: all replicas of the host or none, and durably."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agents.core import events as ev

if TYPE_CHECKING:
    from simulator.parts.agent import Process

LOOK_MS = 20
LOOKS_MOST = 50
COUNT_EVERY_MS = 500
TEXT = "an operator of the host: a test"


class VetoKeeper:
    """In one life of the agent; what is left of a veto is on the host's disk."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._host = process.host
        self._asked = 0
        self.end_ms = self._host.now_ms() + self._host.veto_left_ms
        """By the host's clock; not later than now without a veto."""
        if self._host.veto_left_ms:
            process.later(COUNT_EVERY_MS, self._count)

    def ask(self, lasts_ms: int) -> None:
        """An operator forbids that the role changes."""
        self._asked += 1
        name, end_ms = f"{self._process.life}.{self._asked}", self._host.now_ms() + lasts_ms
        self._feed(ev.VetoAsked(name, TEXT, end_ms))
        self._process.later(LOOK_MS, lambda: self._settle(name, end_ms, LOOKS_MOST))

    def release(self) -> None:
        """He takes it back."""
        self._host.veto_left_ms = 0
        self.end_ms = self._host.now_ms()
        self._host.watch.vetoed(self._host.kernel.now_ms, self._host.site, 0)
        self._feed(ev.VetoEnded())

    def _feed(self, event: ev.Event) -> None:
        for runner in self._process.runners.values():
            runner.feed(event)

    def _settle(self, name: str, end_ms: int, looks: int) -> None:
        """It is taken when every replica has taken it; then it is written, then told."""
        replicas = [runner.settled for runner in self._process.runners.values()]
        if any(one.veto_asked != name for one in replicas) and looks:
            self._process.later(LOOK_MS, lambda: self._settle(name, end_ms, looks - 1))
            return
        host, kernel = self._host, self._host.kernel
        refusals = [one.veto_refusal for one in replicas if one.veto_refusal]
        if refusals or any(one.veto_asked != name or not one.veto for one in replicas):
            kernel.tell(host.site, f"the veto is not taken: {'; '.join(refusals) or 'no answer'}")
            old = host.veto_left_ms > 0
            self._feed(ev.VetoPutBack(TEXT, self.end_ms) if old else ev.VetoEnded())
            return
        self.end_ms = end_ms
        if not host.veto_left_ms:
            self._process.later(COUNT_EVERY_MS, self._count)
        host.veto_left_ms = left_ms = max(0, end_ms - host.now_ms())
        kernel.tell(host.site, f"an operator forbids to change the role, for {left_ms / 1000} s")
        host.watch.vetoed(kernel.now_ms, host.site, kernel.now_ms + left_ms * 98 // 100)

    def _count(self) -> None:
        host = self._host
        if not host.veto_left_ms:
            return
        host.veto_left_ms = max(0, self.end_ms - host.now_ms())
        if host.veto_left_ms:
            self._process.later(COUNT_EVERY_MS, self._count)
        else:
            self._feed(ev.VetoEnded())
