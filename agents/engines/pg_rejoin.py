"""How a stopped copy comes to follow its upstream again: as it is, rewound, or made anew.

    its log goes on along the upstream's    it follows as it is
      the upstream removed what it needs    copied anew, the old copy kept aside
    it wrote what the upstream never had    quarantine first, then pg_rewind
      some of that log is gone              copied anew, the old copy kept for good
      that fails, or would not be sound     copied anew, the old copy kept aside
    it cannot be told                       copied anew, the old copy kept for good

An interruption at any moment leaves the copy as it was, or marked as not whole: that one is
never started nor rewound again, only replaced.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from agents.engines.base import (
    EngineBusy,
    EngineError,
    OnProgress,
    Progress,
    Quarantined,
    Rejoined,
    Return,
    Turn,
    Upstream,
)
from agents.engines.pg_copy import UNREACHABLE, copy, same_system
from agents.engines.pg_directory import Directory
from agents.engines.pg_lineage import (
    Divergence,
    Span,
    divergence_of,
    files_of,
    lineage_on_disk,
)
from agents.engines.pg_past import own_log
from agents.engines.pg_roles import REWIND_USER
from agents.engines.pg_settings import PostgresConfig, conninfo
from agents.engines.pg_tools import ControlData, ToolFailed, Tools
from agents.engines.pg_upstream import Remote, ask, missing_log
from agents.engines.pg_wal import last_timeline, written_end
from agents.engines.pg_witness import keep

REWIND_WROTE = "rewinding from last common checkpoint"
REWIND_NEEDLESS = "no rewind required"
COPIED = re.compile(r"(\d+)/(\d+) kB")
FIRST_FILE = re.compile(r"START WAL LOCATION: \S+ \(file ([0-9A-F]{24})\)")


class Parts(Struct, frozen=True):
    """What works on one copy."""

    tools: Tools
    directory: Directory
    config: PostgresConfig


class Compared(Struct, frozen=True):
    """A copy beside its upstream. `own` is empty where its log cannot be understood."""

    own: tuple[Span, ...] = ()
    divergence: Divergence | None = None
    """None when it can follow as it is."""


async def rejoin(parts: Parts, upstream: Upstream, on_progress: OnProgress, turn: Turn) -> Rejoined:
    """Make the stopped copy able to follow. EngineError when its quarantine has no room."""
    tools, directory, config = parts.tools, parts.directory, parts.config
    directory.need_data()
    tools.need_idle()
    control = await tools.control_data()
    on_progress(Progress(doing="comparing with the upstream"))
    remote = await ask(config, upstream, checkpoint=False)
    same_system(upstream, remote.system_identifier)
    if control.system_identifier != remote.system_identifier:
        raise EngineError(
            f"{directory.data}: a copy of system {control.system_identifier}, but"
            f" {upstream.address} is {remote.system_identifier}; name the right data directory"
        )
    compared = await asyncio.to_thread(compare, directory, control, remote)
    if not compared.own:
        return await _copy_anew(parts, upstream, on_progress, turn, for_good=True)
    if compared.divergence is None:
        if not await _lacks(parts, upstream, control, remote, compared):
            return Rejoined(how=Return.FOLLOWS)
        return await _copy_anew(parts, upstream, on_progress, turn)
    kept = await keep(tools, config, compared.divergence, control, remote, upstream, on_progress)
    # pg_rewind reads all of the copy's own log since the fork.
    rewindable = compared.divergence.gone is None and is_settled(directory, control)
    if rewindable and await _rewind(parts, upstream, remote, on_progress):
        return Rejoined(how=Return.REWOUND, diverged_bytes=kept.bytes, quarantine=kept)
    return await _copy_anew(parts, upstream, on_progress, turn, kept, for_good=not kept.whole)


async def _copy_anew(
    parts: Parts,
    upstream: Upstream,
    on_progress: OnProgress,
    turn: Turn,
    kept: Quarantined | None = None,
    for_good: bool = False,
) -> Rejoined:
    """`for_good`: what it wrote cannot be told, or not all, so a human gets the old copy."""
    directory = parts.directory
    await copy(parts.tools, directory, parts.config, upstream, on_progress, turn)
    old_copy = await asyncio.to_thread(directory.move_aside, for_good)
    await asyncio.to_thread(directory.put_in_place, directory.seeding)
    return Rejoined(
        how=Return.RESEEDED,
        diverged_bytes=kept.bytes if kept else 0,
        old_copy=old_copy,
        quarantine=kept,
    )


def compare(directory: Directory, control: ControlData, remote: Remote) -> Compared:
    """Whether the copy wrote, or received, what the upstream never had. To the record exact."""
    data, size = directory.data, control.segment_bytes
    timeline = control.timeline
    if control.state != "shut down":
        # A crash may come before the first checkpoint of a new timeline.
        timeline = max(timeline, last_timeline(data))
    try:
        own = lineage_on_disk(data, timeline)
    except (OSError, ValueError):
        return Compared()
    redo = files_of(data, own, control.timeline, control.redo_bytes, size)
    if not any(file.exists() for file in redo):
        return Compared()
    found = divergence_of(own, remote.lineage)
    return Compared(tuple(own), found and own_log(data, own, found, control))


def is_settled(directory: Directory, control: ControlData) -> bool:
    """Whether all of its pages are of one moment, or will be after an ordinary recovery.

    A copy that was made or rewound and never caught up is not: pg_rewind would recover it
    without the log that makes it whole, and leave pages of another time.
    """
    return control.backup_start_bytes == 0 and not (directory.data / "backup_label").exists()


async def _lacks(
    parts: Parts, upstream: Upstream, control: ControlData, remote: Remote, compared: Compared
) -> str:
    """Why the upstream cannot send what this copy needs next; empty when it can."""
    end = await asyncio.to_thread(_end, parts.directory.data, control, compared.own)
    return await missing_log(parts.config, upstream, remote, end, control.segment_bytes)


def _end(data: Path, control: ControlData, own: tuple[Span, ...]) -> int:
    """So far its log is there, to a page."""
    end, size = control.redo_bytes, control.segment_bytes
    for span in own:
        with contextlib.suppress(OSError):
            start = max(control.redo_bytes, span.begin_bytes)
            end = max(end, written_end(data, span.timeline, start, size))
    return end


async def _rewind(
    parts: Parts, upstream: Upstream, remote: Remote, on_progress: OnProgress
) -> bool:
    """True if the copy follows the upstream's timeline now; False if it must be made anew."""
    directory = parts.directory
    await _checkpointed(parts, upstream, remote, on_progress)
    await asyncio.to_thread(directory.rewinding)
    # It replays a crash by a single-user server, which refuses to be a standby.
    await asyncio.to_thread(directory.make_primary)
    directory.forget_dead_server()
    watched = Watched(on_progress)
    source = f"{conninfo(parts.config, replace(upstream, user=REWIND_USER))} dbname=postgres"
    dba = parts.config.dba_config
    # Where the DBA's file stands elsewhere, the data directory has none for its crash recovery.
    settings = [f"--config-file={dba}"] if dba else []
    try:
        await parts.tools.run(
            "pg_rewind",
            *("--target-pgdata", str(directory.data), "--source-server", source, "--progress"),
            *settings,
            timeout_s=None,
            on_line=watched.hear,
            on_work=watched.tell,
        )
    except ToolFailed as failure:
        if watched.wrote:
            return False
        await asyncio.to_thread(whole_again, directory)
        if UNREACHABLE.search(failure.said):
            raise EngineBusy(f"rewinding from {upstream.address}: {failure}") from None
        return False
    control = await parts.tools.control_data()
    follows = await asyncio.to_thread(_follows, directory, control, remote, watched)
    if follows or not watched.wrote:
        await asyncio.to_thread(whole_again, directory)
    return follows


async def _checkpointed(
    parts: Parts, upstream: Upstream, remote: Remote, on_progress: OnProgress
) -> None:
    """pg_rewind reads the upstream's timeline from its last checkpoint: with an older one it
    finds nothing to do and leaves the diverged rows.
    """
    on_progress(Progress(doing="asking the upstream for a checkpoint"))
    if await ask(parts.config, upstream, checkpoint=True) != remote:
        raise EngineBusy(f"{upstream.address}: went to another timeline meanwhile")


def _follows(directory: Directory, control: ControlData, remote: Remote, watched: Watched) -> bool:
    if watched.needless:
        compared = compare(directory, control, remote)
        return bool(compared.own) and compared.divergence is None
    return control.timeline == remote.timeline and _has_its_first_log(directory)


def _has_its_first_log(directory: Directory) -> bool:
    """pg_rewind removes what the upstream has not: also log that the copy must begin with."""
    try:
        label = (directory.data / "backup_label").read_text()
    except OSError:
        return False
    first = FIRST_FILE.search(label)
    return first is not None and (directory.data / "pg_wal" / first[1]).exists()


class Watched:
    """What pg_rewind says while it works. Its words are told on, and told again in silence."""

    def __init__(self, on_progress: OnProgress) -> None:
        self.wrote = False
        """It began to change the copy."""
        self.needless = False
        self._on_progress = on_progress
        self._last = Progress(doing="rewinding: comparing with the upstream")

    def hear(self, line: str) -> None:
        self.wrote = self.wrote or REWIND_WROTE in line
        self.needless = self.needless or REWIND_NEEDLESS in line
        if found := COPIED.search(line):
            done, total = int(found[1]) * 1024, int(found[2]) * 1024
            self._last = Progress(doing="rewinding", done_bytes=done, total_bytes=total)
        self.tell()

    def tell(self) -> None:
        self._on_progress(self._last)


def whole_again(directory: Directory) -> None:
    """The mark is taken away last: before it, the copy must be a standby at rest."""
    directory.make_standby()
    directory.rewound()
