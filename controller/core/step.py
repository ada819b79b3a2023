"""The one entry to the controller's rules: `step(state, event, now_ms) -> (state, actions)`.

The state that comes back is what will be true once the actions are done in their order.
Every action may be lost and every event may come twice or late: each decision is made from
the whole of what is known, not from what just happened.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from controller.core.actions import Action, Answer, Found, Note, ReadRecord, SendGrant
from controller.core.configured import begun, objections, redeclared, redeclared_nation
from controller.core.events import (
    Cautioned,
    CautionEnded,
    Configured,
    Event,
    Kind,
    PlanAsked,
    RecordRead,
    RenewCame,
    ReportCame,
    Requested,
    Tick,
)
from controller.core.explanation.refusal import refuse, rows_for
from controller.core.happening import About, Happening
from controller.core.model import (
    Phase,
    Record,
    ReplicaSpec,
    Seen,
    ServiceSpec,
    ServiceState,
    State,
)
from controller.core.moment import loss
from controller.core.moment.detector import watched
from controller.core.moment.others import Others
from controller.core.moment.view import View
from controller.core.orders import leases
from controller.core.orders.telling import order_is_due, orders, remind
from controller.core.phases import first_row
from controller.core.plans.asking import on_plan_asked
from controller.core.plans.going import note_takeovers
from controller.core.plans.policy import move_sites
from controller.core.rows.change import take_row
from controller.core.site_model import Nation, Stage
from controller.core.sites import cautions
from controller.core.sites.hearing import attentive, hear, probes_due
from controller.core.sites.judge import is_due, judged
from protocol.messages import Mode, ReplicaReport
from protocol.windows import grantor_window_ms

MAX_ROWS_A_STEP = 4
"""More changes than this in one step would be a loop in the table; the next event goes on."""


class LeadershipLost(Exception):
    """The store holds what this controller did not write: another one leads."""


def begin(
    specs: Iterable[ServiceSpec],
    records: dict[str, Record],
    term: int,
    generation: str,
    now_ms: int,
    nation: Nation | None = None,
) -> State:
    """The state with which a controller begins to lead.

    It counts as having granted at this very moment, for it forgot what it promised before.
    Services without a record get their first one with `found`, which is stored by the caller.
    """
    services = {s.uid: _begin_service(s, records[s.uid], now_ms) for s in specs}
    return State(term, generation, services, attentive(nation or Nation(), now_ms))


def found(spec: ServiceSpec, term: int) -> Record:
    """The first record of a service: its preferred primary, of those in a site that is in use,
    stands alone in epoch 1."""
    first = next((r for r in spec.replicas if r.stage is Stage.ACTIVE), spec.replicas[0])
    others = [replica for replica in spec.replicas if replica is not first]
    return Record(
        service=spec.name,
        service_uid=spec.uid,
        revision=1,
        term=term,
        phase=Phase.ALONE,
        epoch=1,
        primary=first.agent,
        backup=others[0].agent if others else "",
        terms=spec.terms,
        ttl_ceiling_ms=spec.terms.ttl_ms,
        protection=spec.protection,
        system_identifier=spec.system_identifier,
        because=_new_because(others),
    )


def _new_because(others: list[ReplicaSpec]) -> str:
    text = "the service is new; its primary stands alone until a backup follows it"
    unused = [f"{one.site} is {one.stage.value}" for one in others if one.stage is not Stage.ACTIVE]
    return f"{text} ({unused[0]})" if unused else text


def step(state: State, event: Event, now_ms: int) -> tuple[State, list[Action]]:
    """Decide what follows from an event. Raises LeadershipLost, InvariantBroken."""
    state, actions = _decide(state, event, now_ms)
    if state.plan is not None:
        state = note_takeovers(state, actions)
    return state, actions


def _decide(state: State, event: Event, now_ms: int) -> tuple[State, list[Action]]:
    match event:
        case Tick():
            return _on_tick(state, event.at_ms, now_ms)
        case ReportCame():
            return _on_report(state, event, now_ms)
        case RenewCame():
            return _on_renew(state, event, now_ms)
        case RecordRead():
            return _on_record_read(state, event, now_ms)
        case Requested():
            return on_request(state, event, now_ms)
        case Configured():
            return _on_configured(state, event, now_ms)
        case PlanAsked():
            return on_plan_asked(state, event, now_ms, on_request)
        case Cautioned() | CautionEnded():
            return cautions.hear(state, event, now_ms)


def _begin_service(spec: ServiceSpec, record: Record, now_ms: int) -> ServiceState:
    ttl_ms = max(record.ttl_ceiling_ms, spec.terms.ttl_ms)
    return ServiceState(
        spec=spec,
        record=record,
        entered_ms=now_ms,
        reports={},
        proven_ms=now_ms,
        proven_once=False,
        proven_position_bytes=0,
        proven_rate_bytes_s=0,
        promise_end_ms=now_ms + grantor_window_ms(ttl_ms),
        backup_promise_end_ms=0,
        reign_proven_ms=-1,
        ailing_since_ms=-1,
        following_since_ms=-1,
        fenced_since_ms=-1,
        heard_revision=0,
        ordered_ms=now_ms,
        echoes={},
        maintenance_ms=now_ms,
        waits_since_ms=now_ms,
        hold_ms=now_ms,
    )


def _on_tick(state: State, at_ms: int, now_ms: int) -> tuple[State, list[Action]]:
    state, actions = _settle_all(state, state.services, now_ms)
    state, notes = cautions.run_out(state, now_ms)
    state, changes = _judge_sites(state, now_ms)
    state, moves = move_sites(state, at_ms, now_ms, on_request)
    return state, actions + notes + changes + moves


def _judge_sites(state: State, now_ms: int) -> tuple[State, list[Action]]:
    if not is_due(state.nation, now_ms):
        return state, []
    nation, changes = judged(state.nation, state.services.values(), now_ms)
    return replace(state, nation=nation), [*changes]


def _on_report(state: State, event: ReportCame, now_ms: int) -> tuple[State, list[Action]]:
    agent = event.report.header.sender
    touched: list[str] = []
    reads: list[Action] = []
    services = dict(state.services)
    for report in event.report.replicas:
        service = services.get(report.service_uid)
        if service is None or service.spec.replica(agent) is None:
            continue
        service = _take_report(service, agent, report, now_ms)
        services[report.service_uid] = service
        touched.append(report.service_uid)
        if report.start_nonce and service.echoes.get(agent) != report.start_nonce:
            reads.append(ReadRecord(report.service_uid, agent, report.start_nonce))
    state = replace(state, services=services, nation=hear(state.nation, event.report, now_ms))
    before = state
    state, actions = _settle_all(state, touched, now_ms)
    for uid in touched:
        if state.services[uid].ordered_ms == before.services[uid].ordered_ms:
            actions += remind(state.services[uid], agent, state.term)
    nation, probes = probes_due(state.nation, agent, now_ms)
    return replace(state, nation=nation), [*actions, *probes, *reads]


def _take_report(
    service: ServiceState, agent: str, report: ReplicaReport, now_ms: int
) -> ServiceState:
    """Remember a report, and how far it shows that the store is behind."""
    known = service.record
    if not leases.believable(service, report.revision, report.epoch):
        return service
    promise_end_ms = service.backup_promise_end_ms
    if agent == known.backup and report.promise_left_ms:
        promise_end_ms = max(promise_end_ms, now_ms + report.promise_left_ms)
    heard, primary_bytes = service.heard_positions, -1
    if agent == known.primary and report.writable and report.epoch == known.epoch:
        heard = loss.hear_position(service, report.position_bytes, now_ms)
    if agent == known.backup:
        primary_bytes = loss.position_before(service, now_ms)
    return replace(
        service,
        backup_promise_end_ms=promise_end_ms,
        reports={**service.reports, agent: Seen(report, now_ms, primary_bytes)},
        heard_positions=heard,
        primary_heard_ms=now_ms if agent == known.primary else service.primary_heard_ms,
        heard_revision=max(service.heard_revision, _known_revision(known, agent, report)),
    )


def _known_revision(record: Record, agent: str, report: ReplicaReport) -> int:
    """The revision that a report proves. An epoch, or a right, that the store never gave under
    this revision was given under a later record which the store has lost.
    """
    if report.revision != record.revision:
        return report.revision
    arming = record.phase is Phase.ARMING and report.mode is Mode.LEASED
    given = arming or report.mode in (Mode.NONE, record.mode)
    never_given = agent == record.primary and not given
    return record.revision + 1 if report.epoch > record.epoch or never_given else record.revision


def _on_renew(state: State, event: RenewCame, now_ms: int) -> tuple[State, list[Action]]:
    """Hear what the holder proves, decide what follows, then answer as the new phase allows."""
    agent = event.renew.header.sender
    asks = [a for a in event.renew.asks if _is_replica(state, a.service_uid, agent)]
    services = dict(state.services)
    for ask in asks:
        uid = ask.service_uid
        services[uid] = leases.hear_proof(services[uid], agent, ask, now_ms)
    heard = replace(state, services=services)
    state, actions = _settle_all(heard, dict.fromkeys(a.service_uid for a in asks), now_ms)
    grants, services = [], dict(state.services)
    for ask in asks:
        uid = ask.service_uid
        services[uid], granted = leases.answer(services[uid], agent, ask, now_ms)
        grants.append(granted)
    state = replace(state, services=services)
    if grants:
        actions.append(SendGrant(agent, tuple(grants)))
    return state, actions


def _is_replica(state: State, uid: str, agent: str) -> bool:
    service = state.services.get(uid)
    return service is not None and service.spec.replica(agent) is not None


def _on_record_read(state: State, event: RecordRead, now_ms: int) -> tuple[State, list[Action]]:
    service = state.services.get(event.record.service_uid)
    if service is None:
        return state, []
    stored, known = event.record, service.record
    if stored.term > state.term or stored.revision > known.revision:
        raise LeadershipLost(
            f"{stored.service}: the store holds revision {stored.revision} of term {stored.term}, "
            f"this controller wrote revision {known.revision} in term {state.term}"
        )
    service = replace(service, echoes={**service.echoes, event.agent: event.start_nonce})
    return _put(state, service), orders(service, [event.agent], state.term)


def on_request(
    state: State, event: Requested, now_ms: int, others: Others | None = None
) -> tuple[State, list[Action]]:
    """Do what an operator asks for, or say why not; the last of the actions is the Answer. Whoever
    only tries several requests gives what was worked out of all services for the one before.
    """
    service = state.services.get(event.service_uid)
    if service is None:
        return state, [Answer(event.id, False, f"there is no service {event.service_uid!r}")]
    against = cautions.objections(state.nation, service, event, now_ms)
    if against and event.despite_caution:
        event = cautions.noted(event, against)
    others = others or Others(state.services, state.nation, now_ms)
    view = View(service, now_ms, event, others)
    rows = [row for row in rows_for(event.kind) if row.source is service.record.phase]
    row = next((row for row in rows if row.holds(view)), None)
    if row is None and event.kind is Kind.RESUME and not service.record.paused:
        text = f"automatic failover of {service.record.service} is on already"
        return state, [Answer(event.id, True, text)]
    if row is None and event.kind is Kind.RELEASE and service.record.hold is None:
        text = f"no integrity hold is on {service.record.service}"
        return state, [Answer(event.id, True, text)]
    if row is None:
        return state, [refuse(view, event, rows)]
    if against and not event.despite_caution:
        return state, [cautions.refusal(service, event, against)]
    if event.dry_run:
        return state, [Answer(event.id, True, row.sentence(view))]
    service, swap = take_row(view, row, state.term)
    told = orders(service, [r.agent for r in service.spec.replicas], state.term)
    under_way = None if row.aside else service.record.operation
    operation = under_way.id if under_way else ""
    state, more = _settle_all(_put(state, service), [event.service_uid], now_ms)
    answer = Answer(event.id, True, row.sentence(view), (), operation)
    return state, [swap, *told, *more, answer]


def _on_configured(state: State, event: Configured, now_ms: int) -> tuple[State, list[Action]]:
    """Take what is declared now, whole or not at all; what is new is founded first."""
    unmet = objections(state, event, now_ms)
    if unmet:
        return state, [Answer(event.id, False, "the configuration is refused", unmet)]
    if event.dry_run:
        return state, [Answer(event.id, True, "the configuration would be taken")]
    services: dict[str, ServiceState] = {}
    actions: list[Action] = []
    for spec in begun(event.specs):
        known, stored = state.services.get(spec.uid), event.stored.get(spec.uid)
        if known is not None:
            services[spec.uid] = redeclared(known, spec, now_ms)
            continue
        if stored is None:
            stored = found(spec, state.term)
            actions.append(Found(stored))
        services[spec.uid] = _begin_service(spec, stored, now_ms)
    before = state.services
    nation = redeclared_nation(state.nation, event.nation, now_ms)
    state = replace(state, services=services, nation=nation, move_rules=event.move_rules)
    state, swaps = _settle_all(state, services, now_ms)
    actions += swaps
    for uid, service in state.services.items():
        # Addresses and keys are told under the same revision; what is new is asked for.
        if uid in before and service.spec.replicas != before[uid].spec.replicas:
            actions += orders(service, [r.agent for r in service.spec.replicas], state.term)
    taken = "the configuration is taken"
    noted = [_note_of(event, taken)] if event.told else []
    return state, [*actions, *noted, Answer(event.id, True, taken)]


def _note_of(event: Configured, what: str) -> Note:
    about = About.CONFIGURATION
    return Note(Happening(about, event.file, what, event.told, by=event.by, reason=event.reason))


def _settle_all(state: State, uids: Iterable[str], now_ms: int) -> tuple[State, list[Action]]:
    services = dict(state.services)
    # Each sees what became of those before it, but who fits where is worked out once.
    others = Others(services, state.nation, now_ms)
    actions: list[Action] = []
    for uid in uids:
        services[uid], more = _settle(services[uid], state.term, others)
        actions += more
    return replace(state, services=services), actions


def _settle(service: ServiceState, term: int, others: Others) -> tuple[ServiceState, list[Action]]:
    """Note what is seen, take rows of the table until none fires, then tell the replicas."""
    now_ms = others.now_ms
    view = watched(View(service, now_ms, others=others))
    actions: list[Action] = []
    for _ in range(MAX_ROWS_A_STEP):
        row = first_row(view)
        if row is None:
            break
        service, swap = take_row(view, row, term)
        view = View(service, now_ms, others=others)
        actions.append(swap)
    service = view.service
    if actions or order_is_due(view):
        service = replace(service, ordered_ms=now_ms)
        actions += orders(service, [r.agent for r in service.spec.replicas], term)
    return service, actions


def _put(state: State, service: ServiceState) -> State:
    return replace(state, services={**state.services, service.spec.uid: service})
