"""What the rules would decide if sites, links or the controller were lost at this very moment.

The shipped `step` decides, in `Foresight`; what came of it is put into words and figures here.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct
from msgspec.structs import replace

from controller.core.explanation.explain import explain, protected
from controller.core.foresight.foresight import Course, Foresight, Step
from controller.core.foresight.lost import Links, Lost, links_of
from controller.core.model import Phase, Record, ServiceState, State
from controller.core.moment.view import View
from controller.core.site_model import Nation, SiteSpec, SiteState
from protocol.messages import Mode

MAY_MOVE = (Phase.PROTECTED, Phase.DRAINING, Phase.COUNTDOWN)
"""Phases in which the backup, once it is heard again, may take over from a silent primary."""
PRIMARY_GOES_ON = (
    "If it is that of {primary}, {primary} writes again by itself; if it has handed over, for its "
    "engine came back too slowly, it waits for {backup}, too."
)
ONE_BACK = (
    "Bring one of both sites back. If it is that of {backup}, {backup} takes over by itself, or is "
    f"held where the loss may be too large. {PRIMARY_GOES_ON}"
)
PAUSED_BACK = (
    "Bring one of both sites back. If it is that of {backup}, `saling failover {service}` moves "
    f"it, for it is paused. {PRIMARY_GOES_ON}"
)
ON_HOLD_BACK = (
    "Bring one of both sites back. If it is that of {backup}, nobody takes over before the "
    f"integrity hold is ended: `saling release {{service}}`. {PRIMARY_GOES_ON}"
)
PRIMARY_BACK = "Bring the site of {primary} back; it goes on by itself, and nobody else may."


class Forecast(Struct, frozen=True):
    """What becomes of one service."""

    service: str
    phase: str
    """Where it stands in the end."""
    epoch: int
    primary: str
    steps: tuple[Step, ...]
    served: bool
    """Whether somebody takes writes in the end."""
    protected: bool
    """Whether another copy would take over by itself after that."""
    was_protected: bool
    """Whether one would now."""
    held: bool
    writes_end_ms: int
    """When writes end at the latest, where nobody takes them in the end; else -1."""
    outage_ms: int
    """Until when nobody takes writes, at the latest; -1 where it does not end, 0 where there is
    none."""
    loss_bytes: int | None
    """Estimated, at most; None: not known."""
    why: str
    """In the operator's words."""
    mend: str
    """What would release or mend it, as `explain` would say it `looked_ms` after the loss; of a
    pair that is lost as a whole, what becomes of it when one site is back."""
    looked_ms: int


def what_if(state: State, lost: Lost, services: Iterable[str], now_ms: int) -> list[Forecast]:
    """The forecast for these services, by uid. With each are foreseen those whose turn or room it
    depends on."""
    asked = list(services)
    found: dict[str, Forecast] = {}
    for together in companies(state, asked):
        foreseen = Foresight(_alone(state, together), lost, now_ms)
        foreseen.run()
        wanted = [uid for uid in together if uid in asked]
        found |= {uid: _forecast(state, foreseen, uid, lost, now_ms) for uid in wanted}
    return [found[uid] for uid in asked]


def companies(state: State, services: Iterable[str]) -> list[list[str]]:
    """These services, each with all that look at each other: of one group, or with a copy at one
    site whose capacity is declared."""
    left = dict(state.services)
    found = []
    for uid in services:
        if uid not in left:
            continue
        together, ties = [uid], _ties(state, left.pop(uid))
        grows = True
        while grows:
            more = [other for other, service in left.items() if ties & _ties(state, service)]
            for other in more:
                ties |= _ties(state, left.pop(other))
            together += more
            grows = bool(more)
        found.append(together)
    return found


def _ties(state: State, service: ServiceState) -> frozenset[tuple[str, str]]:
    spec, sites = service.spec, state.nation.sites
    limited = {
        ("site", replica.site)
        for replica in spec.replicas
        if replica.site in sites and sites[replica.site].spec.capacity is not None
    }
    return frozenset(limited | ({("group", spec.group)} if spec.group else set()))


def _alone(state: State, together: list[str]) -> State:
    """These services, and of the sites only what they can carry: nothing else is moved, or judged,
    in what is imagined."""
    sites = {
        name: SiteState(SiteSpec(name, capacity=site.spec.capacity, gives_up=site.spec.gives_up))
        for name, site in state.nation.sites.items()
    }
    services = {uid: service for uid, service in state.services.items() if uid in together}
    return replace(state, services=services, nation=Nation(sites=sites), plan=None)


def _forecast(state: State, foreseen: Foresight, uid: str, lost: Lost, now_ms: int) -> Forecast:
    service, after, course = state.services[uid], foreseen.service(uid), foreseen.courses[uid]
    record, served, lives = after.record, course.served, lost.controller_lives
    links = links_of(service.spec, service.record, lost)
    return Forecast(
        service=record.service,
        phase=record.phase.value,
        epoch=record.epoch,
        primary=record.primary,
        steps=tuple(course.steps),
        served=served,
        protected=lives and served and _guarded(after, foreseen.now_ms),
        was_protected=_guarded(service, now_ms),
        held=record.phase is Phase.HELD,
        writes_end_ms=-1 if served else course.served_until_ms,
        outage_ms=course.served_from_ms if served else -1,
        loss_bytes=_loss_bytes(after, course, foreseen.now_ms, links),
        why=_why(record, course, service, links) if lives else _leaderless(record, course, links),
        mend=_mend(after, foreseen, links) if lives else _back(service, links),
        looked_ms=foreseen.now_ms - now_ms if lives else 0,
    )


def _guarded(service: ServiceState, now_ms: int) -> bool:
    return protected(service, now_ms) and not service.record.paused and not service.record.hold


def _loss_bytes(after: ServiceState, course: Course, now_ms: int, links: Links) -> int | None:
    """What a takeover loses, or would lose once it is released. What a fenced primary has is not
    lost; what one that is lost itself wrote alone is not known."""
    if course.moved_loss_bytes is not None:
        return course.moved_loss_bytes
    if after.record.phase in (Phase.HELD, Phase.COUNTDOWN):
        return View(after, now_ms).loss_bytes
    return 0 if course.served or links.primary_lives else None


def _why(record: Record, course: Course, before: ServiceState, links: Links) -> str:
    if course.steps and (course.served or record.phase is Phase.HELD):
        return record.because
    if course.served:
        return f"nothing is decided; {record.primary} goes on taking writes"
    if course.steps:
        return f"{record.because}; then nothing more is decided, and nobody takes writes"
    lives = links.primary_lives and before.record.primary == record.primary
    doing = "takes no writes" if lives else "is lost or unheard"
    return (
        f"nothing is decided: {record.primary} {doing}, and in {record.phase.value} nobody may "
        "take over now"
    )


def _leaderless(record: Record, course: Course, links: Links) -> str:
    """Without a controller nothing is decided; writes go on as far as the agents' rights go."""
    return f"nothing is moved: {_leaderless_reason(record, course, links)}"


def _leaderless_reason(record: Record, course: Course, links: Links) -> str:
    primary = next((x for x in course.agents if x.agent == record.primary), None)
    if primary is None:
        lost = "is not heard" if links.primary_lives else "is lost"
        return f"{record.primary} {lost}, and without a controller nobody takes over"
    leased = primary.told.mode is Mode.LEASED
    if course.served:
        reason = f"{record.backup} grants" if leased else "it needs no lease"
        return f"{record.primary} goes on taking writes without a limit: {reason}"
    if record.phase is Phase.DRAINING:
        return f"{record.primary} stops for its move, and nobody tells {record.backup} to take over"
    if record.phase is Phase.PROMOTING:
        return f"{record.primary} goes on to its promotion only if its order reached it before"
    if primary.sync and not primary.linked:
        return f"commits wait for {record.backup}, and nobody lets {record.primary} stand alone"
    if leased and course.served_until_ms:
        return f"nobody extends the lease of {record.primary}: it is fenced when it ends"
    return f"{record.primary} takes no writes, and nobody tells it to"


def _mend(after: ServiceState, foreseen: Foresight, links: Links) -> str:
    """`explain` cannot know that who is unheard is lost."""
    advice = explain(after, foreseen.now_ms, others=foreseen.others).advice
    if links.primary_lives or links.backup_lives:
        return advice
    if after.record.phase is Phase.HELD:
        return f"Bring both sites back. {advice}"
    return _one_back(after.record)


def _one_back(record: Record) -> str:
    text = PRIMARY_BACK
    if record.phase in MAY_MOVE:
        text = PAUSED_BACK if record.paused else ONE_BACK
        text = ON_HOLD_BACK if record.hold else text
    return text.format(primary=record.primary, backup=record.backup, service=record.service)


def _back(service: ServiceState, links: Links) -> str:
    if not links.primary_lives and not links.backup_lives:
        return f"bring the controller back. {_one_back(service.record)}"
    more = "" if links.primary_lives else f"; it may hand {service.record.service} over then"
    return f"bring the controller back; it goes on from its store by itself{more}"
