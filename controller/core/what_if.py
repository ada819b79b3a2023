"""What the rules would decide if sites, links or the controller were lost at this very moment.

The shipped `step` runs over imagined time, from the live state, a service at a time, against the
agents of `imagined`. Nothing is touched: the state is a value. The worst case is taken for the
time: every lease was extended at the moment of the loss.
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
from controller.core.imagined import PROMOTION_MS, Imagined, Links, imagine
from controller.core.model import Phase, ServiceState, State
from controller.core.step import step
from controller.core.view import View
from protocol.messages import CONTROLLER, Goal, Header, Renew, Report, Right
from protocol.windows import holder_window_ms

TURN_MS = 100
QUIET_TURNS_MS = 2000


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
    """What would release or mend it."""


def what_if(state: State, lost: Lost, services: Iterable[str], now_ms: int) -> list[Forecast]:
    """The forecast for these services, by uid."""
    return [_forecast(state, state.services[uid], lost, now_ms) for uid in services]


def links_of(service: ServiceState, lost: Lost) -> Links:
    """Who still reaches whom."""
    record, centre = service.record, lost.controller_place
    first = _site(service, record.primary)
    second = _site(service, record.backup)
    lives = not lost.controller and centre not in lost.places
    primary, backup = first not in lost.places, bool(second) and second not in lost.places

    def joined(a: str, b: str) -> bool:
        return a == b or frozenset((a, b)) not in lost.cuts

    return Links(
        controller=lives,
        primary_lives=primary,
        backup_lives=backup,
        primary_heard=lives and primary and joined(first, centre),
        backup_heard=lives and backup and joined(second, centre),
        between=joined(first, second),
    )


def _site(service: ServiceState, agent: str) -> str:
    replica = service.spec.replica(agent)
    return replica.site if replica else ""


def _forecast(state: State, service: ServiceState, lost: Lost, now_ms: int) -> Forecast:
    links = links_of(service, lost)
    if not links.controller:
        return _without_controller(service, links)
    walk = _Walk(replace(state, services={service.spec.uid: service}), service, links, now_ms)
    walk.run()
    return _told(service, walk, lost)


class _Walk:
    """The rules and the imagined agents, turn by turn, until nothing is decided any more."""

    def __init__(self, state: State, service: ServiceState, links: Links, now_ms: int) -> None:
        self._state, self._uid, self._start_ms = state, service.spec.uid, now_ms
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

    def run(self) -> None:
        """Until it is quiet for longer than any patience of the rules."""
        view = View(self.service, self.now_ms)
        patience_ms = max(view.lost_after_ms, view.stale_after_ms, ASYNC_PATIENCE_MS)
        quiet_ms = patience_ms + PROMOTION_MS + QUIET_TURNS_MS
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
                self.steps.append(Step(self.now_ms - self._start_ms, change))
                if told.to_phase == Phase.PROMOTING and told.loss_bytes >= 0:
                    self.loss_bytes = told.loss_bytes
        if self.service.record.phase is Phase.HELD:
            self.loss_bytes = View(self.service, self.now_ms).loss_bytes

    def _grant_once_more(self, service: ServiceState) -> None:
        """The worst case: the primary proved a commit, and was granted a lease, just now."""
        seen, view = service.reports.get(service.record.primary), View(service, self.now_ms)
        if service.record.phase is not Phase.PROTECTED or not primary_proves(view) or seen is None:
            return
        primary = Imagined(service.record.primary, True, seen.report, 0, 0, False)
        ask = primary.ask(service.record)
        if ask is not None and view.primary is not None:
            self._feed(RenewCame(Renew(_header(primary), (ask,))))


def _header(one: Imagined) -> Header:
    return Header("", one.agent, "", "", 0)


def _told(before: ServiceState, walk: _Walk, lost: Lost) -> Forecast:
    service, links = walk.service, links_of(walk.service, lost)
    record, old_links = service.record, links_of(before, lost)
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
            f"nothing is decided: {record.primary} is lost, and in {record.phase.value} nobody may "
            "take over now"
        )
    return f"nothing is decided, and {record.primary} takes no writes"


def _writes_on(service: ServiceState, links: Links) -> bool:
    """Whether the present primary may go on writing without end, as it is."""
    order = phase_order(service.record)
    seen = service.reports.get(service.record.primary)
    if not links.primary_lives or seen is None or not seen.report.writable or order is None:
        return False
    if order.goal is not Goal.PRIMARY:
        return False
    if order.right is not Right.LEASED or links.primary_heard:
        return True
    return order.backup_grants and links.backup_lives and links.between


def _writes_end_ms(service: ServiceState, links: Links) -> int:
    """After the loss, at the latest."""
    return holder_window_ms(service.record.ttl_ceiling_ms) if links.primary_lives else 0


def _without_controller(service: ServiceState, links: Links) -> Forecast:
    record, served = service.record, _writes_on(service, links)
    order = phase_order(record)
    if not links.primary_lives:
        why = f"{record.primary} is lost, and without a controller nobody decides on a takeover"
    elif served and order is not None and order.right is Right.LEASED:
        why = f"{record.primary} goes on taking writes without a limit: {record.backup} grants"
    elif served:
        why = f"{record.primary} goes on taking writes without a limit: it needs no lease"
    elif record.phase is Phase.DRAINING:
        why = f"{record.primary} stops for its move, and nobody tells {record.backup} to take over"
    else:
        why = f"nobody extends the lease of {record.primary}: it is fenced when it ends"
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
        why=f"nothing is moved: {why}",
        mend="bring the controller back; it goes on from its store by itself",
    )
