"""Wall time for people: UTC, as the API and reports write it."""

from __future__ import annotations

import datetime


def utc_text(at_ms: int) -> str:
    """ISO 8601 to the millisecond, of milliseconds since 1970."""
    at = datetime.datetime.fromtimestamp(at_ms / 1000, datetime.UTC)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
