"""Whether a copy's own log goes past a fork: the one answer, for a running and a stopped copy.

    a position that it wrote or replayed for certain lies past the fork
    a whole record stands at the fork, in the log of a stopped copy
    its log at the fork is gone, and later log of its own is there

Log is removed from its old end only, after a checkpoint: what is gone was written. So a missing
segment never means that nothing stood there.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from msgspec.structs import replace

from agents.engines.pg_lineage import OPEN_BYTES, Divergence, Gone, Span, files_of
from agents.engines.pg_tools import ControlData
from agents.engines.pg_wal import record_stands, segments


def reaches_past(found: Divergence, *positions: int) -> bool:
    """Whether one of the positions, up to which the copy wrote or replayed, is past the fork."""
    return any(position > found.fork_bytes for position in positions)


def own_log(
    data: Path, own: Sequence[Span], found: Divergence, control: ControlData
) -> Divergence | None:
    """What the stopped copy has past the fork; None when there is only a place for it."""
    size = control.segment_bytes
    reached = max(control.checkpoint_bytes + 1, control.redo_bytes, control.recovery_end_bytes)
    gone = _gone(data, found, size)
    if gone is None and not _stands(data, own, found, size):
        if not reaches_past(found, reached):
            return None
        if not _has_fork(data, own, found, size):
            gone = Gone(found.fork_bytes, OPEN_BYTES)
    return replace(found, gone=gone, reached_bytes=reached)


def _stands(data: Path, own: Sequence[Span], found: Divergence, size: int) -> bool:
    return any(
        record_stands(
            files_of(data, own, span.timeline, span.begin_bytes, size), span.begin_bytes, size
        )
        for span in found.spans
    )


def _has_fork(data: Path, own: Sequence[Span], found: Divergence, size: int) -> bool:
    first = found.spans[0]
    files = files_of(data, own, first.timeline, found.fork_bytes, size)
    return any(file.exists() for file in files)


def _gone(data: Path, found: Divergence, size: int) -> Gone | None:
    """The first stretch after the fork that is missing before log of the copy's own."""
    ends = {span.timeline: span.end_bytes for span in found.spans}
    position = found.fork_bytes - found.fork_bytes % size
    standing = {
        segment.begin_bytes
        for segment in segments(data, size)
        if position <= segment.begin_bytes < ends.get(segment.timeline, 0)
    }
    for begin in sorted(standing):
        if begin != position:
            return Gone(max(found.fork_bytes, position), begin)
        position += size
    return None
