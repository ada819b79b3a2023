"""The benchmark's second table: what a client in the faulty site saw, and what became of it.

A row has the worst of its runs. What stands in quarantine and what the clients count as lost
are sums over the runs, so that they can be compared.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

import msgspec

from lab.base.grid import grid
from lab.incidents.unkind import Unkind
from lab.judging.own_count import OwnCount

T = TypeVar("T")
SIDES_TITLE = (
    "The faulty site's own side, the worst of all runs (what is quarantined and the clients' own "
    "count: sums of all runs):"
)


class Side(msgspec.Struct, frozen=True, kw_only=True):
    """What all runs of one row came to on the faulty site's side; None is not known.

    Each figure is that of `lab.incidents.unkind.Unkind`.
    """

    incident: str
    system: str
    profile: str
    lease_margin_s: float | None
    """The least of all runs."""
    acked_inside: int
    lost_inside: int
    acked_after_thaw: int
    two_writers_s: float
    two_writers_after_s: float
    lost_after: int
    whole_after_s: float
    lag_bytes: int | None
    quarantined: int | None
    """Transactions; None where the system keeps none, nothing moved or they are not counted."""
    own_count: OwnCount | None
    equal: bool | None
    """Whether each quarantine holds what the clients count: see `lab.judging.own_count`."""
    same_rows: bool
    """Whether both copies held the same rows in the end of each run: see
    `lab.incidents.same_rows`."""


def side_of(incident: str, system: str, profile: str, runs: list[Unkind]) -> Side:
    """Of at least one run."""
    kept = [run.kept for run in runs if run.kept is not None]
    counts = [one.transactions for one in kept]
    return Side(
        incident=incident,
        system=system,
        profile=profile,
        lease_margin_s=min(_known(run.lease_margin_s for run in runs), default=None),
        acked_inside=max(run.acked_inside for run in runs),
        lost_inside=max(run.lost_inside for run in runs),
        acked_after_thaw=max(run.acked_after_thaw for run in runs),
        two_writers_s=max(run.two_writers_s for run in runs),
        two_writers_after_s=max(run.two_writers_after_s for run in runs),
        lost_after=max(run.lost_after for run in runs),
        whole_after_s=max(run.whole_after_s for run in runs),
        lag_bytes=max(_known(run.lag_bytes for run in runs), default=None),
        quarantined=sum(_known(counts)) if counts and None not in counts else None,
        own_count=sum((one.own for one in kept), OwnCount(0, 0)) if kept else None,
        equal=not any(one.wrong for one in kept) if kept else None,
        same_rows=not any(run.difference for run in runs),
    )


def sides_table(sides: list[Side]) -> str:
    """In Markdown; a dash is not known."""
    heads = (
        "scenario", "system", "profile", "last ack before the lease's end", "acked inside",
        "lost inside", "acked after thaw", "two writers", "two writers after", "lost after",
        "whole after", "lag", "quarantined", "clients' own count", "equal", "same rows",
    )  # fmt: skip
    return grid(heads, [_line(side) for side in sides])


def _line(side: Side) -> tuple[str, ...]:
    return (
        side.incident,
        side.system,
        side.profile,
        "-" if side.lease_margin_s is None else f"{side.lease_margin_s:.2f} s",
        str(side.acked_inside),
        str(side.lost_inside),
        str(side.acked_after_thaw),
        f"{side.two_writers_s:.2f} s",
        f"{side.two_writers_after_s:.2f} s",
        str(side.lost_after),
        f"{side.whole_after_s:.1f} s",
        "-" if side.lag_bytes is None else f"{side.lag_bytes} B",
        "-" if side.quarantined is None else str(side.quarantined),
        _count(side.own_count),
        "-" if side.equal is None else "yes" if side.equal else "no",
        "yes" if side.same_rows else "no",
    )


def _count(count: OwnCount | None) -> str:
    if count is None:
        return "-"
    return str(count.acked) + (f" (+ {count.unanswered} unanswered)" if count.unanswered else "")


def _known(values: Iterable[T | None]) -> list[T]:
    return [value for value in values if value is not None]
