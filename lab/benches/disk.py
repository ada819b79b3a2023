"""The benchmark's third table: a primary's disk while its backup is away, the worst of all runs."""

from __future__ import annotations

import msgspec

from lab.base.grid import grid
from lab.incidents.slot_lost import MIB, SlotLost

DISKS_TITLE = "The primary's disk while its backup was away, the worst of all runs:"


class Disk(msgspec.Struct, frozen=True, kw_only=True):
    """What all runs of one row came to. Each figure is that of
    `lab.incidents.slot_lost.SlotLost`."""

    incident: str
    system: str
    profile: str
    written_bytes: int
    """The least of all runs."""
    pg_wal_before_bytes: int
    pg_wal_most_bytes: int
    pg_wal_bound_bytes: int
    whole_after_s: float
    copied_anew: bool
    same_rows: bool


def disk_of(incident: str, system: str, profile: str, runs: list[SlotLost]) -> Disk:
    """Of at least one run."""
    return Disk(
        incident=incident,
        system=system,
        profile=profile,
        written_bytes=min(run.written_bytes for run in runs),
        pg_wal_before_bytes=max(run.pg_wal_before_bytes for run in runs),
        pg_wal_most_bytes=max(run.pg_wal_most_bytes for run in runs),
        pg_wal_bound_bytes=max(run.pg_wal_bound_bytes for run in runs),
        whole_after_s=max(run.whole_after_s for run in runs),
        copied_anew=all(run.copied_anew for run in runs),
        same_rows=not any(run.difference for run in runs),
    )


def disks_table(disks: list[Disk]) -> str:
    """In Markdown."""
    heads = (
        "scenario", "system", "profile", "log written meanwhile", "pg_wal before", "at most",
        "bound", "whole after", "copied anew", "same rows",
    )  # fmt: skip
    return grid(heads, [_line(disk) for disk in disks])


def _line(disk: Disk) -> tuple[str, ...]:
    return (
        disk.incident,
        disk.system,
        disk.profile,
        _mib(disk.written_bytes),
        _mib(disk.pg_wal_before_bytes),
        _mib(disk.pg_wal_most_bytes),
        _mib(disk.pg_wal_bound_bytes),
        f"{disk.whole_after_s:.1f} s",
        "yes" if disk.copied_anew else "no",
        "yes" if disk.same_rows else "no",
    )


def _mib(size_bytes: int) -> str:
    return f"{size_bytes / MIB:.0f} MiB"
