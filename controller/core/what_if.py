"""What the rules would decide if sites, links or the controller were lost at this very moment.

The shipped `step` runs over imagined time, from the live state, a service at a time, against the
agents of `imagined`. Nothing is touched: the state is a value. The worst case is taken for the
time: every lease was extended at the moment of the loss, by a question that was still on its way.
Who is not heard already, and whom no partner hears, is taken to be lost, too.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from msgspec import Struct
from msgspec.structs import replace

from controller.core.actions import Action, Swap
from controller.core.assignments import assignment_for, phase_order
from controller.core.conditions import ASYNC_PATIENCE_MS, primary_proves
from controller.core.decided import Change
from controller.core.events import Event, RenewCame, ReportCame, Tick
from controller.core.explain import explain
from controller.core.imagined import PROMOTION_MS, STREAM_ENDS_MS, Imagined, Links, imagine
from controller.core.model import Phase, ServiceState, State
from controller.core.step import step
from controller.core.view import View
from protocol.messages import CONTROLLER, Goal, Header, Mode, Renew, Report, Right

TURN_MS = 100
QUIET_TURNS_MS = 2000
ON_THE_WAY_MS = 100
"""How long after the loss a message that was on its way may still arrive."""


@dataclass(frozen=True)
class Lost:
    """What is lost at once. Places are sites, and the controller's failure domain."""

    places: Collection[str] = ()
    cuts: Collection[frozenset[str]] = ()
    """Pairs of places that do not hear each other any more."""
    controller: bool = False
    controller_place: str = CONTROLLER


class Step(Struct, frozen=True):
    """One decision, and when at the latest after the loss."""

    within_ms: int
    change: Change


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
    """Whether another copy could take over after that."""
    held: bool
    writes_end_ms: int
    """When writes end at the latest, where nobody takes them in the end; else -1."""
    outage_ms: int
    """How long nobody takes writes, at the latest; -1 where it does not end, 0 where there is
    none."""
    loss_bytes: int | None
    """Estimated; None: not known."""
    why: str
    """In the operator's words."""
    mend: str
    """What would release or mend it, as `explain` would say it `looked_ms` after the loss."""
    looked_ms: int


def what_if(state: State, lost: Lost, services: Iterable[str], now_ms: int) -> list[Forecast]:
    """The forecast for these services, by uid."""
    return [_forecast(state, state.services[uid], lost, now_ms) for uid in services]


@dataclass(frozen=True)
class Known:
    """Which agents live and which are heard by the controller, before anything is lost."""

    alive: frozenset[str]
    heard: frozenset[str]


def known(service: ServiceState, now_ms: int) -> Known:
    """As far as fresh reports tell; a partner that hears the primary tells that it lives."""
    view, record = View(service, now_ms), service.record
    told = {record.primary: view.primary, record.backup: view.backup}
    heard = frozenset(agent for agent, report in told.items() if report is not None)
    if view.backup is not None and view.backup.primary_heard:
        return Known(heard | {record.primary}, heard)
    return Known(heard, heard)


def links_of(service: ServiceState, lost: Lost, before: Known) -> Links:
    """Who still reaches whom."""
    record, centre = service.record, lost.controller_place
    first = _site(service, record.primary)
    second = _site(service, record.backup)
    lives = not lost.controller and centre not in lost.places
    primary = first not in lost.places and record.primary in before.alive
    backup = second not in lost.places and record.backup in before.alive

    def joined(a: str, b: str) -> bool:
        return a == b or frozenset((a, b)) not in lost.cuts

    return Links(
        controller=lives,
        primary_lives=primary,
        backup_lives=backup,
        primary_heard=lives
        and record.primary in before.heard
        and primary
        and joined(first, centre),
        backup_heard=lives and record.backup in before.heard and backup and joined(second, centre),
        between=joined(first, second),
    )


def _site(service: ServiceState, agent: str) -> str:
    replica = service.spec.replica(agent)
    return replica.site if replica else ""


def _forecast(state: State, service: ServiceState, lost: Lost, now_ms: int) -> Forecast:
    before = known(service, now_ms)
    links = links_of(service, lost, before)
    if not links.controller:
        return _without_controller(service, links)
    walk = _Walk(replace(state, services={service.spec.uid: service}), service, links, now_ms)
    walk.run()
    return _told(service, walk, links, links_of(walk.service, lost, before))


class _Walk:
    """The rules and the imagined agents, turn by turn, until nothing is decided any more."""

    def __init__(self, state: State, service: ServiceState, links: Links, now_ms: int) -> None:
        self._state, self._uid, self._lost_ms = state, service.spec.uid, now_ms - ON_THE_WAY_MS
        self.now_ms = now_ms
        self.steps: list[Step] = []
        self.loss_bytes: int | None = 0
        self.agents = imagine(service, links, now_ms)
        for one in self.agents:
            one.assignment = assignment_for(service, one.agent, state.term)
            if one.assignment and one.assignment.revision != one.told.revision:
                one.assignment = None
            one.resume(now_ms)
        self._grant_once_more(service)

    @property
    def service(self) -> ServiceState:
        return self._state.services[self._uid]

    @property
    def since_loss_ms(self) -> int:
        return self.now_ms - self._lost_ms

    def run(self) -> None:
        """Until it is quiet for longer than any patience of the rules."""
        view = View(self.service, self.now_ms)
        budget_ms = view.record.terms.log_budget_ms
        patience_ms = max(view.lost_after_ms, view.stale_after_ms, ASYNC_PATIENCE_MS, budget_ms)
        quiet_ms = patience_ms + STREAM_ENDS_MS + PROMOTION_MS + QUIET_TURNS_MS
        bound_ms = self.now_ms + 6 * (quiet_ms + view.record.terms.drain_budget_ms)
        decided_ms = self.now_ms
        while self.now_ms < min(bound_ms, decided_ms + quiet_ms):
            self.now_ms += TURN_MS
            if self._turn():
                decided_ms = self.now_ms

    def _turn(self) -> bool:
        before = len(self.steps)
        asks: list[Event] = []
        for one in self.agents:
            told = one.turn(self.now_ms)
            if one.heard:
                self._feed(ReportCame(Report(_header(one), (told,))))
                ask = one.ask(self.service.record)
                asks += [RenewCame(Renew(_header(one), (ask,)))] if ask else []
        for event in asks:
            self._feed(event)
        self._feed(Tick())
        return len(self.steps) > before

    def _feed(self, event: Event) -> None:
        self._state, actions = step(self._state, event, self.now_ms)
        for one in self.agents:
            one.take(actions)
        self._note(actions)

    def _note(self, actions: list[Action]) -> None:
        for action in actions:
            if isinstance(action, Swap):
                told = action.transition
                change = Change(
                    told.service, told.revision, told.from_phase, told.to_phase, told.because
                )
                self.steps.append(Step(self.since_loss_ms, change))
                if told.to_phase == Phase.PROMOTING and told.loss_bytes >= 0:
                    self.loss_bytes = told.loss_bytes
        if self.service.record.phase is Phase.HELD:
            self.loss_bytes = View(self.service, self.now_ms).loss_bytes

    def _grant_once_more(self, service: ServiceState) -> None:
        """The worst case: the primary proved a commit, and was granted a lease, just now."""
        seen, view = service.reports.get(service.record.primary), View(service, self.now_ms)
        if service.record.phase is not Phase.PROTECTED or not primary_proves(view) or seen is None:
            return
        primary = Imagined(service.record.primary, True, seen.report, 0, 0, False, 0)
        ask = primary.ask(service.record)
        if ask is not None and view.primary is not None:
            self._feed(RenewCame(Renew(_header(primary), (ask,))))


def _header(one: Imagined) -> Header:
    return Header("", one.agent, "", "", 0)


def _told(before: ServiceState, walk: _Walk, old_links: Links, links: Links) -> Forecast:
    service, record = walk.service, walk.service.record
    served = _writes_on(service, links)
    decided = bool(walk.steps) and (served or record.phase is Phase.HELD)
    if not served and not old_links.primary_lives and record.phase is not Phase.HELD:
        walk.loss_bytes = None
    return Forecast(
        service=record.service,
        phase=record.phase.value,
        epoch=record.epoch,
        primary=record.primary,
        steps=tuple(walk.steps),
        served=served,
        protected=served and _could_move(service, links),
        held=record.phase is Phase.HELD,
        writes_end_ms=-1 if served else _writes_end_ms(before, old_links),
        outage_ms=_outage_ms(before, walk, old_links, served),
        loss_bytes=walk.loss_bytes,
        why=record.because if decided else _unmoved(service, links, served),
        mend=explain(service, walk.now_ms).advice,
        looked_ms=walk.since_loss_ms,
    )


def _could_move(service: ServiceState, links: Links) -> bool:
    heard = links.primary_heard and links.backup_heard
    return heard and service.record.phase is Phase.PROTECTED


def _outage_ms(before: ServiceState, walk: _Walk, links: Links, served: bool) -> int:
    if not served:
        return -1
    if walk.service.record.epoch == before.record.epoch and _writes_on(before, links):
        return 0
    moved = [one.within_ms for one in walk.steps if one.change.to_phase == Phase.ROUTING]
    back = [one.within_ms for one in walk.steps]
    return (moved or back or [0])[-1]


def _unmoved(service: ServiceState, links: Links, served: bool) -> str:
    record = service.record
    if served:
        return f"nothing is decided; {record.primary} goes on taking writes"
    if not links.primary_lives:
        return (
            f"nothing is decided: {record.primary} is lost or unheard, and in "
            f"{record.phase.value} nobody may take over now"
        )
    return f"nothing is decided, and {record.primary} takes no writes"


def _writes_on(service: ServiceState, links: Links) -> bool:
    """Whether the present primary may go on writing without end, as it is."""
    if not _writes_now(service, links):
        return False
    order = phase_order(service.record)
    if order is None or order.goal is not Goal.PRIMARY:
        return False
    if not _leased(service) or links.primary_heard:
        return True
    return order.backup_grants and links.backup_lives and links.between


def _writes_now(service: ServiceState, links: Links) -> bool:
    seen = service.reports.get(service.record.primary)
    writable = links.primary_lives and seen is not None and seen.report.writable
    return writable and not _commits_wait(service, links)


def _commits_wait(service: ServiceState, links: Links) -> bool:
    """In sync mode, for a backup that does not answer."""
    told = assignment_for(service, service.record.primary, service.record.term)
    return told is not None and told.sync and not (links.backup_lives and links.between)


def _leased(service: ServiceState) -> bool:
    """Whether the primary needs a lease: in ARMING it does once it took one."""
    order, seen = phase_order(service.record), service.reports.get(service.record.primary)
    armed = seen is not None and seen.report.mode is Mode.LEASED
    if order is None:
        return armed
    return order.right is Right.LEASED or (order.right is Right.ARMING and armed)


def _writes_end_ms(service: ServiceState, links: Links) -> int:
    """After the loss, at the latest; the holder's own count is shorter by the drift of clocks."""
    return service.record.ttl_ceiling_ms if _writes_now(service, links) else 0


def _without_controller(service: ServiceState, links: Links) -> Forecast:
    record, served = service.record, _writes_on(service, links)
    return Forecast(
        service=record.service,
        phase=record.phase.value,
        epoch=record.epoch,
        primary=record.primary,
        steps=(),
        served=served,
        protected=False,
        held=record.phase is Phase.HELD,
        writes_end_ms=-1 if served else _writes_end_ms(service, links),
        outage_ms=0 if served else -1,
        loss_bytes=0 if links.primary_lives else None,
        why=f"nothing is moved: {_why_without_controller(service, links)}",
        mend="bring the controller back; it goes on from its store by itself",
        looked_ms=0,
    )


def _why_without_controller(service: ServiceState, links: Links) -> str:
    record = service.record
    if not links.primary_lives:
        return f"{record.primary} is lost or unheard, and without a controller nobody takes over"
    if _writes_on(service, links):
        reason = f"{record.backup} grants" if _leased(service) else "it needs no lease"
        return f"{record.primary} goes on taking writes without a limit: {reason}"
    if record.phase is Phase.DRAINING:
        return f"{record.primary} stops for its move, and nobody tells {record.backup} to take over"
    if record.phase is Phase.PROMOTING:
        return f"{record.primary} goes on to its promotion only if its order reached it before"
    if _commits_wait(service, links):
        return f"commits wait for {record.backup}, and nobody lets {record.primary} stand alone"
    if not _writes_now(service, links):
        return f"{record.primary} takes no writes, and nobody tells it to"
    return f"nobody extends the lease of {record.primary}: it is fenced when it ends"
