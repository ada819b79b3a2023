"""The agents of one service as `what_if` imagines them: the smallest truthful other side.

An agent that still reaches the controller takes each Order one turn later and reports every
turn. As the backup it hears the primary while their link stands, stops when ordered and hears
nothing, and says how long its promise still lasts; ordered to be primary it is so after the time
that a promotion is taken to need. As the primary it proves commits, and takes the right of its
Order. What its last real report says of its engine, its log and its disk stays as it is.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from msgspec.structs import replace

from controller.core.actions import Action, SendOrder
from controller.core.model import Record, ServiceState
from protocol.messages import Ask, Assignment, Goal, Mode, ReplicaReport, Right, Role
from protocol.windows import grantor_window_ms, silence_ms

PROMOTION_MS = 1000
"""What an engine's promotion is taken to need, as in `explain`."""


@dataclass(frozen=True)
class Links:
    """Who still reaches whom, for one service."""

    controller: bool
    """Whether the controller lives."""
    primary_lives: bool
    backup_lives: bool
    primary_heard: bool
    """By the controller."""
    backup_heard: bool
    between: bool
    """Whether the two hear each other."""


@dataclass
class Imagined:
    """One agent with its replica."""

    agent: str
    heard: bool
    """Whether the controller and it reach each other."""
    told: ReplicaReport
    """Its last real report, as it goes on from there."""
    promise_end_ms: int
    partner_silent_ms: int
    """From when it hears no commit of the primary any more; -1: it goes on hearing them."""
    linked: bool
    assignment: Assignment | None = None
    waiting: list[Assignment] = field(default_factory=list)
    primary_from_ms: int = -1
    drains_until_ms: int = -1

    def resume(self, now_ms: int) -> None:
        """It is in the middle of what it was ordered before: its time begins now, at worst."""
        order = self.assignment
        if order is None or order.primary != self.agent:
            return
        if order.goal is Goal.DRAIN:
            self.drains_until_ms = now_ms + order.terms.drain_budget_ms
        elif not self.told.writable and self.told.role in (Role.STANDBY, Role.STARTING):
            self.primary_from_ms = now_ms + PROMOTION_MS

    def take(self, actions: list[Action]) -> None:
        """Orders arrive; they are taken one turn later."""
        self.waiting = [
            action.assignment
            for action in actions
            if isinstance(action, SendOrder) and action.agent == self.agent and self.heard
        ] or self.waiting

    def turn(self, now_ms: int) -> ReplicaReport:
        """Take what was ordered; what it reports then."""
        for order in self.waiting:
            if self.assignment is None or order.revision > self.assignment.revision:
                self.assignment = order
                self._obey(order, now_ms)
        self.waiting = []
        if self.assignment is not None:
            self._go_on(self.assignment, now_ms)
        return self.told

    def ask(self, record: Record) -> Ask | None:
        """Its question for a lease; None while it commits nothing."""
        told = self.told
        if not told.writable or record.primary != self.agent or told.epoch != record.epoch:
            return None
        return Ask(
            told.service, told.service_uid, told.epoch, told.revision, "imagined", True,
            position_bytes=told.position_bytes, rate_bytes_s=told.rate_bytes_s, mode=told.mode,
        )  # fmt: skip

    def _obey(self, order: Assignment, now_ms: int) -> None:
        self.told = replace(
            self.told, revision=order.revision, stopped=False, released=False, resumed=False
        )
        mine = order.primary == self.agent
        if mine and order.epoch > self.told.epoch and self.told.role is Role.STANDBY:
            self.primary_from_ms = now_ms + PROMOTION_MS
        if mine and order.goal is Goal.DRAIN:
            self.drains_until_ms = now_ms + order.terms.drain_budget_ms

    def _go_on(self, order: Assignment, now_ms: int) -> None:
        if order.primary != self.agent:
            self._stand_by(order, now_ms)
        elif order.goal is Goal.DRAIN:
            self._drain(now_ms)
        elif 0 <= self.primary_from_ms <= now_ms or self.told.writable:
            alone = order.right is Right.ALONE or (order.right is Right.ARMING and not self.linked)
            self.told = replace(
                self.told,
                role=Role.PRIMARY,
                writable=True,
                epoch=order.epoch,
                mode=Mode.ALONE if alone else Mode.LEASED,
                streaming=False,
                promise_left_ms=0,
            )

    def _stand_by(self, order: Assignment, now_ms: int) -> None:
        hears = self.partner_silent_ms < 0 or now_ms < self.partner_silent_ms
        stops = order.countdown and not hears and not self.told.cannot_promise
        self.told = replace(
            self.told,
            epoch=order.epoch if self.told.role is Role.STANDBY else self.told.epoch,
            primary_heard=hears,
            streaming=self.told.streaming and self.linked,
            stopped=self.told.stopped or stops,
            refused_revision=order.revision if order.countdown and hears else 0,
            promise_left_ms=max(0, self.promise_end_ms - now_ms),
        )

    def _drain(self, now_ms: int) -> None:
        if self.linked:
            self.told = replace(self.told, released=True, writable=False, role=Role.DOWN)
        elif now_ms >= self.drains_until_ms:
            self.told = replace(self.told, resumed=True)


def imagine(service: ServiceState, links: Links, now_ms: int) -> list[Imagined]:
    """The agents of a service that live on, from what was last heard of them."""
    record = service.record
    grants_end_ms = now_ms + grantor_window_ms(record.ttl_ceiling_ms)
    backup_hears = links.primary_lives and links.between
    silent_ms = -1 if backup_hears else now_ms + silence_ms(record.terms)
    found = []
    for agent, lives, heard in (
        (record.primary, links.primary_lives, links.primary_heard),
        (record.backup, links.backup_lives, links.backup_heard),
    ):
        seen = service.reports.get(agent)
        if not lives or seen is None:
            continue
        hears = agent == record.backup and seen.report.primary_heard
        linked = links.between and links.primary_lives and links.backup_lives
        found.append(
            Imagined(
                agent,
                heard,
                seen.report,
                # The worst case: it granted a lease just now, if it grants any.
                grants_end_ms if hears else now_ms + seen.report.promise_left_ms,
                silent_ms if hears else now_ms,
                linked,
            )
        )
    return found
