"""`saling maintenance`: the planned absence of backups, of a service, an agent or a site.

The controller is asked for each service by itself. Before anything is done, all of them are
asked with `dry_run`: where one refuses, nothing is done at all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from config.problems import Refused as Unreadable
from config.values import parse_duration
from controller.cli.asking import interruptible, watch
from controller.cli.client import Client
from controller.cli.exits import CommandFailed, Exit, Refused
from controller.cli.options import Said, Session, Watching
from controller.cli.output import Output, data_console, print_json, say
from controller.cli.status_view import narrowed
from controller.cli.table import table
from controller.cli.wire import Accepted, StateView, read
from controller.core.events import Kind
from controller.core.explanation.explain import Explanation
from controller.core.gates.maintenance import FOR_LEAST_MS, FOR_MOST_MS, left, span

LOOK_AGAIN_S = 0.2
ANNOUNCED_ALREADY = (
    "only the watching ended: the maintenance is announced; do not stop the backup before "
    "saling maintenance list says that it may be stopped"
)


@dataclass(frozen=True)
class Plan:
    """Whose absence, and why."""

    place: str | None
    service: str | None
    said: Said
    for_ms: int = 0


@dataclass(frozen=True)
class Target:
    """One service, and the agent of it that will be away; empty for its backup."""

    service: str
    agent: str


def read_time(text: str) -> int:
    """`90m` in milliseconds. Raises CommandFailed."""
    try:
        for_ms = parse_duration(text)
    except Unreadable as fault:
        raise CommandFailed(
            f"--for {text[:40]!a}: {fault.message}; {fault.mend}", Exit.USAGE
        ) from None
    if not FOR_LEAST_MS <= for_ms <= FOR_MOST_MS:
        fault_text = "shorter than a minute" if for_ms < FOR_LEAST_MS else "longer than 30 days"
        raise CommandFailed(
            f"--for {text[:40]!a}: {fault_text}; give a minute to 30 days, such as 90m or 2h",
            Exit.USAGE,
        )
    return for_ms


def begin(session: Session, plan: Plan, manner: Watching) -> Exit:
    """Announce the absence of all copies there. Raises CommandFailed."""
    client, output = session.client(), session.output
    targets = _chosen(_state(client), plan)
    _require_all(client, plan, targets)
    if manner.dry_run:
        answers = {t.service: _ask_begin(client, plan, t, dry_run=True) for t in targets}
        _tell(answers, output, "dry run: the controller would accept it: ", dry_run=True)
        return Exit.OK
    answers = {}
    for target in targets:
        try:
            answers[target.service] = _ask_begin(client, plan, target)
        except CommandFailed as error:
            raise _half_done(error, list(answers), target.service) from None
    ready = not manner.no_wait and _watch(client, list(answers), manner.timeout)
    _tell(answers, output, may_stop=ready)
    if manner.no_wait:
        return Exit.OK
    return _tell_ready(list(answers), ready, manner.timeout)


def end(session: Session, plan: Plan) -> None:
    """End what is announced there; nothing is no error. Raises CommandFailed."""
    client = session.client()
    state = _state(client)
    mine = {target.service for target in _chosen(state, plan)}
    announced = [
        one.service
        for one in state.services
        if one.service in mine
        and one.maintenance
        and (plan.place is None or one.maintenance.agent in _agents(state, plan.place))
    ]
    body = plan.said.body()
    answers = {name: client.ask(Kind.END_MAINTENANCE.value, name, body) for name in announced}
    _tell(answers, session.output)
    if not announced:
        say("no maintenance is announced there; nothing was done")


def show(session: Session) -> None:
    """Print what is announced. Raises CommandFailed."""
    found = [one for one in _state(session.client()).services if one.maintenance]
    if session.output is Output.JSON:
        listed = [{"service": s.service, **msgspec.to_builtins(s.maintenance)} for s in found]
        print_json({"maintenance": listed})
        return
    if not found:
        data_console().print("no maintenance is announced")
        return
    heads = ("SERVICE", "BACKUP", "FOR", "LEFT", "BACKUP IS", "BY", "WHY")
    console = data_console()
    rows = [_cells(one) for one in found]
    console.print(table(heads, rows, console.width))


def _cells(one: Explanation) -> tuple[str, ...]:
    announced = one.maintenance
    if announced is None:
        return ()
    stands = "away" if announced.away else "there; it may be stopped"
    if not announced.away and not announced.may_stop:
        stands = "there; do not stop it yet"
    return (
        one.service, announced.agent, span(announced.for_ms), left(announced.left_ms), stands,
        announced.by, announced.reason,
    )  # fmt: skip


def _chosen(state: StateView, plan: Plan) -> list[Target]:
    """The services that are meant. Raises CommandFailed."""
    if (plan.place is None) == (plan.service is None):
        raise CommandFailed(
            "name either an AGENT or SITE, or one service with --service; nothing was done",
            Exit.USAGE,
        )
    if plan.service is not None:
        if narrowed(state, plan.service) is None:
            names = ", ".join(one.service for one in state.services) or "none"
            raise CommandFailed(
                f"there is no service {plan.service[:80]!a}\n  mend: the services are: {names}",
                Exit.USAGE,
            )
        return [Target(plan.service, "")]
    agents = _agents(state, plan.place or "")
    found = [
        Target(one.service, copy.agent)
        for one in state.services
        for copy in one.copies
        if copy.agent in agents
    ]
    if not found:
        raise CommandFailed(f"no service has a copy at {plan.place}", Exit.USAGE)
    return found


def _agents(state: StateView, place: str) -> set[str]:
    """The agent of that name, or all of the site. Raises CommandFailed."""
    found = {a.id for a in state.agents if a.id == place}
    found = found or {a.id for a in state.agents if a.site == place}
    if not found:
        agents = ", ".join(agent.id for agent in state.agents) or "none"
        sites = ", ".join(site.id for site in state.sites) or "none"
        raise CommandFailed(
            f"there is no agent or site {place[:80]!a}\n  mend: the agents are: {agents}; the "
            f"sites are: {sites}",
            Exit.USAGE,
        )
    return found


def _require_all(client: Client, plan: Plan, targets: list[Target]) -> None:
    """Raise Refused, with what stands in the way anywhere, before anything is done."""
    unmet: list[str] = []
    bodies: dict[str, Any] = {}
    for target in targets:
        try:
            _ask_begin(client, plan, target, dry_run=True)
        except Refused as refused:
            why = refused.body.get("refused", "no reason given")
            unmet.append(f"{target.service}: {'; '.join([why, *refused.unmet])}")
            bodies[target.service] = refused.body
    if unmet:
        where = plan.place or plan.service
        text = f"the maintenance of {where} is refused, nothing was done"
        raise Refused(text, tuple(unmet), {"refused": text, "unmet": unmet, "services": bodies})


def _ask_begin(client: Client, plan: Plan, target: Target, dry_run: bool = False) -> Any:
    body = plan.said.body(for_ms=plan.for_ms)
    if target.agent:
        body["agent"] = target.agent
    if dry_run:
        body["dry_run"] = True
    return client.ask(Kind.BEGIN_MAINTENANCE.value, target.service, body)


def _half_done(error: CommandFailed, begun: list[str], failed: str) -> CommandFailed:
    names = ", ".join(begun) or "none"
    text = (
        f"{failed}: {error.text}\n  announced before that: {names}; ask again, or take it back "
        "with saling maintenance end"
    )
    return CommandFailed(text, error.code, error.body)


def _watch(client: Client, services: list[str], timeout_s: float) -> bool:
    """Wait until every primary knows that it stands alone; False when time is over."""
    with interruptible(lambda: ANNOUNCED_ALREADY):
        may_stop = watch(lambda: _may_stop(client, services), bool, timeout_s, LOOK_AGAIN_S)
    return bool(may_stop)


def _may_stop(client: Client, services: list[str]) -> bool:
    """Whether all backups may be stopped now."""
    found = [one for one in _state(client).services if one.service in services]
    return bool(found) and all(one.maintenance and one.maintenance.may_stop for one in found)


def _tell(answers: dict[str, Any], output: Output, before: str = "", **more: bool) -> None:
    if output is Output.JSON:
        print_json({"services": answers, **more})
        return
    for name, raw in answers.items():
        text = read(raw, Accepted, "answer").text
        data_console().print(f"{name}: {before}{text}", soft_wrap=True)


def _tell_ready(services: list[str], ready: bool, timeout_s: float) -> Exit:
    names = ", ".join(services)
    if ready:
        say(f"the backup of {names} may be stopped now", "green")
        return Exit.OK
    say(
        f"do not stop it yet: not every primary of {names} has answered within {timeout_s:g} s "
        "that it stands alone; see: saling maintenance list",
        "bold red",
    )
    return Exit.ERROR


def _state(client: Client) -> StateView:
    return read(client.state(), StateView, "state")
