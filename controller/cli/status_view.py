"""What one wants to see at 3 a.m.: is anything unprotected, and why."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Group, RenderableType
from rich.text import Text

from controller.cli.figures import UNKNOWN, at_most, duration, size
from controller.cli.history_view import phase_style
from controller.cli.plan_view import plan_line
from controller.cli.site_view import WATCHED_STATES, broken, is_faulty, link_text, site_lines
from controller.cli.table import Below, column_widths, head_line, kept, row_lines
from controller.cli.trouble_view import drill_lines, troubles
from controller.cli.wire import AgentView, SiteView, StateView
from controller.copies import quarantines, vetoes
from controller.core.explanation.explain import ApprovalView, Explanation, HoldView, MaintenanceView
from controller.core.gates.holds import where
from controller.core.gates.maintenance import left
from controller.core.model import HeldFor, Phase
from controller.core.plan_model import PlanStatus

HEADS = ("SERVICE", "PHASE", "EPOCH", "PRIMARY", "BACKUP", "LAG / BOUND", "LEASE")
QUARANTINED = "*"
"""Behind the phase of a service of which a copy keeps what waits for a human; told below it."""
LONGEST_REASON = 120
LONGEST_SENTENCE = 500
"""In characters: `explain` has the whole of it."""


def degraded(state: StateView) -> bool:
    """Whether anything is not as it should be."""
    return bool(
        any(not (well(service) or announced(service)) for service in state.services)
        or state.store.broken_records
        or not state.store.up
        or not all(broker.connected for broker in state.brokers)
        or any(not agent.up for agent in _watched_agents(state))
        or plan_waits(state)
        or any(is_faulty(site) and not _is_announced(site, state) for site in state.sites)
        or broken(state.links)
        or any(not service.drilled for service in state.services)
    )


def plan_waits(state: StateView) -> bool:
    """Whether a plan needs a person."""
    return state.plan is not None and state.plan.status is PlanStatus.WAITING


def well(service: Explanation) -> bool:
    """Whether the service would be taken over by itself."""
    return service.protected and not stopped(service)


def undrilled(service: Explanation) -> bool:
    """Whether it would be taken over, as reports say, and no drill has shown it in time."""
    return well(service) and not service.drilled


def undrilled_line(service: Explanation) -> str:
    """`protected, but not drilled: a drill of batam is overdue: none passed yet; ...`."""
    what = "protected, but not drilled" if well(service) else "not drilled"
    return f"{what}: {service.not_drilled}"


def stopped(service: Explanation) -> bool:
    """Whether somebody has turned automatic failover off."""
    return bool(service.paused or service.hold)


def announced(service: Explanation) -> bool:
    """Whether nothing is in the way of that but an announced maintenance of the backup, or that
    its site is planned."""
    return (_in_maintenance(service) or service.as_planned) and not stopped(service)


def _in_maintenance(service: Explanation) -> bool:
    return service.maintenance is not None and service.maintenance.as_announced


def _told_of(services: Iterable[Explanation]) -> str:
    """`, 2 in maintenance, 1 with a planned backup` of those that are as announced."""
    known = [service for service in services if announced(service)]
    away = sum(_in_maintenance(service) for service in known)
    told = (
        f", {away} in maintenance" if away else "",
        f", {len(known) - away} with a planned backup" if len(known) > away else "",
    )
    return "".join(told)


def silent(service: Explanation) -> bool:
    """Whether the controller waits for a proof of the primary for longer than its lease.

    That alone is no fault: the backup may hear it all the same.
    """
    return service.protected and service.proven_ago_ms > service.lease_ttl_ms


def narrowed(state: StateView, name: str) -> Explanation | None:
    """One service of the state."""
    return next((service for service in state.services if service.service == name), None)


def status_view(state: StateView, width: int) -> Group:
    """The whole picture, at most `width` columns wide."""
    parts: list[RenderableType] = [
        headline(state, width),
        *(_below(text, "bold red") for text in troubles(state)),
    ]
    if state.plan is not None:
        parts.append(plan_line(state.plan))
    parts += [Text(), Text(f"cluster {state.cluster.name}"), *_sites(state), *_pairs(state), Text()]
    parts += services_view(state.services, width)
    parts += [_below(text, "yellow") for text in drill_lines(state)]
    return Group(*parts)


def headline(state: StateView, width: int) -> Text:
    """How many are protected, and is the controller fine; in two lines where one is too long."""
    protection, controller = _protection(state), _controller(state)
    fits = len(protection) + len(" | ") + len(controller) <= width
    return Text(" | " if fits else "\n").join([protection, controller])


def _protection(state: StateView) -> Text:
    total = len(state.services) + len(state.store.broken_records)
    safe = sum(1 for service in state.services if well(service))
    planned = sum(1 for service in state.services if announced(service))
    text = Text()
    text.append(f"{safe} of {total} services protected", style="green" if safe == total else "")
    if untried := sum(1 for service in state.services if undrilled(service)):
        text.append(f", {untried} of them but not drilled", style="yellow")
    if planned:
        text.append(_told_of(state.services), style="yellow")
    if safe + planned < total:
        text.append(f", {total - safe - planned} NOT", style="bold red")
    return text


def _controller(state: StateView) -> Text:
    connected = sum(broker.connected for broker in state.brokers)
    fine = state.store.up and connected == len(state.brokers) and not state.controller.rule_errors
    text = Text("controller ")
    fine = fine and not state.controller.blind
    how = "fine" if fine else "PROBABLY BLIND" if state.controller.blind else "IN TROUBLE"
    text.append(how, style="green" if fine else "bold red")
    text.append(
        f": term {state.term}, {state.store.kind} {'up' if state.store.up else 'DOWN'}, "
        f"brokers {connected}/{len(state.brokers)}"
    )
    return text


def services_view(services: tuple[Explanation, ...], width: int) -> list[RenderableType]:
    """A row each with the sentence why below it; the unprotected ones stand first."""
    if not services:
        return [Text("no services are declared")]
    ranked = sorted(services, key=lambda one: (well(one), announced(one), one.phase != Phase.HELD))
    rows = [_cells(service) for service in ranked]
    widths = column_widths([HEADS, *rows], width)
    parts: list[RenderableType] = [head_line(HEADS, widths)]
    for service, row in zip(ranked, rows, strict=True):
        parts.append(_row(service, row_lines(row, widths)))
        because = _clipped(_brief(service.because, service.hold), LONGEST_SENTENCE)
        parts.append(_below(because, "dim" if well(service) else ""))
        if service.maintenance:
            parts.append(_below(maintenance_line(service.phase, service.maintenance), "yellow"))
        if service.commits_wait_ms >= 0:
            parts.append(_below(waiting_line(service), "bold red"))
        if service.hold:
            told = _brief(hold_line(service.hold), service.hold)
            parts.append(_below(told, "bold yellow"))
        if service.approval:
            parts.append(_below(approval_line(service.approval), "yellow"))
        parts += [_below(text, "bold yellow") for text in _veto_lines(service)]
        if service.paused:
            parts.append(_below(f"automatic failover is PAUSED {service.paused}", "yellow"))
        if silent(service):
            parts.append(
                _below(f"{service.primary} was last heard to commit {_ago(service)}", "yellow")
            )
        parts += [_below(text, "yellow") for text in service.warnings]
        parts += [_below(text, "yellow") for text in _quarantine_lines(service)]
        if not service.protected:
            parts.append(_below(f"> {_brief(service.advice, service.hold)}", "bold"))
    return parts


def hold_line(hold: HoldView) -> str:
    """`ON HOLD (all services, 3 h 40 min left), by siti: files are encrypted`."""
    return (
        f"ON HOLD ({where(hold.scope)}, {left(hold.left_ms)}), by {hold.by}: "
        f"{hold.reason or 'no reason given'}; nobody takes over"
    )


def maintenance_line(phase: str, maintenance: MaintenanceView) -> str:
    """`ALONE (maintenance of batam-1, 40 min left), by siti: kernel patches`."""
    rest = left(maintenance.left_ms)
    why = f": {maintenance.reason}" if maintenance.reason else ""
    return f"{phase} (maintenance of {maintenance.agent}, {rest}), by {maintenance.by}{why}"


def waiting_line(service: Explanation) -> str:
    """For how long commits have waited for the backup, as far as this controller has seen."""
    return f"COMMITS WAIT for {service.backup}, for {duration(service.commits_wait_ms)} at least"


def approval_line(approval: ApprovalView) -> str:
    """`a loss of 2.10 MiB of 3.1 s at most is accepted by siti for epoch 4; good for 9 min`."""
    if approval.loss_bytes < 0:
        why = f" ({approval.reason})" if approval.reason else ""
        left = duration(approval.left_ms)
        return (
            f"{approval.by} asks to move it by force{why}; somebody else must prove within {left}"
        )
    people = " and ".join(filter(None, (approval.by, approval.second)))
    left = duration(approval.left_ms)
    rest = (
        f"somebody else must say the same within {left}" if approval.waits else f"good for {left}"
    )
    lost = size(approval.loss_bytes) + at_most(approval.loss_ms)
    return f"a loss of {lost} is accepted by {people} for epoch {approval.epoch}; {rest}"


def _veto_lines(service: Explanation) -> list[str]:
    """`batam-1 keeps its role (1 h left), by an operator of its host: siti: a new disk`."""
    return [
        f"{veto.agent} keeps its role ({left(veto.left_ms)}), by an operator of its host: "
        f"{veto.text}; `saling-agent release` there ends that"
        for veto in vetoes(service)
    ]


def _quarantine_lines(service: Explanation) -> list[str]:
    return [
        f"{QUARANTINED} quarantine at {kept.agent}, waits for a human: {kept.text}"
        for kept in quarantines(service)
    ]


def _sites(state: StateView) -> list[RenderableType]:
    longest = max((len(site.id) for site in state.sites), default=0)
    parts: list[RenderableType] = []
    for site in state.sites:
        parts.append(_site(site, state, longest))
        # Of a blind controller that is said once, at the top.
        lines = [] if state.controller.blind else site_lines(site)
        parts += [Below(line) for line in lines]
    return [*parts, *(link_text(link) for link in broken(state.links))]


def _is_announced(site: SiteView, state: StateView) -> bool:
    """Whether the absence of all its agents is announced."""
    return bool(site.agents) and set(site.agents) <= agents_in_maintenance(state)


def _site(site: SiteView, state: StateView, longest: int) -> RenderableType:
    agents = [agent for agent in state.agents if agent.site == site.id]
    heard = sum(agent.up for agent in agents)
    text = Text(f"site {site.id:<{longest}}  ")
    if site.state not in WATCHED_STATES:
        text.append(f"{site.state}", style="dim")
    elif heard == len(agents):
        text.append("heard", style="green")
    else:
        told = "NOT HEARD" if not heard else f"{heard} of {len(agents)} heard"
        unheard = [agent.id for agent in agents if not agent.up]
        planned = set(unheard) <= agents_in_maintenance(state)
        text.append(f"{told}, in maintenance" if planned else told, "" if planned else "bold red")
    text.append("  " + ", ".join(_agent(agent) for agent in agents))
    return text


def _agent(agent: AgentView) -> str:
    if agent.heard_ago_ms < 0:
        return f"{agent.id} never heard yet"
    return f"{agent.id} {duration(agent.heard_ago_ms)} ago"


def _pairs(state: StateView) -> list[RenderableType]:
    parts: list[RenderableType] = []
    by_name = {service.service: service for service in state.services}
    for pair in state.pairs:
        mine = [by_name[name] for name in pair.services if name in by_name]
        safe = sum(1 for service in mine if well(service))
        text = Text(f"pair {' <-> '.join(pair.sites)}  ")
        untried = sum(1 for service in mine if undrilled(service))
        planned = sum(1 for service in mine if announced(service))
        style = "green" if safe == len(mine) else "bold red"
        text.append(
            f"{safe} of {len(mine)} protected",
            style="yellow" if planned and safe + planned == len(mine) else style,
        )
        if planned:
            text.append(_told_of(mine), style="yellow")
        if untried:
            text.append(f", {untried} of them but not drilled", style="yellow")
        parts.append(text)
    return parts


def _watched_agents(state: StateView) -> list[AgentView]:
    """Those whose silence is a fault: not where it is announced, or nothing is expected."""
    watched = {site.id for site in state.sites if site.state in WATCHED_STATES}
    planned = agents_in_maintenance(state)
    return [a for a in state.agents if a.site in watched and a.id not in planned]


def agents_in_maintenance(state: StateView) -> set[str]:
    """Whose absence is announced and not overdue."""
    return {s.maintenance.agent for s in state.services if s.maintenance and announced(s)}


def _cells(service: Explanation) -> tuple[str, ...]:
    lease = "none"
    if service.lease_left_ms:
        lease = _of(duration(service.lease_left_ms), duration(service.lease_ttl_ms))
    lag = UNKNOWN if service.lag_bytes is None else size(service.lag_bytes)
    if service.held_for == HeldFor.LOSS:
        # How far the backup was behind when both were heard last is not what it waits for.
        lag = f"loss {size(service.loss_bytes)}"
    return (
        service.service,
        service.phase + (QUARANTINED if quarantines(service) else ""),
        str(service.epoch),
        service.primary,
        service.backup or "none",
        _of(lag, "sync" if service.backup_loss else size(service.loss_bound_bytes)),
        lease,
    )


def _of(part: str, whole: str) -> str:
    """`1.4 s / 2.0 s`, broken behind the bar alone."""
    return f"{kept(f'{part} /')} {kept(whole)}"


def _row(service: Explanation, text: Text) -> Text:
    text.style = "" if well(service) else "bold"
    text.highlight_words([service.phase], phase_style(service.phase))
    return text


def _brief(text: str, hold: HoldView | None) -> str:
    """An alert may have placed the hold, with a reason that floods the screen."""
    return text.replace(hold.reason, _clipped(hold.reason, LONGEST_REASON)) if hold else text


def _clipped(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest - 3]}..."


def _below(text: str, style: str) -> RenderableType:
    return Below(Text(text, style=style))


def _ago(service: Explanation) -> str:
    return f"{duration(service.proven_ago_ms)} ago, by the controller"
