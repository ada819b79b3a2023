"""Persist first, then act in order; a step that cannot be persisted did not happen."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from msgspec.structs import replace

from agents.core.actions import (
    Action,
    AnswerAsk,
    BeginJob,
    BeginProbe,
    ClosePermit,
    PermitLease,
    Persist,
    SendAsk,
    SendReport,
)
from agents.core.events import (
    AskCame,
    EngineExited,
    Event,
    GuardState,
    JobEnded,
    Observed,
    OrderCame,
    PersistFailed,
    PersistWorks,
    Tick,
)
from agents.core.invariants import InvariantBroken
from agents.core.model import Durable, JobKind, Permit, Replica
from agents.core.observation import Observation
from agents.core.step import begin
from agents.metrics import Metrics
from agents.replica import worker as worker_module
from agents.replica.jobs import Fresh
from agents.replica.mailbox import Mailbox, Seen
from agents.replica.worker import Worker
from agents.timings import RENEWALS_TO_JUDGE
from protocol.messages import Ask, Assignment, Goal, Granted, ReplicaReport, Right, Role
from tests.agents.core import given

ASK = Ask("paspor", "uid", 1, 1, "n.1", True)
GRANTED = Granted("paspor", "uid", 1, 1, "n.1", 1)


class World:
    """Records what is asked of it; its disk can be broken."""

    def __init__(self) -> None:
        self.did: list[str] = []
        self.disk_works = True

    def write(self, _uid: str, _durable: Durable) -> None:
        if not self.disk_works:
            raise OSError(errno.ENOSPC, "No space left on device")
        self.did.append("persist")

    async def allow_until(self, permit: PermitLease) -> None:
        self.did.append(f"lease {permit.end_ms}")

    async def allow_alone(self) -> None:
        self.did.append("alone")

    async def end_engine(self) -> None:
        self.did.append("end engine")

    async def close(self) -> None:
        self.did.append("close")

    def begin(self, job: BeginJob, _drain_budget_ms: int) -> None:
        self.did.append(f"job {job.kind}")

    def begin_probe(self, timeout_ms: int) -> None:
        self.did.append(f"probe {timeout_ms}")

    def forget_probe(self) -> None:
        pass

    def send_ask(self, _replica: Replica, ask: SendAsk) -> None:
        self.did.append(f"ask {ask.grantor}")

    def answer(self, answer: AnswerAsk) -> None:
        self.did.append(f"answer {answer.question}")

    def give_up(self, question: str) -> None:
        self.did.append(f"give up {question}")

    def report_soon(self) -> None:
        self.did.append("report")


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def metrics() -> Metrics:
    return Metrics("batam-1", "batam")


@pytest.fixture
def worker(world: World, metrics: Metrics) -> Iterator[Worker]:
    replica = begin("batam-1", "paspor", "paspor", "1-a", Durable(), 1000)
    with ThreadPoolExecutor(1) as disk:
        made = Worker(replica, world, disk, world, Fresh(), metrics, lambda: 1000)
        made.connect(world, world)
        yield made


def scripted(monkeypatch: pytest.MonkeyPatch, answers: dict[type, list[Action]]) -> list[type]:
    """Rules that answer each kind of event with these actions and count the event as known."""
    stepped: list[type] = []

    def step(replica: Replica, event: Event, _now_ms: int) -> tuple[Replica, list[Action]]:
        stepped.append(type(event))
        disk_ok = replica.disk_ok
        if isinstance(event, PersistFailed | PersistWorks):
            disk_ok = isinstance(event, PersistWorks)
        changed = replace(replica, job_count=replica.job_count + 1, disk_ok=disk_ok)
        return changed, answers.get(type(event), [])

    monkeypatch.setattr(worker_module, "step", step)
    return stepped


async def test_actions_are_done_in_their_order_after_the_state_is_on_disk(
    worker: Worker, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    actions: list[Action] = [
        Persist(Durable()),
        PermitLease(5000),
        ClosePermit(),
        SendAsk("controller", ASK, None),
        BeginProbe(500),
        BeginJob(1, JobKind.PROMOTE),
        AnswerAsk("q", GRANTED),
        SendReport(ReplicaReport("paspor", "uid", 1, 1, Role.DOWN)),
    ]
    scripted(monkeypatch, {Tick: actions})
    await worker.take(Tick())
    assert world.did == [
        "persist",
        "lease 5000",
        "close",
        "ask controller",
        "probe 500",
        "job promote",
        "answer q",
        "report",
    ]


async def test_a_step_that_cannot_be_persisted_is_dropped_with_all_that_follows_from_it(
    worker: Worker, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask = AskCame("q1", "ikn-1", ASK)
    answer: list[Action] = [Persist(Durable()), AnswerAsk("q1", GRANTED)]
    stepped = scripted(monkeypatch, {AskCame: answer})
    world.disk_works = False
    before = worker.replica
    await worker.take(ask)
    assert stepped == [AskCame, PersistFailed]
    assert world.did == ["give up q1"]
    assert not worker.replica.disk_ok
    assert worker.replica.job_count == before.job_count + 1


async def test_what_happened_once_is_told_again_when_the_disk_works(
    worker: Worker, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = JobEnded(1, JobKind.REJOIN)
    stepped = scripted(monkeypatch, {JobEnded: [Persist(Durable())]})
    monkeypatch.setattr(worker_module, "DISK_RETRY_S", 0.0)
    world.disk_works = False
    await worker.take(ended)
    await worker.take(EngineExited("x", False))
    assert EngineExited not in stepped, "it happened after the job, so it is told after it"
    stepped.clear()
    world.disk_works = True
    await worker.take(Tick())
    assert stepped == [Tick, PersistWorks, JobEnded, EngineExited]
    assert worker.replica.disk_ok


async def test_the_real_rules_grant_nothing_while_the_disk_is_full(
    worker: Worker, world: World, orders: Any
) -> None:
    await worker.take(GuardState(Permit.CLOSED, 0, False, False))
    order = orders.make(Goal.BACKUP, Right.LEASED, 1, may_grant=True)
    await worker.take(OrderCame(order))
    uid = order.service_uid
    ask = Ask("paspor", uid, 1, 1, "n.1", True)
    answers: list[Granted] = []
    world.answer = lambda answer: answers.append(answer.granted)  # type: ignore[method-assign]
    await worker.take(AskCame("q", "batam-1", ask))
    assert answers[-1].ttl_ms > 0
    world.disk_works = False
    await worker.take(OrderCame(orders.make(Goal.BACKUP, Right.LEASED, 2, may_grant=True)))
    await worker.take(AskCame("q", "batam-1", ask))
    assert answers[-1].ttl_ms == 0
    assert "disk" in answers[-1].refusal
    assert worker.replica.durable.assignment == order


async def test_the_first_order_says_which_service_it_is(worker: Worker, orders: Any) -> None:
    await worker.take(GuardState(Permit.CLOSED, 0, False, False))
    await worker.take(OrderCame(orders.make(Goal.BACKUP, Right.LEASED, 1)))
    assert worker.replica.service_uid == "paspor-2026"
    foreign = orders.make(Goal.BACKUP, Right.LEASED, 9, service_uid="another")
    await worker.take(OrderCame(foreign))
    assert worker.replica.durable.assignment is not None
    assert worker.replica.durable.assignment.revision == 1


async def test_a_look_begun_before_something_happened_is_dropped(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    stepped = scripted(monkeypatch, {Tick: [ClosePermit()]})
    look = Seen(0, Observation())
    await worker.take(Tick())
    await worker.take(look)
    assert Observed not in stepped
    await worker.take(Seen(1, Observation()))
    assert stepped[-1] is Observed


async def test_a_broken_invariant_ends_the_task(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise InvariantBroken("two writers")

    monkeypatch.setattr(worker_module, "step", broken)
    worker.mailbox.put(Tick())
    with pytest.raises(InvariantBroken):
        await worker.run()


async def test_ticks_do_not_pile_up_and_facts_are_never_dropped() -> None:
    dropped: list[str] = []
    mailbox = Mailbox(dropped.append, items_at_most=3)
    for _ in range(5):
        mailbox.put(Tick())
    assert len(mailbox) == 1
    for number in range(4):
        mailbox.put(JobEnded(number, JobKind.SEED))
    assert dropped == ["tick"]
    assert [type(await mailbox.get()) for _ in range(4)] == [JobEnded] * 4
    mailbox.put(Tick())
    assert isinstance(await mailbox.get(), Tick)


async def test_gaps_under_other_terms_are_forgotten_when_an_assignment_is_taken(
    worker: Worker, metrics: Metrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    timings = metrics.timings("paspor")

    def taken(assignment: Assignment) -> None:
        def step(replica: Replica, _event: Event, _now_ms: int) -> tuple[Replica, list[Action]]:
            return replace(replica, durable=Durable(assignment=assignment)), []

        monkeypatch.setattr(worker_module, "step", step)

    first = given.order(Goal.PRIMARY)
    taken(first)
    await worker.take(Tick())
    for number in range(RENEWALS_TO_JUDGE + 1):
        timings.extended(400 * number)
    assert timings.renewal_gap_p999_ms == 400
    taken(replace(first, revision=first.revision + 1))
    await worker.take(Tick())
    assert timings.renewal_gap_p999_ms == 400
    taken(replace(first, terms=replace(first.terms, ttl_ms=6000)))
    await worker.take(Tick())
    assert timings.renewal_gap_p999_ms == 0
