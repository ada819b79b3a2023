"""Reads what an old primary wrote on its own, and has it kept before anything is undone."""

from __future__ import annotations

import asyncio
from pathlib import Path

from msgspec.structs import replace

from agents.engines import pg_quarantine
from agents.engines.base import EngineBusy, EngineError, OnProgress, Progress, Quarantined, Upstream
from agents.engines.pg_lineage import OPEN_BYTES, Divergence
from agents.engines.pg_quarantine import WHOLE, Wanted
from agents.engines.pg_report import Relation, Report
from agents.engines.pg_settings import PostgresConfig
from agents.engines.pg_tools import ControlData, Tools
from agents.engines.pg_upstream import Remote, probe_relation, relation_names
from agents.engines.pg_wal import Segment, format_lsn, record_end
from agents.engines.pg_waldump import DEBIAN, Counted, count, find_waldump


async def keep(
    tools: Tools,
    config: PostgresConfig,
    divergence: Divergence,
    control: ControlData,
    remote: Remote,
    upstream: Upstream,
    on_progress: OnProgress,
) -> Quarantined:
    """On disk and whole when it returns. EngineError when it cannot be, with nothing changed."""
    wanted = Wanted(
        root=config.quarantine_root,
        data=config.data,
        service=config.service,
        system_identifier=control.system_identifier,
        timeline=divergence.timeline,
        divergence=divergence,
        segment_bytes=control.segment_bytes,
        whole=config.quarantine == WHOLE,
    )
    await asyncio.to_thread(pg_quarantine.need_room, wanted)
    files = await asyncio.to_thread(wanted.log_files)
    report = _report(wanted, files, remote, upstream)
    major = await tools.major()
    program = find_waldump(config.binaries, major)
    if program is None:
        report = _lacking(
            report,
            f"pg_waldump of PostgreSQL {major} is not installed: install its package, which has"
            f" it beside {config.binaries} or in {DEBIAN.format(major=major)}, to read the log",
        )
    elif files:
        report = await _counted(
            replace(report, program=str(program)), tools, config, wanted, files, upstream,
            on_progress,
        )  # fmt: skip
    place = await asyncio.to_thread(pg_quarantine.standing, wanted, report)
    if place is None:
        place = await pg_quarantine.make(wanted, report, on_progress)
    return pg_quarantine.told(place, report)


def _report(wanted: Wanted, files: list[Segment], remote: Remote, upstream: Upstream) -> Report:
    divergence = wanted.divergence
    fork, first = divergence.fork_bytes, divergence.readable_bytes
    end = max((s.begin_bytes + wanted.segment_bytes for s in files), default=fork)
    end = max(end, divergence.reached_bytes)
    return Report(
        service=wanted.service,
        system_identifier=wanted.system_identifier,
        upstream=upstream.address,
        old_timeline=divergence.timeline,
        new_timeline=remote.timeline,
        fork=format_lsn(fork),
        end=format_lsn(end),
        bytes=_kept_bytes(divergence, end),
        not_counted=_what_is_gone(divergence),
        whole_log=divergence.gone is None,
        files=tuple(segment.path.name for segment in files),
        whole_data_directory=wanted.whole,
        read_with=tuple(
            ("-t", str(span.timeline), "-s", format_lsn(max(span.begin_bytes, first)))
            for span in divergence.spans
            if span.end_bytes > first
        ),
    )


def _what_is_gone(divergence: Divergence) -> str:
    """In words; empty when all of the log after the fork is there."""
    gone = divergence.gone
    if gone is None:
        return ""
    end = "its end" if gone.end_bytes == OPEN_BYTES else format_lsn(gone.end_bytes)
    return f"log from {format_lsn(gone.begin_bytes)} to {end} is gone"


def _kept_bytes(divergence: Divergence, end: int) -> int:
    """How much of the log from the fork to its end is still there."""
    gone = divergence.gone
    missing = min(gone.end_bytes, end) - gone.begin_bytes if gone else 0
    return max(0, end - divergence.fork_bytes - missing)


def _lacking(report: Report, why: str) -> Report:
    """One more reason why the transactions are not known, or not all."""
    return replace(report, not_counted="; ".join(filter(None, (report.not_counted, why))))


async def _counted(
    report: Report,
    tools: Tools,
    config: PostgresConfig,
    wanted: Wanted,
    files: list[Segment],
    upstream: Upstream,
    on_progress: OnProgress,
) -> Report:
    spans, first, total = wanted.divergence.spans, wanted.divergence.readable_bytes, report.bytes
    if wanted.divergence.gone:
        # What stands before the gap is kept, but a reader would end there.
        files = [segment for segment in files if segment.begin_bytes >= first]

    def tell(position: int) -> None:
        on_progress(Progress("reading what diverged", max(0, position - first), total))

    try:
        probe = await probe_relation(config, upstream)
        counted = await count(tools, Path(report.program), spans, files, probe, tell)
    except EngineBusy:
        raise
    except EngineError as error:
        return _lacking(report, str(error))
    report = await asyncio.to_thread(_with_end, report, wanted, files, counted)
    names = await relation_names(config, upstream, counted.relations)
    return replace(
        report,
        transactions=counted.transactions,
        own_probes=counted.own_probes,
        first_commit=counted.first_commit,
        last_commit=counted.last_commit,
        relations=tuple(
            Relation(file, names.known.get(file, "")) for file in sorted(counted.relations)
        ),
        names_missing=tuple(f"{number}: {why}" for number, why in sorted(names.reasons.items())),
    )


def _with_end(report: Report, wanted: Wanted, files: list[Segment], counted: Counted) -> Report:
    """Exact, where a record was read."""
    divergence, size = wanted.divergence, wanted.segment_bytes
    end, last = divergence.fork_bytes, counted.last_record_bytes
    if last:
        try:
            end = record_end(wanted.data, wanted.timeline, last, size)
        except (OSError, ValueError):
            end = last
        report = replace(report, end=format_lsn(end), bytes=_kept_bytes(divergence, end))
    # A record that came in part may reach into one more segment, but not beyond.
    beyond = [s for s in files if s.begin_bytes >= end + size]
    if divergence.gone is None and (beyond or divergence.reached_bytes > end):
        unread = f"log after {format_lsn(end)} was written and could not be read"
        return replace(_lacking(report, unread), whole_log=False)
    return report
