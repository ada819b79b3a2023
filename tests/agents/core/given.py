"""Drives one replica of an agent through its rules, with an engine that does as it is told."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from agents.core.actions import (
    Action,
    AnswerAsk,
    BeginJob,
    BeginProbe,
    ClosePermit,
    Persist,
    SendAsk,
    SendReport,
)
from agents.core.events import (
    AskCame,
    EngineExited,
    Event,
    GrantCame,
    GuardState,
    JobEnded,
    Observed,
    OrderCame,
    Probed,
    Tick,
)
from agents.core.model import Durable, JobKind, Permit, Replica
from agents.core.observation import Disk, Observation, Probe, ProbeKind
from agents.core.reporting import report
from agents.core.step import begin, step
from protocol.messages import (
    CONTROLLER,
    Ask,
    Assignment,
    Goal,
    Granted,
    LeaseTerms,
    Partner,
    ReplicaReport,
    Right,
)

A, B = "jabodetabek-1", "batam-1"
UID = "u-paspor"
SYSTEM = "7301"
TERMS = LeaseTerms(2000, 400, 300, 1000, 3000, 1000)
PARTNERS = {
    A: Partner(A, "10.0.0.1:8701", "10.0.0.1:5432", "ka"),
    B: Partner(B, "10.0.0.2:8701", "10.0.0.2:5432", "kb"),
}
DATA = Observation(disk=Disk.DATA, system_identifier=SYSTEM, position_bytes=1000, clean=True)


def order(goal: Goal, right: Right = Right.LEASED, **changes: Any) -> Assignment:
    primary = B if goal is Goal.BACKUP else A
    made = Assignment(
        service="paspor",
        service_uid=UID,
        term=1,
        revision=10,
        epoch=3,
        goal=goal,
        right=right,
        primary=primary,
        grantors=(CONTROLLER, A if goal is Goal.BACKUP else B),
        grantor_set=1,
        terms=TERMS,
        partner=PARTNERS[B],
        system_identifier=SYSTEM,
        may_grant=goal is Goal.BACKUP,
    )
    return replace(made, **changes)


class Actor:
    """One replica on agent A, its clock, and everything that it wanted done."""

    def __init__(self, durable: Durable = Durable(), life: str = "1-a") -> None:  # noqa: B008
        self.now_ms = 1_000_000
        self.replica: Replica = begin(A, "paspor", UID, life, durable, self.now_ms)
        self.done: list[Action] = []

    def feed(self, event: Event, after_ms: int = 0) -> list[Action]:
        self.now_ms += after_ms
        self.replica, actions = step(self.replica, event, self.now_ms)
        self.done += actions
        return actions

    def tick(self, after_ms: int = 25) -> list[Action]:
        return self.feed(Tick(), after_ms)

    def pass_time(self, span_ms: int) -> list[Action]:
        """Let time go by in ticks; returns everything that was wanted meanwhile."""
        wanted: list[Action] = []
        for _ in range(span_ms // 25):
            wanted += self.tick()
        return wanted

    def start(self, observation: Observation = DATA) -> Actor:
        self.feed(GuardState(Permit.CLOSED, 0, False, False))
        self.feed(Observed(observation))
        return self

    def order(self, made: Assignment, fresh: bool = True) -> list[Action]:
        nonce = self.replica.start_nonce if fresh else ""
        return self.feed(OrderCame(replace(made, start_nonce=nonce)))

    def finish(self, error: str = "", position_bytes: int = 0) -> list[Action]:
        """End the job under way."""
        job = self.replica.job
        assert job is not None, "no job is under way"
        return self.feed(JobEnded(job.id, job.kind, error, position_bytes))

    def look(self, **changes: Any) -> list[Action]:
        return self.feed(Observed(replace(self.replica.observation, **changes)))

    def commit(self, position_bytes: int = 2000) -> list[SendAsk]:
        """The probe under way commits; returns the questions that follow."""
        assert self.replica.probing, "no probe is under way"
        asks = self.feed(Probed(Probe(ProbeKind.COMMITTED, position_bytes)))
        return [a for a in asks if isinstance(a, SendAsk)]

    def fail_probe(self, kind: ProbeKind, reason: str = "why") -> list[Action]:
        return self.feed(Probed(Probe(kind, 0, reason)))

    def grant(self, ask: SendAsk, **changes: Any) -> list[Action]:
        made = Granted(
            service="paspor",
            service_uid=UID,
            epoch=ask.ask.epoch,
            revision=ask.ask.revision,
            nonce=ask.ask.nonce,
            grantor_set=1,
            ttl_ms=TERMS.ttl_ms,
        )
        return self.feed(GrantCame(ask.grantor, replace(made, **changes)))

    def asked_by(self, agent: str = B, **changes: Any) -> Granted:
        ask = replace(Ask("paspor", UID, 3, 10, "q1", True, position_bytes=900), **changes)
        actions = self.feed(AskCame("http-1", agent, ask))
        return next(a.granted for a in actions if isinstance(a, AnswerAsk))

    def die(self, fenced: bool = False) -> list[Action]:
        return self.feed(EngineExited("killed", fenced))

    def report(self) -> ReplicaReport:
        return report(self.replica, self.now_ms)

    @property
    def job(self) -> JobKind | None:
        return self.replica.job.kind if self.replica.job else None

    def alone(self) -> Actor:
        """A primary that stands alone and writes."""
        self.start()
        self.order(order(Goal.PRIMARY, Right.ALONE))
        self.finish()
        self.look()
        self.finish()
        self.commit()
        return self

    def leased(self) -> Actor:
        """A primary that writes under leases of the controller and of B."""
        self.alone()
        self.order(order(Goal.PRIMARY, Right.ARMING, revision=11))
        ask = self.next_asks()[-1]
        self.grant(ask, revision=11)
        self.order(order(Goal.PRIMARY, Right.LEASED, revision=12))
        for ask in self.next_asks():
            self.grant(ask)
        return self

    def next_asks(self) -> list[SendAsk]:
        """Wait for the next probe, commit it, return the questions."""
        while not self.replica.probing:
            self.tick()
        return self.commit()


def kinds(actions: list[Action]) -> list[type[Action]]:
    return [type(action) for action in actions]


__all__ = [
    "CONTROLLER",
    "DATA",
    "SYSTEM",
    "TERMS",
    "UID",
    "A",
    "Actor",
    "AnswerAsk",
    "B",
    "BeginJob",
    "BeginProbe",
    "ClosePermit",
    "Persist",
    "SendAsk",
    "SendReport",
    "kinds",
    "order",
]  # fmt: skip
