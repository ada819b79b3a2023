"""What was decided, as lines for people."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console
from rich.table import Table
from rich.text import Text

from controller.cli.figures import duration, moment, size
from controller.core.model import Transition
from controller.stores.base import HistoryLine

PHASE_STYLES = {"PROTECTED": "green", "HELD": "bold red"}
OTHER_PHASE_STYLE = "yellow"


def print_lines(console: Console, lines: Iterable[HistoryLine], with_service: bool) -> None:
    """Each change: when, where, and on a line of its own why."""
    empty = True
    for line in lines:
        empty = False
        console.print(head(line, with_service))
        why = Table.grid()
        why.add_row(Text("    "), Text(line.transition.because))
        console.print(why)
        for extra in figures(line.transition):
            console.print(Text(f"    {extra}"))
    if empty:
        console.print(Text("  nothing was decided yet"))


def head(line: HistoryLine, with_service: bool) -> Text:
    """When, of what, from which phase to which."""
    change = line.transition
    text = Text(moment(line.at_ms) + "  ")
    if with_service:
        text.append(change.service + "  ", style="bold")
    if change.from_phase != change.to_phase:
        text.append(f"{change.from_phase} -> ")
    text.append(change.to_phase, style=phase_style(change.to_phase))
    text.append(f"  epoch {change.epoch}")
    return text


def figures(change: Transition) -> tuple[str, ...]:
    """What a change says beside its reason."""
    told = []
    if change.outage_ms >= 0:
        told.append(f"outage {duration(change.outage_ms)}")
    if change.loss_bytes >= 0:
        told.append(f"estimated loss {size(change.loss_bytes)}")
    operation = change.operation
    if operation is not None:
        reason = f" ({operation.reason})" if operation.reason else ""
        outcome = f": {change.outcome}" if change.outcome else ""
        told.append(f"{operation.kind} {operation.id} by {operation.by}{reason}{outcome}")
    return tuple(told)


def phase_style(phase: str) -> str:
    """Green where the service is protected, red where it waits for an operator."""
    return PHASE_STYLES.get(phase, OTHER_PHASE_STYLE)
