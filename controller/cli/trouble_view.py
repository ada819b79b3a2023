"""What `saling status` says of the controller itself, and of drills, in sentences."""

from __future__ import annotations

from controller.cli.wire import StateView


def troubles(state: StateView) -> list[str]:
    """What is wrong with the controller itself."""
    told = [
        f"broker {broker.name} is not connected{_why(broker.problem)}"
        for broker in state.brokers
        if not broker.connected
    ]
    if not state.store.up:
        told.append(f"the store does not answer{_why(state.store.problem)}")
    for uid, why in state.store.broken_records.items():
        told.append(f"the record of {uid} cannot be read, its service is left alone{_why(why)}")
    if state.controller.blind:
        told.append(state.controller.blind)
    if state.journal.problem:
        told.append(f"the journal is not written{_why(state.journal.problem)}")
    told += _of_configuration(state)
    if state.controller.rule_errors:
        told.append(
            f"{state.controller.rule_errors} events were not understood by the rules; "
            "see the controller's log"
        )
    return told


def drill_lines(state: StateView) -> list[str]:
    """That a site could be left is known only as far as it was tried."""
    told = []
    for one in state.drills:
        age = "none passed yet" if one.age_ms < 0 else f"the last passed {one.passed_at}"
        if one.overdue:
            told.append(f"a drill of {one.site} is overdue: {age}; `saling drill {one.site}`")
        if one.last == "failed":
            report = f"`saling drill --report {one.last_id}`"
            told.append(f"the last drill of {one.site} failed: {report}")
        if one.skipped:
            told.append(f"the drill of {one.site} that was due was not begun: {one.skipped}")
    return told


def _of_configuration(state: StateView) -> list[str]:
    known = state.configuration
    told = []
    if known.last_reload.failed:
        who = f" by {known.last_reload.by}" if known.last_reload.by else ""
        told.append(
            f"the last reload{who} changed nothing: {known.last_reload.failed} "
            f"(in force since {known.in_force_since})"
        )
    if known.waits_for_restart:
        told.append(f"taken by a restart only: {', '.join(known.waits_for_restart)}")
    return told


def _why(problem: str) -> str:
    return f": {problem}" if problem else ""
