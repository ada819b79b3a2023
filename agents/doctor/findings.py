"""One finding of the doctor: what was looked at, what was found, and the mend."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct


class Level(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARN = "warning"
    FAIL = "failed"


class Finding(Struct, frozen=True):
    """One line of the doctor."""

    level: Level
    what: str
    found: str
    mend: str = ""


def ok(what: str, found: str) -> Finding:
    """Nothing to mend."""
    return Finding(Level.OK, what, found)


def warn(what: str, found: str, mend: str) -> Finding:
    """It works, but worse."""
    return Finding(Level.WARN, what, found, mend)


def fail(what: str, found: str, mend: str) -> Finding:
    """It does not work until it is mended."""
    return Finding(Level.FAIL, what, found, mend)
