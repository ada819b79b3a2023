"""The benchmark's table, as Markdown for people and as JSON for programs.

Each row is one scenario of one system under one profile. A spread is minimum, median and
maximum. Runs that failed are counted in their row and listed with their reason. Where there was
a client in the faulty site, what it saw stands in a second table (`lab.benches.side`); where a
backup was away, the primary's disk stands in a third one (`lab.benches.disk`); where clients stayed
with an old primary, what it told them stands in a fourth one (`lab.benches.ways`).
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar

import msgspec

from lab.base.grid import grid
from lab.benches.disk import DISKS_TITLE, Disk, disk_of, disks_table
from lab.benches.side import SIDES_TITLE, Side, side_of, sides_table
from lab.benches.ways import WAYS_TITLE, WayRow, way_rows, ways_table
from lab.incidents.slot_lost import SlotLost
from lab.incidents.unkind import Unkind

SALING = "saling"
T = TypeVar("T")


class Figure(msgspec.Struct, frozen=True):
    """One incident of one run. All but the count are seconds."""

    system: str
    profile: str
    scenario: str
    """Its name in the registry."""
    incident: str
    """What it did, in words: a run of one scenario may hold several."""
    run: int
    outage_s: float
    promotion_s: float
    """-1 where nothing was promoted."""
    acked_lost: int
    two_writers_s: float
    lease_ttl_s: float
    noise_s: float
    """The longest gap without a fault, before this incident in the same run."""
    wrong: str = ""
    """What must not be, but was; empty when all is well."""
    notes: tuple[str, ...] = ()
    """What else was seen, a sentence each."""
    unkind: Unkind | None = None
    """All that was seen, where there was a client in the faulty site, too."""
    slot_lost: SlotLost | None = None
    """All that was seen, where a backup was away until its slot was lost."""


class Failure(msgspec.Struct, frozen=True):
    """One run that came to no figure, to fewer than it should, or to one that must not be."""

    system: str
    profile: str
    scenario: str
    run: int
    reason: str


class Spread(msgspec.Struct, frozen=True):
    """Seconds."""

    min_s: float
    median_s: float
    max_s: float


class Row(msgspec.Struct, frozen=True):
    """What all runs of one scenario came to, worst figures where no spread is given."""

    system: str
    profile: str
    scenario: str
    incident: str
    measured: int
    failed: int
    moved: int
    """After how many of those measured the partner was written to."""
    lease_ttl_s: float
    outage: Spread | None
    promotion: Spread | None
    noise: Spread | None
    acked_lost: int
    two_writers_s: float


class Ratio(msgspec.Struct, frozen=True):
    """How many times Saling's median outage a peer's is, in the same run of the benchmark."""

    incident: str
    peer: str
    peer_profile: str
    profile: str
    """Saling's."""
    times: float


class Report(msgspec.Struct, frozen=True):
    """What `FILE.json` holds. `begun_at` is UTC; `options` are the command's words."""

    begun_at: str
    cores: int
    load: tuple[float, float]
    """Mean count of runnable processes over a minute, at the begin and at the end."""
    options: list[str]
    rows: list[Row]
    sides: list[Side]
    disks: list[Disk]
    ways: list[WayRow]
    ratios: list[Ratio]
    failures: list[Failure]
    skipped: dict[str, str]
    """Scenarios that were not run, and why."""
    figures: list[Figure]


def rows_of(figures: list[Figure], failures: list[Failure]) -> list[Row]:
    """One row for each scenario, system and profile, in the order in which they were met."""
    each: list[Figure | Failure] = [*figures, *failures]
    runs = [(one.scenario, one.system, one.profile) for one in each]
    rows = []
    for key in dict.fromkeys(runs):
        of_key = [f for f in figures if (f.scenario, f.system, f.profile) == key]
        failed = sum((f.scenario, f.system, f.profile) == key for f in failures)
        # What only ever failed is a row, too; its incidents have no words, so its name stands.
        for incident in dict.fromkeys([f.incident for f in of_key] or [key[0]]):
            rows.append(_row(key, incident, [f for f in of_key if f.incident == incident], failed))
    return sorted(rows, key=lambda row: [r[0] for r in runs].index(row.scenario))


def sides_of(figures: list[Figure]) -> list[Side]:
    """One for each row whose runs had a client in the faulty site, in the same order."""
    seen = [(f, f.unkind) for f in figures if f.unkind is not None]
    return [side_of(*key, these) for key, these in _by_row(seen).items()]


def disks_of(figures: list[Figure]) -> list[Disk]:
    """One for each row whose runs had a backup that was away, in the same order."""
    seen = [(f, f.slot_lost) for f in figures if f.slot_lost is not None]
    return [disk_of(*key, these) for key, these in _by_row(seen).items()]


def ways_of(figures: list[Figure]) -> list[WayRow]:
    """Two for each row whose runs had clients that stayed with the old primary, one a way."""
    seen = [(f, f.unkind.ways) for f in figures if f.unkind is not None and f.unkind.ways]
    return [row for key, these in _by_row(seen).items() for row in way_rows(*key, these)]


def ratios_of(rows: list[Row]) -> list[Ratio]:
    """Each peer's row over each of Saling's of the same scenario."""
    ours = [row for row in rows if row.system == SALING]
    theirs = [row for row in rows if row.system != SALING]
    return [
        Ratio(
            incident=peer.incident,
            peer=peer.system,
            peer_profile=peer.profile,
            profile=own.profile,
            times=round(peer.outage.median_s / own.outage.median_s, 1),
        )
        for peer in theirs
        for own in ours
        if own.incident == peer.incident and own.outage and peer.outage and own.outage.median_s
    ]


def markdown(report: Report) -> str:
    """The table, the ratios, and what failed or was left out."""
    begun, ended = report.load
    machine = f"{report.cores} cores, load {begun:.1f} at the begin and {ended:.1f} at the end."
    parts = [_table(report.rows), machine]
    if report.sides:
        parts.append(f"{SIDES_TITLE}\n\n{sides_table(report.sides)}")
    if report.disks:
        parts.append(f"{DISKS_TITLE}\n\n{disks_table(report.disks)}")
    if report.ways:
        parts.append(f"{WAYS_TITLE}\n\n{ways_table(report.ways)}")
    if notes := [(f, text) for f in report.figures for text in f.notes]:
        lines = [f"- {f.incident}, {f.system} {f.profile}, run {f.run}: {t}" for f, t in notes]
        parts.append("Also seen:\n\n" + "\n".join(lines))
    if report.ratios:
        parts.append(_ratio_table(report.ratios))
    if report.failures:
        lines = [
            f"- {f.scenario}, {f.system} {f.profile}, run {f.run}: {f.reason.splitlines()[0]}"
            for f in report.failures
        ]
        parts.append("Failed runs:\n\n" + "\n".join(lines))
    if report.skipped:
        lines = [f"- {name}: {why}" for name, why in report.skipped.items()]
        parts.append("Not run:\n\n" + "\n".join(lines))
    return "\n\n".join(parts) + "\n"


def write(report: Report, prefix: Path) -> None:
    """Write PREFIX.md and PREFIX.json."""
    prefix.parent.mkdir(parents=True, exist_ok=True)
    prefix.with_name(f"{prefix.name}.md").write_text(markdown(report), encoding="utf-8")
    body = msgspec.json.format(msgspec.json.encode(report), indent=1)
    prefix.with_name(f"{prefix.name}.json").write_bytes(body + b"\n")


def _by_row(seen: list[tuple[Figure, T]]) -> dict[tuple[str, str, str], list[T]]:
    """By incident, system and profile."""
    found: dict[tuple[str, str, str], list[T]] = {}
    for figure, one in seen:
        found.setdefault((figure.incident, figure.system, figure.profile), []).append(one)
    return found


def _row(key: tuple[str, str, str], incident: str, these: list[Figure], failed: int) -> Row:
    scenario, system, profile = key
    return Row(
        system=system,
        profile=profile,
        scenario=scenario,
        incident=incident,
        measured=len(these),
        failed=failed,
        moved=sum(f.promotion_s >= 0 for f in these),
        lease_ttl_s=max((f.lease_ttl_s for f in these), default=0.0),
        outage=_spread(f.outage_s for f in these),
        promotion=_spread(f.promotion_s for f in these if f.promotion_s >= 0),
        noise=_spread(f.noise_s for f in these),
        acked_lost=max((f.acked_lost for f in these), default=0),
        two_writers_s=max((f.two_writers_s for f in these), default=0.0),
    )


def _table(rows: list[Row]) -> str:
    heads = (
        "scenario", "system", "profile", "lease", "no write for: min / median / max",
        "promoted after", "acked lost", "two writers", "noise", "moved", "measured", "failed",
    )  # fmt: skip
    lines = [
        (
            row.incident,
            row.system,
            row.profile,
            f"{row.lease_ttl_s:g} s",
            _text(row.outage),
            _text(row.promotion),
            str(row.acked_lost),
            f"{row.two_writers_s:.2f} s",
            _text(row.noise),
            str(row.moved),
            str(row.measured),
            str(row.failed),
        )
        for row in rows
    ]
    return grid(heads, lines)


def _ratio_table(ratios: list[Ratio]) -> str:
    lines = [
        (r.incident, f"{r.peer} {r.peer_profile}", f"{SALING} {r.profile}", f"{r.times:g}")
        for r in ratios
    ]
    return grid(("scenario", "peer", "against", "times as long without a write"), lines)


def _spread(values: Iterable[float]) -> Spread | None:
    known = list(values)
    if not known:
        return None
    return Spread(round(min(known), 3), round(statistics.median(known), 3), round(max(known), 3))


def _text(spread: Spread | None) -> str:
    if spread is None:
        return "-"
    return f"{spread.min_s:.2f} / {spread.median_s:.2f} / {spread.max_s:.2f} s"
