"""Reads what an old primary wrote on its own, and has it kept before anything is undone."""

from __future__ import annotations

import asyncio

from msgspec.structs import replace

from agents.engines import pg_quarantine
from agents.engines.base import EngineBusy, EngineError, OnProgress, Progress, Quarantined, Upstream
from agents.engines.pg_lineage import Divergence
from agents.engines.pg_quarantine import WHOLE, Wanted
from agents.engines.pg_report import Relation, Report
from agents.engines.pg_settings import PostgresConfig
from agents.engines.pg_tools import ControlData, Tools
from agents.engines.pg_upstream import Remote, probe_relation, relation_names
from agents.engines.pg_wal import format_lsn, record_end
from agents.engines.pg_waldump import Counted, count, find_waldump


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
    report = _report(wanted, remote, upstream)
    major = await tools.major()
    program = find_waldump(config.binaries, major)
    if program is None:
        missing = f"pg_waldump of PostgreSQL {major} is not installed; install it to read the log"
        report = replace(report, not_counted=missing)
    else:
        report = await _counted(replace(report, program=str(program)), tools, config, wanted,
                                upstream, on_progress)  # fmt: skip
    place = pg_quarantine.standing(wanted, report)
    if place is None:
        place = await pg_quarantine.make(wanted, report, on_progress)
    return pg_quarantine.told(place, report)


def _report(wanted: Wanted, remote: Remote, upstream: Upstream) -> Report:
    divergence, files = wanted.divergence, wanted.log_files()
    fork = divergence.fork_bytes
    end = max((s.begin_bytes + wanted.segment_bytes for s in files), default=fork)
    return Report(
        service=wanted.service,
        system_identifier=wanted.system_identifier,
        upstream=upstream.address,
        old_timeline=divergence.timeline,
        new_timeline=remote.timeline,
        fork=format_lsn(fork),
        end=format_lsn(end),
        bytes=max(0, end - fork),
        files=tuple(segment.path.name for segment in files),
        whole_data_directory=wanted.whole,
        read_with=tuple(
            ("-t", str(span.timeline), "-s", format_lsn(span.begin_bytes))
            for span in divergence.spans
        ),
    )


async def _counted(
    report: Report,
    tools: Tools,
    config: PostgresConfig,
    wanted: Wanted,
    upstream: Upstream,
    on_progress: OnProgress,
) -> Report:
    fork, total = wanted.divergence.fork_bytes, report.bytes

    def tell(position: int) -> None:
        on_progress(Progress("reading what diverged", max(0, position - fork), total))

    program = find_waldump(config.binaries, await tools.major())
    assert program is not None
    spans, files = wanted.divergence.spans, wanted.log_files()
    try:
        probe = await probe_relation(config, upstream)
        counted = await count(tools, program, spans, files, probe, tell)
    except EngineBusy:
        raise
    except EngineError as error:
        return replace(report, not_counted=str(error))
    report = _with_end(report, wanted, counted)
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


def _with_end(report: Report, wanted: Wanted, counted: Counted) -> Report:
    """Exact, where a record was read."""
    if not counted.last_record_bytes:
        return report
    data, size = wanted.data, wanted.segment_bytes
    try:
        end = record_end(data, wanted.timeline, counted.last_record_bytes, size)
    except (OSError, ValueError):
        end = counted.last_record_bytes
    fork = wanted.divergence.fork_bytes
    report = replace(report, end=format_lsn(end), bytes=max(0, end - fork))
    beyond = [s for s in wanted.log_files() if s.begin_bytes >= end + size]
    if beyond:
        # A record that came in part may reach into one more segment, but not beyond.
        missing = f"log after {format_lsn(end)} is there and could not be read"
        report = replace(report, not_counted=missing)
    return report
