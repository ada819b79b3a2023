"""What one life of an agent says of its site: by a check that it runs, and by what was posted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agents.core.symptoms import Board, Posts, Rule, TooMany, merged
from protocol.messages import Symptom

if TYPE_CHECKING:
    from simulator.parts.host import Host

RULE = Rule(on_after_ms=1000, off_after_ms=2000)


class Checks:
    """Looks when a Report is made; what was posted outlives the agent on its host's disk."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._board = Board()
        self._posts = Posts(host.posts)

    def symptoms(self) -> tuple[Symptom, ...]:
        """As they are reported."""
        now_ms = self._host.now_ms()
        for kind, text in self._host.ailments().items():
            self._board.look(f"check of {kind}", kind, text, now_ms, RULE)
        return merged([*self._board.symptoms(now_ms), *self._posts.symptoms(now_ms)])

    def post(self, kind: str, text: str, for_ms: int) -> None:
        """Somebody at the site says so."""
        try:
            self._posts.put(kind, text, for_ms, self._host.now_ms())
        except TooMany:
            return
        self._host.posts = self._posts.live(self._host.now_ms())

    def withdraw(self, kind: str) -> None:
        """It is over."""
        self._posts.withdraw(kind, self._host.now_ms())
        self._host.posts = self._posts.live(self._host.now_ms())
