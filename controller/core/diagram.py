"""Draws the table of phases: `python -m controller.core.diagram > docs/phases.md`."""

from __future__ import annotations

from controller.core.phases import TABLE
from controller.core.rows.row import Row

HEADER = """# Phases of a service

Generated from `controller/core/phases.py` by `make docs`; a test says when it is stale.
"""


def markdown() -> str:
    """The diagram and, below it, every row with its sentence and its conditions."""
    lines = [HEADER, "```mermaid", "stateDiagram-v2", "    [*] --> ALONE"]
    lines += [f"    {a} --> {b}: {names}" for (a, b), names in _edges().items()]
    lines += ["```", "", "The first row of the present phase whose conditions all hold is taken."]
    lines += [""]
    lines += ["| row | from | to | when | because |", "|---|---|---|---|---|"]
    lines += [_row(row) for row in TABLE]
    return "\n".join([*lines, ""])


def _edges() -> dict[tuple[str, str], str]:
    edges: dict[tuple[str, str], str] = {}
    for row in TABLE:
        key = (row.source.value, row.target.value)
        edges[key] = f"{edges[key]}, {row.name}" if key in edges else row.name
    return edges


def _row(row: Row) -> str:
    when = ", ".join(condition.name for condition in row.when)
    return f"| {row.name} | {row.source.value} | {row.target.value} | {when} | {row.because} |"


if __name__ == "__main__":
    print(markdown(), end="")
