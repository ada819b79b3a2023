"""The configuration is read anew while the controller leads: what of it may be taken, and how.

It changes what is declared of a service, never its record: what a record says of it changes by
the rows of the table alone, each with a revision of its own. Nothing that was promised or heard
is forgotten (docs/decisions/0021-reload.md).
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from controller.core.events import Configured
from controller.core.keys import another_machine, declared_key
from controller.core.model import Phase, Record, ServiceSpec, ServiceState, State
from controller.core.moment.view import View
from controller.core.site_model import Health, Nation, Stage
from controller.core.sites.look import STARTUP_MS, Look, ago

DECLARED_OF_A_NATION = (
    "home", "addresses", "probe_lists", "link_specs", "report_interval_ms",
)  # fmt: skip
"""What of it, besides its sites, the configuration says. All else was heard, or is a person's."""

ON_THE_WAY = (Phase.DRAINING, Phase.COUNTDOWN, Phase.PROMOTING, Phase.ROUTING)


def begun(specs: Iterable[ServiceSpec]) -> tuple[ServiceSpec, ...]:
    """Those that stand in a site that is in use; the others wait until one of theirs is."""
    return tuple(spec for spec in specs if _stands(spec))


def misfits(spec: ServiceSpec, record: Record, known: ServiceSpec | None = None) -> tuple[str, ...]:
    """Why the stored reign cannot go on under what is declared, a sentence each. `known` is the
    declaration in force, where there is one."""
    found = []
    primary = spec.replica(record.primary)
    if primary is None:
        found.append(
            f"service {spec.name}: the store says that its primary is on the agent "
            f"{record.primary}, and the configuration declares no replica there; declare it "
            "again, and move the service first if it shall leave that agent"
        )
    elif primary.stage is Stage.PLANNED:
        found.append(
            f"service {spec.name}: its primary stands in {primary.site}, which the configuration "
            f"calls planned; call {primary.site} suspended, and move the service first"
        )
    gone = record.backup and spec.replica(record.backup) is None
    if gone and record.phase is not Phase.ALONE:
        found.append(
            f"service {spec.name}: the store says that its backup is on the agent "
            f"{record.backup}, which may take over ({record.phase.value}), and the configuration "
            "declares no replica there; let the primary stand alone first, with `saling "
            f"maintenance begin --service {spec.name} --for 1h --reason TEXT`"
        )
    return (*found, *another_machine(spec, record, known))


def objections(state: State, event: Configured, now_ms: int) -> tuple[str, ...]:
    """Why the configuration is refused, a sentence each; none if it is taken."""
    found: list[str] = []
    specs = {spec.uid: spec for spec in begun(event.specs)}
    for uid, service in state.services.items():
        if uid in specs:
            found += _of_known(specs[uid], service)
        else:
            found += _of_gone(state.nation, service, uid in event.retired, now_ms)
    for uid, record in event.stored.items():
        if uid in specs:
            found += misfits(specs[uid], record) + _another(specs[uid], record)
    return tuple(found)


def redeclared(service: ServiceState, spec: ServiceSpec, now_ms: int) -> ServiceState:
    """The service under another declaration: what was promised and heard of it stays, but for the
    last word of a machine that is declared no more."""
    before = service.spec
    reports = {
        agent: seen
        for agent, seen in service.reports.items()
        if spec.replica(agent) and declared_key(spec, agent) == declared_key(before, agent)
    }
    if spec != before:
        service = replace(service, declared_ms=now_ms)
    return replace(service, spec=spec, reports=reports)


def redeclared_nation(known: Nation, declared: Nation, now_ms: int) -> Nation:
    """The sites as declared, with what was heard of those that were known before."""
    sites = {
        name: replace(known.sites[name], spec=site.spec)
        if name in known.sites
        else replace(site, since_ms=now_ms)
        for name, site in declared.sites.items()
    }
    heard = {agent: seen for agent, seen in known.agents.items() if agent in declared.addresses}
    as_declared = {name: getattr(declared, name) for name in DECLARED_OF_A_NATION}
    return replace(known, sites=sites, agents=heard, **as_declared)


def _stands(spec: ServiceSpec) -> bool:
    return any(replica.stage is not Stage.PLANNED for replica in spec.replicas)


def _of_known(spec: ServiceSpec, service: ServiceState) -> tuple[str, ...]:
    record = service.record
    moves = record.phase in ON_THE_WAY
    target = spec.replica(record.primary if record.phase in ON_THE_WAY[2:] else record.backup)
    if moves and target is not None and target.stage is not Stage.ACTIVE:
        return (
            f"service {spec.name} is on its way to {target.site} ({record.phase.value}), which the "
            f"configuration calls {target.stage.value}; ask again when it is over",
        )
    return misfits(spec, record, service.spec) + _another(spec, record)


def _another(spec: ServiceSpec, record: Record) -> tuple[str, ...]:
    """Whether what is declared is another service than the one that is known by its uid."""
    found = []
    if spec.name != record.service:
        found.append(
            f"service {spec.name} has the uid {spec.uid}, which is that of {record.service}; give "
            "it a uid of its own, or its name back"
        )
    declared, known = spec.system_identifier, record.system_identifier
    if declared and known and declared != known:
        found.append(
            f"service {spec.name}: the configuration says database {declared}, and its copies are "
            f"of database {known}; correct system_identifier, or declare a service of its own"
        )
    return tuple(found)


def _of_gone(
    nation: Nation, service: ServiceState, is_retired: bool, now_ms: int
) -> tuple[str, ...]:
    name, record = service.spec.name, service.record
    if not is_retired:
        return (
            f"service {name} is not begun by this configuration, and its record has a primary on "
            f"{record.primary}; to give it up, write `state: retired` in its entry first",
        )
    if record.phase is Phase.ALONE:
        return ()
    view = View(service, now_ms)
    agents = tuple(filter(None, (record.primary, record.backup)))
    if any(view.unheard_ms(agent) < view.lost_after_ms for agent in agents):
        return (
            f"service {name} cannot be retired in {record.phase.value}: its primary writes under a "
            "lease, which nobody would extend; let it stand alone first, with `saling maintenance "
            f"begin --service {name} --for 1h --reason TEXT`, or stop the engines and the agents "
            "of its copies",
        )
    deaf = _deaf(Look(nation, (), now_ms), agents)
    if not deaf:
        return ()
    return (
        f"service {name} cannot be retired in {record.phase.value}: {' and '.join(agents)} are not "
        f"heard, and may serve all the same, for {deaf}; ask again once the controller hears more, "
        "or let the service stand alone first",
    )


def _deaf(look: Look, agents: tuple[str, ...]) -> str:
    """Why the silence of agents may be the controller's own; empty where it is theirs: another
    agent of the site is heard, or the others say that the site is down."""
    if look.listening_ms < STARTUP_MS:
        return f"the controller has listened for {ago(look.listening_ms)} only"
    if look.blind:
        return look.blind
    for site in look.active:
        concerned = any(agent in site.spec.agents for agent in agents)
        if concerned and not look.heard_of(site) and site.health is not Health.DOWN:
            return f"nobody of {site.spec.name} is heard, and it is {site.health.value}"
    return ""
