"""A table in Markdown."""

from __future__ import annotations

from collections.abc import Iterable


def grid(heads: tuple[str, ...], lines: Iterable[tuple[str, ...]]) -> str:
    """One line a row, without an end of line after the last."""
    rows = [heads, tuple("---" for _ in heads), *lines]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)
