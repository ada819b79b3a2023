"""The benchmark's fourth table: what an old primary acknowledged to clients that stayed with it."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from lab.base.grid import grid
from lab.incidents.loyal import WaySeen

WAYS_TITLE = "To clients that stayed with the old primary, the worst of all runs:"


class WayRow(msgspec.Struct, frozen=True, kw_only=True):
    """What all runs of one row came to by one way. Each figure is that of
    `lab.incidents.loyal.WaySeen`."""

    incident: str
    system: str
    profile: str
    way: str
    acked: int
    lease_margin_s: float | None
    """The least of all runs."""
    acked_after_promotion: int
    lost_after_promotion: int


def way_rows(
    incident: str, system: str, profile: str, runs: list[tuple[WaySeen, ...]]
) -> list[WayRow]:
    """One for each way, of at least one run."""
    ways = list(dict.fromkeys(seen.way for run in runs for seen in run))
    by_way = {way: [seen for run in runs for seen in run if seen.way == way] for way in ways}
    return [_way_row((incident, system, profile), way, seen) for way, seen in by_way.items()]


def ways_table(rows: list[WayRow]) -> str:
    """In Markdown; a dash is not known."""
    heads = (
        "scenario", "system", "profile", "client's way", "acked since the fault",
        "last ack before the lease's end", "acked after the partner's first write", "lost of these",
    )  # fmt: skip
    return grid(heads, [_line(row) for row in rows])


def _way_row(key: tuple[str, str, str], way: str, seen: Sequence[WaySeen]) -> WayRow:
    incident, system, profile = key
    margins = [one.lease_margin_s for one in seen if one.lease_margin_s is not None]
    return WayRow(
        incident=incident,
        system=system,
        profile=profile,
        way=way,
        acked=max(one.acked for one in seen),
        lease_margin_s=min(margins, default=None),
        acked_after_promotion=max(one.acked_after_promotion for one in seen),
        lost_after_promotion=max(one.lost_after_promotion for one in seen),
    )


def _line(row: WayRow) -> tuple[str, ...]:
    return (
        row.incident,
        row.system,
        row.profile,
        row.way,
        str(row.acked),
        "-" if row.lease_margin_s is None else f"{row.lease_margin_s:.2f} s",
        str(row.acked_after_promotion),
        str(row.lost_after_promotion),
    )
