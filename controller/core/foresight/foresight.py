"""The shipped `step` over imagined time, for services that look at each other, against their
imagined agents.

Nothing is touched: the state is a value. The loss comes after a turn, in which everything that
was under way still arrives: the last reports, the last proof, and with it the last lease.
"""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from controller.core.actions import Action, ReadRecord, SendGrant, SendOrder, Swap
from controller.core.conditions.pair import ASYNC_PATIENCE_MS
from controller.core.decided import Change
from controller.core.events import Event, RecordRead, RenewCame, ReportCame, Tick
from controller.core.foresight.imagined import (
    PROMOTION_MS,
    STREAM_ENDS_MS,
    Imagined,
    ask_of,
    on_another_clock,
)
from controller.core.foresight.lost import Lost, links_of
from controller.core.model import Phase, ServiceState, State
from controller.core.moment.others import Others
from controller.core.moment.view import View
from controller.core.orders.assignments import assignment_for
from controller.core.step import step
from protocol.messages import (
    Ask,
    Assignment,
    Goal,
    Header,
    Mode,
    Renew,
    ReplicaReport,
    Report,
    Role,
)
from protocol.windows import grantor_window_ms, silence_ms

TURN_MS = 100
"""A message, and what is done on it before the next one leaves, takes so long at most."""
SPARE_MS = 1000
REPORTS_MISSED = 2
"""An agent that says nothing for so many of its reports is taken to be silent already."""
AGAIN_AT_MOST = 6
"""So many times the longest patience of the rules may pass before it is enough."""


class Step(Struct, frozen=True):
    """One decision, and when at the latest after the loss."""

    within_ms: int
    change: Change


class Foresight:
    """Services that look at each other, turn by turn, until nothing is decided any more."""

    def __init__(self, state: State, lost: Lost, now_ms: int) -> None:
        self._state, self._lives = state, lost.controller_lives
        self.now_ms = now_ms + TURN_MS
        self.courses = {uid: Course(state, uid, lost, now_ms) for uid in state.services}
        for course in self.courses.values() if self._lives else ():
            for event in course.last_words:
                self._feed(event)

    def service(self, uid: str) -> ServiceState:
        """As it is known now."""
        return self._state.services[uid]

    @property
    def others(self) -> Others:
        """What each may ask of the others now."""
        return Others(self._state.services, self._state.nation, self.now_ms)

    def run(self) -> None:
        """Until it is quiet for longer than any patience of the rules."""
        views = (View(service, self.now_ms) for service in self._state.services.values())
        quiet_ms = max(map(_patience_ms, views))
        bound_ms = self.now_ms + AGAIN_AT_MOST * quiet_ms
        changed_ms = self.now_ms
        while self.now_ms < min(bound_ms, changed_ms + quiet_ms):
            self.now_ms += TURN_MS
            if self._turn():
                changed_ms = self.now_ms

    def _turn(self) -> bool:
        before = [(len(course.steps), course.served) for course in self.courses.values()]
        heard = [event for course in self.courses.values() for event in course.turn(self.now_ms)]
        if self._lives:
            for event in heard:
                self._feed(event)
            self._feed(Tick())
        for uid, course in self.courses.items():
            course.note_service(self.service(uid).record.primary, self.now_ms)
        return before != [(len(course.steps), course.served) for course in self.courses.values()]

    def _feed(self, event: Event) -> None:
        self._state, actions = step(self._state, event, self.now_ms)
        for course in self.courses.values():
            course.hear(actions, self.now_ms)
        for action in actions:
            if isinstance(action, ReadRecord):
                record = self.service(action.service_uid).record
                self._feed(RecordRead(record, action.agent, action.start_nonce))


class Course:
    """What becomes of one service: its imagined agents, what is decided, and who serves."""

    def __init__(self, state: State, uid: str, lost: Lost, now_ms: int) -> None:
        service = state.services[uid]
        self._uid, self._begun_ms = uid, now_ms
        told = _last_words(service, now_ms)
        self.agents = _imagine(state, service, told, lost, now_ms + TURN_MS)
        self.last_words = _hear_last(service, told, now_ms)
        """Also of those who are lost: it was under way."""
        self.steps: list[Step] = []
        self.moved_loss_bytes: int | None = None
        """What the takeover loses, as the rules estimate it; None where nothing is taken over."""
        self.served = False
        """Whether clients' commits come through."""
        self.served_from_ms, self.served_until_ms = 0, 0
        """After the loss: of the last stretch of time in which they came through."""
        self._turns = 0
        self._under_way: list[Event] = []

    def turn(self, now_ms: int) -> list[Event]:
        """What the agents do now, and what the controller hears now: what they said before."""
        heard, self._under_way = self._under_way, []
        for one in self.agents:
            other = next((x for x in self.agents if x is not one), None)
            told = one.turn(now_ms, other)
            if one.heard:
                self._under_way += _says(one.agent, told, one.ask())
        return heard

    def hear(self, actions: list[Action], now_ms: int) -> None:
        """What was decided, as far as it is about this service."""
        mine = [mine for action in actions if (mine := _part(action, self._uid))]
        for one in self.agents:
            one.hear(mine, now_ms)
        for action in mine:
            if isinstance(action, Swap):
                self._note(action, now_ms)

    def note_service(self, reigns: str, now_ms: int) -> None:
        """Whether clients are served now, by whom the record has as primary."""
        primary = next((x for x in self.agents if x.agent == reigns), None)
        serves = primary is not None and primary.takes_writes and not primary.draining
        if serves and not self.served and self._turns:
            self.served_from_ms = self._since_ms(now_ms)
        if primary is not None and primary.takes_writes:
            self.served_until_ms = self._since_ms(now_ms)
        self.served = serves
        self._turns += 1

    def _since_ms(self, now_ms: int) -> int:
        """On a right clock; the controller's may be slow."""
        return on_another_clock(now_ms - self._begun_ms)

    def _note(self, swap: Swap, now_ms: int) -> None:
        told = swap.transition
        change = Change(told.service, told.revision, told.from_phase, told.to_phase, told.because)
        self.steps.append(Step(self._since_ms(now_ms) + TURN_MS, change))
        if told.to_phase == Phase.PROMOTING and told.loss_bytes >= 0:
            self.moved_loss_bytes = told.loss_bytes


def _part(action: Action, uid: str) -> Action | None:
    """What of it concerns one service."""
    if isinstance(action, SendGrant):
        grants = tuple(one for one in action.grants if one.service_uid == uid)
        return replace(action, grants=grants) if grants else None
    if isinstance(action, SendOrder):
        return action if action.assignment.service_uid == uid else None
    return action if isinstance(action, Swap) and action.record.service_uid == uid else None


def _hear_last(service: ServiceState, told: dict[str, ReplicaReport], begun_ms: int) -> list[Event]:
    found: list[Event] = []
    for agent, said in told.items():
        proof = agent == service.record.primary and _proves(service, said, begun_ms)
        found += _says(agent, said, ask_of(said, proven=True) if proof else None)
    return found


def _last_words(service: ServiceState, now_ms: int) -> dict[str, ReplicaReport]:
    """What the two that are heard now say last: the primary is as far by then as it may be."""
    view, record = View(service, now_ms), service.record
    late_ms = REPORTS_MISSED * service.spec.report_interval_ms
    told = {
        agent: seen.report
        for agent in (record.primary, record.backup)
        if (seen := service.reports.get(agent)) and now_ms - seen.at_ms <= late_ms
    }
    primary, word = told.get(record.primary), view.last_word
    if primary is not None and word is not None and _proves(service, primary, now_ms):
        far = word.position_bytes + word.rate_bytes_s * word.exposed_ms // 1000
        rate = max(word.rate_bytes_s, primary.rate_bytes_s)
        told[record.primary] = replace(primary, position_bytes=far, rate_bytes_s=rate)
    return told


def _proves(service: ServiceState, told: ReplicaReport, now_ms: int) -> bool:
    """Whether the controller hears the primary commit."""
    return _well(service, told) and View(service, now_ms).silence_ms < silence_ms(
        service.record.terms
    )


def _well(service: ServiceState, told: ReplicaReport) -> bool:
    healthy = told.writable and not told.handover and not told.illness
    return healthy and told.epoch == service.record.epoch


def _imagine(
    state: State, service: ServiceState, told: dict[str, ReplicaReport], lost: Lost, begun_ms: int
) -> list[Imagined]:
    """The agents that live on, the primary first. Who is not heard now stays unheard."""
    record, links = service.record, links_of(service.spec, service.record, lost)
    known = {**_heard_by_the_backup(service, told), **told}
    linked = links.between and len(known) > 1 and not _apart(service, known, begun_ms - TURN_MS)
    found = []
    for agent, lives, heard in (
        (record.primary, links.primary_lives, links.primary_heard),
        (record.backup, links.backup_lives, links.backup_heard),
    ):
        if not lives or agent not in known:
            continue
        present = assignment_for(service, agent, state.term)
        taken = present is not None and known[agent].revision == present.revision
        found.append(
            Imagined(
                agent=agent,
                heard=heard and agent in told,
                linked=linked,
                told=known[agent],
                assignment=present if taken else None,
                waiting=None if taken or not _takes_away(present) else present,
                commits=agent == record.primary and _commits(service, known, begun_ms - TURN_MS),
                sync=present is not None and present.sync,
                terms=record.terms,
                ttl_ms=record.ttl_ceiling_ms,
                begun_ms=begun_ms,
            )
        )
    return found


def _takes_away(order: Assignment | None) -> bool:
    """Whether it is the worse case that an Order still on its way arrives."""
    return order is not None and (order.goal is Goal.DRAIN or order.countdown)


def _heard_by_the_backup(
    service: ServiceState, told: dict[str, ReplicaReport]
) -> dict[str, ReplicaReport]:
    """A primary that the controller does not hear, and of which the backup says that it commits."""
    record, seen = service.record, service.reports.get(service.record.primary)
    if seen is None or not _partner_hears(service, told):
        return {}
    return {record.primary: seen.report}


def _partner_hears(service: ServiceState, told: dict[str, ReplicaReport]) -> bool:
    """Whether the backup heard the primary commit with one of its last renewals."""
    partner = told.get(service.record.backup)
    lately_ms = 2 * service.record.terms.renew_ms
    if partner is None or not partner.primary_heard:
        return False
    return partner.primary_position_age_ms <= lately_ms


def _commits(service: ServiceState, known: dict[str, ReplicaReport], now_ms: int) -> bool:
    """Whether anybody hears the primary commit."""
    primary = known[service.record.primary]
    heard = _proves(service, primary, now_ms) or _partner_hears(service, known)
    return heard and _well(service, primary)


def _apart(service: ServiceState, known: dict[str, ReplicaReport], now_ms: int) -> bool:
    """Whether the two do not reach each other now, as far as it shows."""
    primary, partner = known[service.record.primary], known[service.record.backup]
    drains = service.record.phase is Phase.DRAINING
    if drains or not _proves(service, primary, now_ms) or partner.role is not Role.STANDBY:
        return False
    if service.record.mode is not Mode.LEASED:
        return not partner.streaming
    fresh = View(service, now_ms).silence_ms < 2 * service.record.terms.renew_ms
    return not partner.primary_heard or (fresh and not _partner_hears(service, known))


def _says(agent: str, told: ReplicaReport, ask: Ask | None) -> list[Event]:
    header = Header("", agent, "", "", 0)
    proof: list[Event] = [RenewCame(Renew(header, (ask,)))] if ask else []
    return [*proof, ReportCame(Report(header, (told,)))]


def _patience_ms(view: View) -> int:
    terms, record = view.record.terms, view.record
    waits = (
        view.lost_after_ms,
        view.stale_after_ms,
        ASYNC_PATIENCE_MS + STREAM_ENDS_MS,
        2 * terms.drain_budget_ms,
        2 * grantor_window_ms(record.ttl_ceiling_ms) + terms.log_budget_ms,
    )
    return max(waits) + PROMOTION_MS + SPARE_MS
