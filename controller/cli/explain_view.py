"""One service in words: what holds, what would have to happen, what was decided last and why."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from controller.cli.figures import at_most, duration, estimate, room, size
from controller.cli.history_view import print_lines
from controller.cli.status_view import (
    approval_line,
    maintenance_line,
    undrilled_line,
    waiting_line,
)
from controller.cli.table import Below, column_widths, head_line, row_lines
from controller.core.explanation.explain import CopyView, Explanation, Way
from controller.core.model import HeldFor, Phase
from controller.stores.base import HistoryLine
from protocol.messages import ReplicaReport

FAILOVER_TARGETS = (Phase.COUNTDOWN, Phase.DRAINING, Phase.PROMOTING)

STALE_MS = 2000
"""An older report says how it was, not how it is."""


def print_explanation(
    console: Console,
    service: Explanation,
    history: tuple[HistoryLine, ...],
    history_problem: str,
) -> None:
    """Everything that an engineer wants to know about one service."""
    _print_head(console, service)
    _print_figures(console, service)
    _print_copies(console, service)
    leading = [target for target in FAILOVER_TARGETS if target != service.phase]
    failover = [way for way in service.ways if way.target in leading]
    others = [way for way in service.ways if way.target not in leading]
    if failover:
        _print_ways(console, "For a failover or a move, all of one list must be met:", failover)
        _print_ways(console, "Other ways from here:", others)
    else:
        _print_ways(console, f"No failover begins in {service.phase}; what leads on is:", others)
    _heading(console, "What was decided last, newest first:")
    if history_problem:
        console.print(Text(f"  not known: {history_problem}", style="red"))
    else:
        print_lines(console, history, with_service=False)


def _print_head(console: Console, service: Explanation) -> None:
    style = "bold green" if service.protected else "bold red"
    head = Text.assemble(
        (service.service, "bold"),
        "  ",
        (service.phase, style),
        f"  epoch {service.epoch}, revision {service.revision}, tier {service.tier}, "
        f"{service.protection}{_policy(service)}",
    )
    console.print(head)
    console.print(Text(f"Why: {service.because}"))
    console.print(Text(f"Advice: {service.advice}", style="bold"))
    if service.not_drilled:
        console.print(Text(undrilled_line(service), style="yellow"))
    for text in service.warnings:
        console.print(Text(f"Warning: {text}", style="yellow"))
    if service.paused:
        console.print(Text(f"Automatic failover is paused {service.paused}", style="yellow"))
    if service.commits_wait_ms >= 0:
        console.print(Text(waiting_line(service), style="bold red"))
    if service.readiness:
        console.print(Text(f"Readiness: raised, for {service.readiness}", style="yellow"))
    if service.maintenance:
        told = maintenance_line(service.phase, service.maintenance)
        console.print(Text(told, style="yellow"))
    if service.approval:
        console.print(Text(approval_line(service.approval), style="yellow"))
    if service.operation:
        console.print(Text(f"Under way: operation {service.operation}"))


def _policy(service: Explanation) -> str:
    """What a sync service does when its backup is lost."""
    return f" (backup_loss: {service.backup_loss})" if service.backup_loss else ""


def _print_figures(console: Console, service: Explanation) -> None:
    proof = "never yet" if service.proven_ago_ms < 0 else f"{duration(service.proven_ago_ms)} ago"
    lease = f"{duration(service.lease_left_ms)} left of {duration(service.lease_ttl_ms)}"
    lines = (
        ("primary", f"{service.primary}, last commit proved to the controller {proof}"),
        ("lease", lease if service.lease_left_ms else f"none reported ({service.phase})"),
        ("backup", f"{service.backup or 'none'}, {_behind(service)}"),
        (
            "failover now",
            f"loses {estimate(service.loss_bytes)}{at_most(service.loss_ms)} "
            f"(bound {size(service.loss_bound_bytes)}), "
            f"takes at most {duration(service.predicted_failover_ms)}"
            if service.protected
            else "not by itself as it stands now; see below",
        ),
        (
            "switchover now",
            f"loses nothing, takes about {duration(service.predicted_switchover_ms)}"
            if service.protected
            else "not as it stands now; see below",
        ),
    )
    console.print()
    table = Table.grid(padding=(0, 2))
    for name, text in lines:
        table.add_row(Text(name), Text(text))
    console.print(table)


def _behind(service: Explanation) -> str:
    if service.held_for == HeldFor.LOSS:
        bound = size(service.loss_bound_bytes)
        lost = size(service.loss_bytes) + (at_most(service.loss_ms) or " at most")
        return f"held for a loss of {lost} (bound {bound})"
    return f"{size(service.lag_bytes)} behind"


def _print_copies(console: Console, service: Explanation) -> None:
    _heading(console, "Copies:")
    heads = ("AGENT", "SITE", "HEARD", "ENGINE", "LOG END")
    rows = [_copy_cells(copy) for copy in service.copies]
    widths = column_widths([heads, *rows], console.width)
    console.print(head_line(heads, widths))
    for copy, row in zip(service.copies, rows, strict=True):
        console.print(row_lines(row, widths))
        for text in filter(None, _states(copy.report)):
            console.print(Below(Text(text)))


def _copy_cells(copy: CopyView) -> tuple[str, ...]:
    report = copy.report
    heard = "never yet" if copy.heard_ago_ms < 0 else f"{duration(copy.heard_ago_ms)} ago"
    if report is None:
        return copy.agent, copy.site, heard, "", ""
    engine = f"was {report.role.value}" if copy.heard_ago_ms > STALE_MS else report.role.value
    if report.writable:
        engine += ", writable"
    elif report.streaming:
        engine += ", streaming"
    return copy.agent, copy.site, heard, engine, str(report.position_bytes)


def _states(report: ReplicaReport | None) -> tuple[str, ...]:
    """What a copy does, and what is to be known of it."""
    if report is None:
        return ()
    quarantine = f"quarantine: {report.quarantine}" if report.quarantine else ""
    fences = f"fence: {report.fences}" if report.fences else ""
    free = report.disk_free_bytes
    disk = f"{room(free)} of disk free" if free else ""
    return report.doing, report.problem, report.illness, quarantine, fences, disk


def _print_ways(console: Console, title: str, ways: list[Way]) -> None:
    if not ways:
        return
    _heading(console, title)
    for way in ways:
        who = "if an operator asks" if way.needs_operator else "by itself"
        name = way.name.replace("_", " ")
        console.print(Text(f"  {name} -> {way.target}, {who}", style="bold"))
        for clause in way.clauses:
            if clause.text.startswith("no operator asks"):
                continue
            mark = ("met      ", "green") if clause.holds else ("not met  ", "red")
            row = Table.grid(padding=(0, 0))
            row.add_row(Text("    "), Text(*mark), Text(clause.text))
            console.print(row)


def _heading(console: Console, title: str) -> None:
    console.print()
    console.print(Text(title, style="underline"))
