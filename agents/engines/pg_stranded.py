"""Whether a running standby that does not stream could ever stream again as it is."""

from __future__ import annotations

import asyncio
import contextlib

from agents.engines.base import Upstream
from agents.engines.pg_lineage import divergence_of, lineage_on_disk
from agents.engines.pg_past import reaches_past
from agents.engines.pg_session import Look
from agents.engines.pg_settings import PostgresConfig
from agents.engines.pg_upstream import ask, missing_log
from agents.engines.pg_wal import format_lsn, last_timeline


async def why_stranded(
    config: PostgresConfig, upstream: Upstream, seen: Look, segment_bytes: int
) -> str:
    """Why it cannot; empty when it may. EngineBusy when the upstream does not answer.

    It compares what was replayed, not what was received: a record that came in part is
    dropped at a fork, but what was replayed cannot be taken back.
    """
    if not seen.position:
        # It has not begun to read its log.
        return ""
    remote = await ask(config, upstream, checkpoint=False)
    last = await asyncio.to_thread(last_timeline, config.data)
    timeline = max(seen.timeline, last)
    with contextlib.suppress(OSError, ValueError):
        found = divergence_of(lineage_on_disk(config.data, timeline), remote.lineage)
        if found and reaches_past(found, seen.replayed):
            return (
                f"its log went on to {format_lsn(seen.replayed)} on timeline {timeline}, past "
                f"{format_lsn(found.fork_bytes)} where the upstream's left it"
            )
    return await missing_log(config, upstream, remote, seen.position, segment_bytes)
