"""Where the log of one copy left the log of another: timelines, forks, and what lies behind.

A lineage is the list of timelines that a copy went through. Two lineages are one as long as
their timelines have the same number and began at the same position; there they fork.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from msgspec import Struct

from agents.engines.pg_wal import Fork, own_history, segment_file

OPEN_BYTES = 2**64
"""Behind every position: a timeline that goes on."""


class Span(Struct, frozen=True):
    """A stretch of one timeline's log. `end_bytes` is OPEN_BYTES while it goes on."""

    timeline: int
    begin_bytes: int
    end_bytes: int


class Gone(Struct, frozen=True):
    """A stretch of a copy's own log that is there no more. `end_bytes` is OPEN_BYTES: all of it."""

    begin_bytes: int
    end_bytes: int


class Divergence(Struct, frozen=True):
    """What a copy has and another lacks: log after `fork_bytes`, on these spans of its own."""

    fork_bytes: int
    spans: tuple[Span, ...]
    gone: Gone | None = None
    """The first of it that the copy itself has lost."""
    reached_bytes: int = 0
    """So far its log went for certain, whatever can be read of it."""

    @property
    def timeline(self) -> int:
        """The last one of its own."""
        return self.spans[-1].timeline

    @property
    def readable_bytes(self) -> int:
        """From here on it can be read; OPEN_BYTES where nothing of it is left."""
        return self.gone.end_bytes if self.gone else self.fork_bytes


def lineage(history: Sequence[Fork], timeline: int) -> list[Span]:
    """From the content of a timeline's history to the stretches that make it up."""
    begin, spans = 0, []
    for fork in history:
        spans.append(Span(fork.timeline, begin, fork.end_bytes))
        begin = fork.end_bytes
    return [*spans, Span(timeline, begin, OPEN_BYTES)]


def lineage_on_disk(data: Path, timeline: int) -> list[Span]:
    """Of a copy that wrote or received this timeline last. OSError without its history."""
    return lineage(own_history(data, timeline), timeline)


def divergence_of(own: Sequence[Span], other: Sequence[Span]) -> Divergence | None:
    """Where `own` would go on beside `other`; None when it can go on along it for ever."""
    shared = 0
    for mine, theirs in zip(own, other, strict=False):
        if (mine.timeline, mine.begin_bytes) != (theirs.timeline, theirs.begin_bytes):
            break
        shared += 1
    if not shared:
        return Divergence(0, tuple(own))
    fork = min(own[shared - 1].end_bytes, other[shared - 1].end_bytes)
    if fork == OPEN_BYTES:
        return None
    behind = [span for span in own[shared - 1 :] if span.end_bytes > fork]
    spans = [Span(s.timeline, max(s.begin_bytes, fork), s.end_bytes) for s in behind]
    return Divergence(fork, tuple(spans)) if spans else None


def files_of(
    data: Path, own: Sequence[Span], timeline: int, position: int, segment_bytes: int
) -> list[Path]:
    """The files that may hold the position: a later timeline's begins with a copy of the log."""
    later = [span.timeline for span in own if span.timeline >= timeline]
    return [segment_file(data, number, position, segment_bytes) for number in later]
