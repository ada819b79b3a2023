"""From the lines of the history to a timeline. Pure: nothing is read here, and nothing decided."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from msgspec.structs import replace

from config.topology import Topology
from controller.core.happening import About, Happening
from controller.core.model import Phase
from controller.stores.base import HappeningLine, HistoryLine, PlanLine
from controller.timeline.model import CONTROLLER, UNDER_WAY, Entry, Move, Place, Timeline

TOGETHER_MS = 10 * 60_000
"""Services that leave PROTECTED so near to each other do it for one reason, most likely; and what
came so long before may have been it."""


class Lines(NamedTuple):
    """What was read of the history, in any order."""

    changes: list[HistoryLine]
    plans: list[PlanLine]
    happenings: list[HappeningLine]
    whole: bool
    """Whether all of it was looked at."""


class Choice(NamedTuple):
    """Of what a timeline is wanted; what is empty chooses nothing."""

    last: bool = False
    operation: str = ""
    plan: str = ""
    service: str = ""
    site: str = ""
    since_ms: int = 0
    until_ms: int = 2**62
    limit: int = 200


def timeline(topology: Topology, lines: Lines, choice: Choice, made_at_ms: int) -> Timeline:
    """The timeline of a choice."""
    sites = {agent.id: agent.site for agent in topology.agents}
    entries = sorted(_entries(lines, sites), key=lambda entry: (entry.at_ms, entry.number))
    moves = _moves(lines.changes, sites)
    chosen = _last(entries) if choice.last else entries
    chosen = [entry for entry in chosen if _is_wanted(entry, choice)]
    shown = chosen[-choice.limit :]
    ids = {entry.operation for entry in shown}
    return Timeline(
        cluster=topology.cluster.name,
        made_at_ms=made_at_ms,
        choice=_words(choice),
        places=tuple(Place(s.id, s.name, s.zone) for s in topology.sites),
        moves=tuple(move for move in moves if move.id in ids),
        entries=tuple(shown),
        left_out=len(shown) < len(chosen) or not lines.whole,
    )


def _entries(lines: Lines, sites: dict[str, str]) -> list[Entry]:
    changes = [_of_change(line, sites) for line in lines.changes]
    plans = [_of_plan(line) for line in lines.plans]
    # What happened to plans stands in their own history, which is complete.
    others = [line for line in lines.happenings if line.happening.about is not About.PLAN]
    return [*changes, *plans, *(_of_happening(line) for line in others)]


def _of_change(line: HistoryLine, sites: dict[str, str]) -> Entry:
    told = line.transition
    moved = told.from_phase != told.to_phase
    operation = told.operation
    places = (sites.get(agent, "") for agent in (told.primary, told.backup))
    return Entry(
        at_ms=line.at_ms,
        about="service",
        subject=told.service,
        change=f"{told.from_phase} -> {told.to_phase}" if moved else told.to_phase,
        because=told.because,
        by=told.by or CONTROLLER,
        reason=told.reason,
        sites=tuple(place for place in places if place),
        operation=operation.id if operation else "",
        plan=operation.plan if operation else "",
        from_phase=told.from_phase,
        to_phase=told.to_phase,
        epoch=told.epoch,
        outage_ms=told.outage_ms,
        loss_bytes=told.loss_bytes,
        number=line.number,
    )


def _of_plan(line: PlanLine) -> Entry:
    told = line.change
    of_step = f"{told.service}: {told.step}" if told.service else told.status.value
    return Entry(
        at_ms=line.at_ms,
        about="plan",
        subject=told.plan_id,
        change=of_step,
        because=told.because,
        by=told.by or CONTROLLER,
        reason=told.reason,
        sites=(told.site,),
        plan=told.plan_id,
        outage_ms=told.outage_ms,
        loss_bytes=told.loss_bytes,
        number=line.number,
    )


def _of_happening(line: HappeningLine) -> Entry:
    told = line.happening
    return Entry(
        at_ms=line.at_ms,
        about=told.about.value,
        subject=told.subject,
        change=told.what,
        because=told.because,
        by=told.by or CONTROLLER,
        reason=told.reason,
        sites=_sites_of(told),
        plan=told.plan,
        number=line.number,
    )


def _sites_of(told: Happening) -> tuple[str, ...]:
    """Of a link both its ends."""
    if told.about is About.LINK:
        return tuple(told.subject.split(" <-> "))
    return (told.site,) if told.site else ()


def _moves(changes: Iterable[HistoryLine], sites: dict[str, str]) -> list[Move]:
    """The operations, by their beginning."""
    found: dict[str, Move] = {}
    for line in sorted(changes, key=lambda line: line.number):
        told, operation = line.transition, line.transition.operation
        if operation is None:
            continue
        move = found.get(operation.id)
        if move is None:
            move = Move(
                id=operation.id,
                kind=operation.kind,
                service=told.service,
                by=operation.by,
                reason=operation.reason,
                from_site=sites.get(operation.from_agent, operation.from_agent),
                to_site=sites.get(operation.to_agent, operation.to_agent),
                begun_at_ms=line.at_ms,
                plan=operation.plan,
            )
        found[operation.id] = _further(move, line)
    return list(found.values())


def _further(move: Move, line: HistoryLine) -> Move:
    told = line.transition
    ended = bool(told.outcome)
    return replace(
        move,
        outage_ms=told.outage_ms if told.outage_ms >= 0 else move.outage_ms,
        loss_bytes=told.loss_bytes if told.loss_bytes >= 0 else move.loss_bytes,
        ended_at_ms=line.at_ms if ended else move.ended_at_ms,
        outcome=told.outcome if ended else move.outcome,
    )


def _last(entries: list[Entry]) -> list[Entry]:
    """What came since the service that moved last had left PROTECTED, with those that left it
    together with it, or by the same plan; and what else happened meanwhile, or shortly before.
    """
    moved = [e for e in entries if e.about == "service" and e.from_phase != e.to_phase]
    if not moved:
        return _around(entries)
    left = _left_ms(moved)
    with_it = _together(left, moved[-1].subject)
    begun_ms = min(left[name] for name in with_it)
    plans = {e.plan for e in moved if e.subject in with_it and e.at_ms >= begun_ms} - {""}
    of_plans = [entry for entry in entries if entry.plan in plans]
    with_it |= {entry.subject for entry in of_plans}
    begun_ms = min([begun_ms, *(entry.at_ms for entry in of_plans)])
    ended_ms = max(entry.at_ms for entry in entries if entry.subject in with_it)
    return [
        entry
        for entry in entries
        if (entry.at_ms >= begun_ms and entry.subject in with_it)
        or (entry.about != "service" and begun_ms - TOGETHER_MS <= entry.at_ms <= ended_ms)
    ]


def _around(entries: list[Entry]) -> list[Entry]:
    """Where no service ever moved: the last line, with all of its plan and what came shortly
    before."""
    if not entries:
        return []
    last = entries[-1]
    of_plan = (e.at_ms for e in entries if last.plan and e.plan == last.plan)
    begun_ms = min(of_plan, default=last.at_ms)
    return [entry for entry in entries if entry.at_ms >= begun_ms - TOGETHER_MS]


def _together(left: dict[str, int], service: str) -> set[str]:
    """The services that left PROTECTED in one row with this one, each soon after another."""
    begun_ms = ended_ms = left[service]
    in_order = sorted(left.values())
    for at_ms in reversed(in_order):
        if 0 <= begun_ms - at_ms <= TOGETHER_MS:
            begun_ms = at_ms
    for at_ms in in_order:
        if 0 <= at_ms - ended_ms <= TOGETHER_MS:
            ended_ms = at_ms
    return {name for name, at_ms in left.items() if begun_ms <= at_ms <= ended_ms}


def _left_ms(moved: list[Entry]) -> dict[str, int]:
    """When each service last left PROTECTED; its first line where it never was."""
    left: dict[str, int] = {}
    for entry in moved:
        if entry.from_phase == Phase.PROTECTED:
            left[entry.subject] = entry.at_ms
        else:
            left.setdefault(entry.subject, entry.at_ms)
    return left


def _is_wanted(entry: Entry, choice: Choice) -> bool:
    named = {entry.subject} if entry.about == "service" else set[str]()
    return (
        choice.since_ms <= entry.at_ms <= choice.until_ms
        and choice.operation in ("", entry.operation)
        and choice.plan in ("", entry.plan)
        and (not choice.service or choice.service in named or _tells_of(entry, choice.service))
        and (not choice.site or choice.site in entry.sites)
    )


def _tells_of(entry: Entry, service: str) -> bool:
    """Whether a line of a plan is about that service's step."""
    return entry.about == "plan" and entry.change.startswith(f"{service}: ")


def _words(choice: Choice) -> str:
    told = (
        "the last operation or incident" if choice.last else "",
        f"operation {choice.operation}" if choice.operation else "",
        f"plan {choice.plan}" if choice.plan else "",
        f"service {choice.service}" if choice.service else "",
        f"site {choice.site}" if choice.site else "",
    )
    return ", ".join(filter(None, told)) or "all services and sites"


def is_under_way(move: Move) -> bool:
    """Whether it has not ended yet."""
    return move.outcome == UNDER_WAY
