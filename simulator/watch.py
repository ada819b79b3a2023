"""What the checkers are told, and how they say that a promise is broken."""

from __future__ import annotations

from controller.core.actions import Answer
from controller.core.model import Record, Transition
from protocol.messages import Granted
from simulator.strike import Strike


class Broken(Exception):
    """A promise does not hold. `rule` names it: I1, I2 and so on."""

    def __init__(self, rule: str, text: str) -> None:
        super().__init__(f"{rule}: {text}")
        self.rule = rule


class Watch:
    """A checker: sees all that happens, with true times in ms, and raises Broken."""

    def struck(self, now_ms: int, strike: Strike) -> None:
        """A fault happened, or an operator asked for something."""

    def swapped(self, now_ms: int, old: Record | None, new: Record) -> None:
        """The store holds a new record."""

    def decided(self, now_ms: int, change: Transition) -> None:
        """Why the store's record becomes what `swapped` tells next."""

    def answered(self, now_ms: int, answer: Answer) -> None:
        """An operator got an answer."""

    def granted(self, now_ms: int, holder: str, granted: Granted, end_ms: int) -> None:
        """A grantor gave a lease, and honours it until `end_ms`."""

    def writes(self, now_ms: int, service: str, agent: str, epoch: int, lost_bytes: int) -> None:
        """An engine became writable in a reign; it lacks this many acknowledged bytes."""

    def writes_no_more(self, now_ms: int, service: str, agent: str) -> None:
        """An engine is not writable any more."""

    def fenced(self, now_ms: int, service: str, agent: str, reason: str) -> None:
        """A guard ends a writable engine."""

    def took_log(self, now_ms: int, service: str, revision: int) -> None:
        """A backup has all of its fenced primary's log, under a revision."""


class All(Watch):
    """Tells every checker, in their order."""

    def __init__(self, checkers: list[Watch]) -> None:
        self._checkers = checkers

    def add(self, checker: Watch) -> None:
        """One more, after the others."""
        self._checkers.append(checker)

    def struck(self, now_ms: int, strike: Strike) -> None:
        for checker in self._checkers:
            checker.struck(now_ms, strike)

    def swapped(self, now_ms: int, old: Record | None, new: Record) -> None:
        for checker in self._checkers:
            checker.swapped(now_ms, old, new)

    def decided(self, now_ms: int, change: Transition) -> None:
        for checker in self._checkers:
            checker.decided(now_ms, change)

    def answered(self, now_ms: int, answer: Answer) -> None:
        for checker in self._checkers:
            checker.answered(now_ms, answer)

    def granted(self, now_ms: int, holder: str, granted: Granted, end_ms: int) -> None:
        for checker in self._checkers:
            checker.granted(now_ms, holder, granted, end_ms)

    def writes(self, now_ms: int, service: str, agent: str, epoch: int, lost_bytes: int) -> None:
        for checker in self._checkers:
            checker.writes(now_ms, service, agent, epoch, lost_bytes)

    def writes_no_more(self, now_ms: int, service: str, agent: str) -> None:
        for checker in self._checkers:
            checker.writes_no_more(now_ms, service, agent)

    def fenced(self, now_ms: int, service: str, agent: str, reason: str) -> None:
        for checker in self._checkers:
            checker.fenced(now_ms, service, agent, reason)

    def took_log(self, now_ms: int, service: str, revision: int) -> None:
        for checker in self._checkers:
            checker.took_log(now_ms, service, revision)
