"""The doctor's look at the room on the disk of an engine's data and log."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from agents.doctor.findings import Finding, ok, warn
from agents.replica.data_disk import floor_of, look_at, size


def disk_findings(what: str, data: Path, floor_bytes: int | None) -> Iterator[Finding]:
    """One for the data; one more for the log, where that has less room on a disk of its own."""
    told = set()
    for path in (data, data / "pg_wal"):
        try:
            look = look_at(path)
        except OSError as error:
            text = f"{path}: the room on its disk is not known: {error.strerror or error}"
            yield warn(what, text, "let the agent's user look at it")
            continue
        if (look.free_bytes, look.size_bytes) in told:
            continue
        told.add((look.free_bytes, look.size_bytes))
        floor = floor_of(look.size_bytes) if floor_bytes is None else floor_bytes
        text = f"{path}: {size(look.free_bytes)} free of {size(look.size_bytes)}"
        if look.free_bytes >= floor:
            yield ok(what, f"{text}; the floor is {size(floor)}")
            continue
        mend = "free space, enlarge the disk, or declare a smaller disk_floor"
        yield warn(what, f"{text}, below the floor of {size(floor)}", mend)
