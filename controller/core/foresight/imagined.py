"""An agent as `what_if` imagines it: the smallest truthful other side of the controller's rules.

It takes each Order a turn later, says a turn later where it stands, and otherwise goes on from
its last report, as late as it may: what takes its time takes all of it, a lease or a promise was
extended at the very end, a stream that broke is noticed last. As backup it grants while it may,
hears the primary while their link stands, and refuses or stops as ordered. As primary it commits
while a lease or an Order gives it the right. Times are on the controller's clock.
"""

from __future__ import annotations

from dataclasses import dataclass

from msgspec.structs import replace

from controller.core.actions import Action, SendGrant, SendOrder
from protocol.messages import Ask, Assignment, Goal, LeaseTerms, Mode, ReplicaReport, Right, Role
from protocol.windows import RHO_PERCENT, grantor_window_ms, silence_ms

PROMOTION_MS = 1000
"""What an engine's promotion, its return after a clean stop, and its arming are taken to need."""
STREAM_ENDS_MS = 5500
"""After so long a standby has noticed that its upstream is gone: its receiver waits for 5 s."""


@dataclass
class Imagined:
    """One agent with its replica."""

    agent: str
    heard: bool
    """Whether the controller and it reach each other."""
    linked: bool
    """Whether it and the other replica reach each other."""
    told: ReplicaReport
    """Its last real report, as it goes on from there."""
    assignment: Assignment | None
    """The one it has taken; None where its last report shows that it has not the present one."""
    commits: bool
    """As primary: whether its engine commits when it has the right."""
    sync: bool
    """As primary: whether its commits wait for the other replica."""
    terms: LeaseTerms
    ttl_ms: int
    """The longest lease that it may hold or have given."""
    begun_ms: int
    lease_end_ms: int = 0
    promise_end_ms: int = 0
    heard_ms: int = 0
    """As backup: when it last heard the primary commit."""
    due_ms: int = -1
    """When its promotion, drain, arming or return is over; -1 while there is none."""
    streamed: bool = False
    """As primary: whether the other one streams from it."""
    waiting: Assignment | None = None
    """An Order under way."""

    def __post_init__(self) -> None:
        told, now_ms = self.told, self.begun_ms
        self.lease_end_ms = now_ms + self.ttl_ms
        extended = told.primary_heard and not told.stopped
        left_ms = grantor_window_ms(self.ttl_ms) if extended else told.promise_left_ms
        self.promise_end_ms = now_ms + on_another_clock(left_ms)
        self.heard_ms = now_ms - self._unheard_ms()
        if self.assignment is not None:
            self._begin(self.assignment, now_ms, clean=told.released)

    def _unheard_ms(self) -> int:
        """For how long it has not heard the primary; what may be in order is heard just now."""
        age_ms = self.told.primary_position_age_ms
        if not self.told.primary_heard:
            return max(age_ms, self.silent_after_ms)
        return age_ms if age_ms > 2 * self.terms.renew_ms else 0

    @property
    def silent_after_ms(self) -> int:
        return on_another_clock(silence_ms(self.terms))

    @property
    def reigns(self) -> bool:
        """Whether it is, or is about to be, the primary."""
        order = self.assignment
        return order.primary == self.agent if order is not None else self.told.writable

    @property
    def draining(self) -> bool:
        order = self.assignment
        return order is not None and order.goal is Goal.DRAIN and not self.told.resumed

    @property
    def takes_writes(self) -> bool:
        """Whether a client's commit may come through; none is sure to while it is drained."""
        waits = self.sync and not (self.linked and self.streamed)
        return self.told.writable and self.commits and not waits

    def ask(self) -> Ask | None:
        """Its question for a lease; None while it has none. Drained, it may not commit any more."""
        asks = self.reigns and self.told.writable and self.commits
        return ask_of(self.told, proven=not self.draining) if asks else None

    def hear(self, actions: list[Action], now_ms: int) -> None:
        """What the controller says to it: an Order waits for its next turn."""
        for action in actions if self.heard else ():
            if isinstance(action, SendOrder) and action.agent == self.agent:
                self.waiting = action.assignment
            elif isinstance(action, SendGrant) and action.agent == self.agent:
                self._extend(now_ms, max((g.ttl_ms for g in action.grants), default=0))

    def turn(self, now_ms: int, other: Imagined | None) -> ReplicaReport:
        """Take what was ordered and go on with it; where it stands then."""
        order, self.waiting = self.waiting, None
        if order is not None:
            self._take(order, now_ms)
        if self.reigns:
            self._reign(now_ms, other)
        else:
            self._stand_by(now_ms)
        return self.told

    def _take(self, order: Assignment, now_ms: int) -> None:
        told = self.told
        if order.start_nonce == told.start_nonce:
            told = replace(told, start_nonce="")
        known, self.told = self.assignment, told
        if order.revision < told.revision or (known and order.revision == known.revision):
            return
        if order.countdown and order.primary != self.agent and self._hears(now_ms):
            self.told = replace(told, refused_revision=order.revision)
            return
        stops = order.goal is Goal.BACKUP and not order.may_grant and not told.cannot_promise
        self.assignment = order
        self.told = replace(
            told,
            revision=order.revision, epoch=order.epoch, mode=_mode(order), stopped=stops,
            refused_revision=0, fenced=False, released=False, resumed=False, log_taken=False,
            handover=False,
        )  # fmt: skip
        self._begin(order, now_ms, clean=told.released)

    def _begin(self, order: Assignment, now_ms: int, *, clean: bool) -> None:
        self.sync, self.due_ms = order.sync, -1
        told = self.told
        stands = not told.writable and (clean or told.role in (Role.STANDBY, Role.STARTING))
        comes_up = stands and order.goal is Goal.PRIMARY and not order.countdown
        returns = clean and self.linked and order.goal is Goal.BACKUP
        if order.goal is Goal.DRAIN and not (told.released or told.resumed):
            self.due_ms = now_ms + order.terms.drain_budget_ms
        elif comes_up or returns or order.right is Right.ARMING:
            self.due_ms = now_ms + PROMOTION_MS

    def _reign(self, now_ms: int, other: Imagined | None) -> None:
        self.streamed = other is not None and other.told.streaming
        if 0 <= self.due_ms <= now_ms and not self.told.start_nonce:
            self.due_ms = -1
            if self.draining:
                self._end_drain(now_ms)
            elif not self.told.writable:
                self._come_up(now_ms)
        ask = self.ask()
        if other is not None and self.linked and ask is not None:
            self._ask_partner(ask, now_ms, other)
        order, over = self.assignment, now_ms >= self.lease_end_ms
        if self.told.mode is Mode.LEASED and over:
            fenced = order is not None and order.countdown
            self.told = replace(self.told, writable=False, fenced=fenced or self.told.fenced)

    def _end_drain(self, now_ms: int) -> None:
        self.told = replace(self.told, writable=False, role=Role.DOWN)
        if self.linked:
            self.told = replace(self.told, released=True)
        else:
            self.told = replace(self.told, resumed=True, role=Role.STARTING)
            self.due_ms = now_ms + PROMOTION_MS

    def _come_up(self, now_ms: int) -> None:
        self.commits = True
        self._extend(now_ms, self.ttl_ms)
        self.told = replace(
            self.told, role=Role.PRIMARY, writable=True, streaming=False, promise_left_ms=0
        )

    def _ask_partner(self, ask: Ask, now_ms: int, other: Imagined) -> None:
        told, order = self.told, self.assignment
        if ask.proven:
            other.heard_ms = now_ms
            other.told = replace(
                other.told,
                primary_position_bytes=ask.position_bytes, primary_rate_bytes_s=ask.rate_bytes_s,
            )  # fmt: skip
        if not other.grant(now_ms):
            return
        self._extend(now_ms, self.ttl_ms)
        arms = order is not None and order.right is Right.ARMING and self.due_ms < 0
        if arms and other.told.revision == told.revision:
            self.told = replace(told, mode=Mode.LEASED)

    def grant(self, now_ms: int) -> bool:
        """Extend the primary's lease, if it may."""
        order, told = self.assignment, self.told
        if told.stopped or told.cannot_promise or (order is not None and not order.may_grant):
            return False
        end_ms = now_ms + on_another_clock(grantor_window_ms(self.ttl_ms))
        self.promise_end_ms = max(self.promise_end_ms, end_ms)
        return True

    def _stand_by(self, now_ms: int) -> None:
        told = self.told
        if 0 <= self.due_ms <= now_ms:
            self.due_ms = -1
            told = replace(told, role=Role.STANDBY, streaming=True)
        streams = self.linked or now_ms < self.begun_ms + STREAM_ENDS_MS
        age_ms = now_ms - self.heard_ms if told.primary_position_bytes else 0
        self.told = replace(
            told,
            primary_heard=self._hears(now_ms),
            primary_position_age_ms=age_ms,
            streaming=told.streaming and streams,
            promise_left_ms=max(0, self.promise_end_ms - now_ms),
        )

    def _hears(self, now_ms: int) -> bool:
        return now_ms - self.heard_ms < self.silent_after_ms

    def _extend(self, now_ms: int, ttl_ms: int) -> None:
        if ttl_ms:
            self.lease_end_ms = max(self.lease_end_ms, now_ms + ttl_ms)


def ask_of(told: ReplicaReport, *, proven: bool) -> Ask:
    """A primary's question for a lease, with or without the proof that it commits."""
    return Ask(
        told.service, told.service_uid, told.epoch, told.revision, "imagined", proven,
        position_bytes=told.position_bytes, rate_bytes_s=told.rate_bytes_s, mode=told.mode,
    )  # fmt: skip


def _mode(order: Assignment) -> Mode:
    if order.goal is Goal.BACKUP:
        return Mode.NONE
    return Mode.LEASED if order.right is Right.LEASED else Mode.ALONE


def on_another_clock(span_ms: int) -> int:
    """How long a span of the agent's clock may last on the controller's: both may be wrong."""
    return -(-span_ms * (100 + 2 * RHO_PERCENT + 1) // 100)
