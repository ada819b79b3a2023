"""From single looks to symptoms: on when something holds, off when it is gone for a while.

Moments and spans are milliseconds of the boot-time clock.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from msgspec import Struct
from msgspec.structs import replace

from protocol.messages import Symptom

SYMPTOMS_AT_MOST = 32
TEXT_AT_MOST = 500
POSTS_AT_MOST = 8
POST_LEAST_MS = 10_000
POST_MOST_MS = 7 * 24 * 60 * 60 * 1000
CHANGES_AT_MOST = 120
CHANGES_WITHIN_MS = 60_000


class Rule(Struct, frozen=True):
    """For how long a look must say the same before it counts."""

    on_after_ms: int
    off_after_ms: int


class Sign(Struct, frozen=True):
    """One thing that is looked at again and again."""

    kind: str
    rule: Rule
    text: str = ""
    """What the last look that found something said."""
    bad_since_ms: int | None = None
    well_since_ms: int | None = None
    is_on: bool = False


class Board:
    """All signs, each by the name of its source. One source tells of one kind."""

    def __init__(self) -> None:
        self._signs: dict[str, Sign] = {}

    def look(self, source: str, kind: str, text: str, at_ms: int, rule: Rule) -> None:
        """One look: what is wrong, empty if nothing is."""
        sign = self._signs.get(source)
        if sign is None or sign.kind != kind:
            sign = Sign(kind, rule)
        self._signs[source] = looked(replace(sign, rule=rule), text, at_ms)

    def is_pending(self, source: str) -> bool:
        """Whether another look would soon tell more than the last one."""
        sign = self._signs.get(source)
        return sign is not None and sign.bad_since_ms is not None and not sign.is_on

    def forget(self, source: str) -> None:
        """It is not looked at any more."""
        self._signs.pop(source, None)

    def symptoms(self, now_ms: int) -> list[Symptom]:
        """Those that are on."""
        return [
            Symptom(sign.kind, sign.text, max(0, now_ms - (sign.bad_since_ms or 0)))
            for sign in self._signs.values()
            if sign.is_on
        ]


def looked(sign: Sign, text: str, at_ms: int) -> Sign:
    """The sign after one more look."""
    if text:
        since_ms = at_ms if sign.bad_since_ms is None else sign.bad_since_ms
        is_on = sign.is_on or at_ms - since_ms >= sign.rule.on_after_ms
        return replace(sign, text=text, bad_since_ms=since_ms, well_since_ms=None, is_on=is_on)
    well_since_ms = at_ms if sign.well_since_ms is None else sign.well_since_ms
    if sign.is_on and at_ms - well_since_ms < sign.rule.off_after_ms:
        return replace(sign, well_since_ms=well_since_ms)
    return Sign(sign.kind, sign.rule)


class Post(Struct, frozen=True):
    """What somebody said: it counts at once, and ends at its time or when it is withdrawn."""

    kind: str
    text: str
    since_ms: int
    until_ms: int


class TooMany(Exception):
    """No more can be posted before one ends."""


class Pace:
    """How often each may change what is posted: so many times a minute."""

    def __init__(self) -> None:
        self._taken: dict[str, deque[int]] = {}

    def take(self, who: str, now_ms: int) -> int:
        """One more change: 0, or else for how many milliseconds to wait first."""
        taken = self._taken.setdefault(who, deque(maxlen=CHANGES_AT_MOST))
        if len(taken) == CHANGES_AT_MOST and now_ms - taken[0] < CHANGES_WITHIN_MS:
            return taken[0] + CHANGES_WITHIN_MS - now_ms
        taken.append(now_ms)
        return 0


class Posts:
    """All that was posted and has not ended."""

    def __init__(self, kept: Iterable[Post] = ()) -> None:
        """`kept`: of an earlier life of the agent."""
        self._posts = {post.kind: post for post in kept}

    def put(self, kind: str, text: str, for_ms: int, now_ms: int) -> Post:
        """Say it, or say it again: then its age goes on and its end is new. Raises TooMany."""
        live = {post.kind: post for post in self.live(now_ms)}
        if kind not in live and len(live) >= POSTS_AT_MOST:
            raise TooMany(f"{POSTS_AT_MOST} are posted already: " + ", ".join(sorted(live)))
        since_ms = live[kind].since_ms if kind in live else now_ms
        live[kind] = Post(kind, text, since_ms, now_ms + for_ms)
        self._posts = live
        return live[kind]

    def withdraw(self, kind: str, now_ms: int) -> bool:
        """End it; whether it was there."""
        post = self._posts.pop(kind, None)
        return post is not None and post.until_ms > now_ms

    def live(self, now_ms: int) -> tuple[Post, ...]:
        """Those that count."""
        return tuple(post for post in self._posts.values() if post.until_ms > now_ms)

    def symptoms(self, now_ms: int) -> list[Symptom]:
        """As they are reported."""
        return [Symptom(post.kind, post.text, now_ms - post.since_ms) for post in self.live(now_ms)]


def merged(symptoms: Iterable[Symptom]) -> tuple[Symptom, ...]:
    """One symptom a kind, by name: the texts of all sources, the age of the oldest."""
    kinds: dict[str, list[Symptom]] = {}
    for symptom in symptoms:
        kinds.setdefault(symptom.kind, []).append(symptom)
    return tuple(
        Symptom(kind, _text(found), max(one.age_ms for one in found))
        for kind, found in sorted(kinds.items())[:SYMPTOMS_AT_MOST]
    )


def _text(found: list[Symptom]) -> str:
    return "; ".join(dict.fromkeys(one.text for one in found))[:TEXT_AT_MOST]
