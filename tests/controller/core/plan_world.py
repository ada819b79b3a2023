"""Several services with imagined agents that do as they are told, for the tests of plans."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec.structs import replace

from controller.core.actions import Action, Answer, ReadRecord, SavePlan, Swap
from controller.core.events import Event, Kind, PlanAct, PlanAsked, RecordRead, Requested, Tick
from controller.core.foresight.foresight import _says
from controller.core.foresight.imagined import Imagined
from controller.core.model import Phase, Record, ServiceSpec, State
from controller.core.orders.assignments import assignment_for
from controller.core.plan_model import OVER, Plan, PlanKind
from controller.core.plans.going import take_up
from controller.core.step import begin, found, step
from tests.controller.core.given import backup_report, primary_report, spec

SUPER_APP = ("database", "cache", "front")
TURN_MS = 200
BEGUN_MS = 1_000_000


def service(name: str, **changes: Any) -> ServiceSpec:
    """A service with its preferred primary at jabodetabek and its backup at batam."""
    return replace(spec(), name=name, uid=name, **changes)


class PlanWorld:
    """Turn by turn: agents report, the rules decide, orders arrive a turn later."""

    def __init__(self, specs: Iterable[ServiceSpec]) -> None:
        self.specs = list(specs)
        self.now_ms = BEGUN_MS
        self.lost: set[str] = set()
        """Agents that say and do nothing any more."""
        self.store: dict[str, Record] = {}
        self.plans: dict[str, Plan] = {}
        self.asked: list[tuple[str, str]] = []
        """Which service began which operation, in order."""
        self.saved: list[SavePlan] = []
        self.dies_after = -1
        """Not negative: the controller dies after so many more actions that it must store."""
        for one in self.specs:
            self.store[one.uid] = replace(
                found(one, 1), revision=10, phase=Phase.PROTECTED, system_identifier="7301"
            )
        self.state = self._begin()
        self.agents = [one for each in self.specs for one in self._agents(each)]
        self.under_way: list[Event] = []
        self.run(3000)

    def ask(self, kind: PlanKind, site: str = "jabodetabek", **changes: Any) -> Answer:
        """Ask for a plan."""
        wish = PlanAsked("q", PlanAct.BEGIN, "siti", "patches", kind, site)
        return self.answer(replace(wish, **changes))

    def act(self, act: PlanAct) -> Answer:
        """Ask something of the plan under way."""
        return self.answer(PlanAsked("q", act, "siti", "so"))

    def request(self, kind: Kind, uid: str, **changes: Any) -> Answer:
        """Ask something of a service."""
        return self.answer(replace(Requested("q", kind, uid, "siti", "so"), **changes))

    def answer(self, event: PlanAsked | Requested) -> Answer:
        (answer,) = [one for one in self.feed(event) if isinstance(one, Answer)]
        return answer

    @property
    def plan(self) -> Plan:
        """The last plan, as stored."""
        return list(self.plans.values())[-1]

    def primaries(self) -> dict[str, str]:
        return {uid: record.primary for uid, record in self.store.items()}

    def run(self, for_ms: int) -> None:
        end_ms = self.now_ms + for_ms
        while self.now_ms < end_ms:
            self.turn()

    def finish(self, at_most_ms: int = 1_800_000) -> Plan:
        """Run until the plan is over or waits."""
        end_ms = self.now_ms + at_most_ms
        while self.plan.status not in (*OVER, "waiting"):
            assert self.now_ms < end_ms, f"neither over nor waiting: {self.plan}"
            self.turn()
        return self.plan

    def turn(self) -> None:
        self.now_ms += TURN_MS
        said: list[Event] = []
        for one in self.agents:
            if one.agent in self.lost:
                continue
            other = next(
                x for x in self.agents if x.told.service == one.told.service and x is not one
            )
            told = one.turn(self.now_ms, None if other.agent in self.lost else other)
            said += _says(one.agent, told, one.ask())
        for event in self.under_way:
            self.feed(event)
        self.feed(Tick())
        self.under_way = said

    def restart(self) -> None:
        """The controller dies, and another life goes on from the store."""
        self.dies_after = -1
        self.state = self._begin()

    def feed(self, event: Event) -> list[Action]:
        state, actions = step(self.state, event, self.now_ms)
        self._check_order(actions)
        for action in actions:
            if isinstance(action, Swap | SavePlan):
                if self.dies_after == 0:
                    self.restart()
                    return []
                self.dies_after -= 1
                self._store(action)
        self.state = state
        for one in self.agents:
            mine = [a for a in actions if _concerns(a, one)]
            if one.agent not in self.lost:
                one.hear(mine, self.now_ms)
        for action in actions:
            if isinstance(action, ReadRecord):
                record = self.store[action.service_uid]
                self.feed(RecordRead(record, action.agent, action.start_nonce))
        return actions

    def _store(self, action: Swap | SavePlan) -> None:
        if isinstance(action, SavePlan):
            known = self.plans.get(action.plan.id)
            assert (known.revision if known else 0) == action.expected_revision
            self.plans[action.plan.id] = action.plan
            self.saved.append(action)
            return
        record, told = action.record, action.transition
        assert self.store[record.service_uid].revision == action.expected_revision
        self.store[record.service_uid] = record
        if told.to_phase in (Phase.DRAINING, Phase.COUNTDOWN) and told.by:
            self.asked.append((record.service, record.operation.kind if record.operation else ""))

    def _check_order(self, actions: list[Action]) -> None:
        """A plan is stored before what follows from it."""
        by_plan = [
            index for index, action in enumerate(actions)
            if isinstance(action, Swap) and action.record.operation and action.record.operation.plan
            and action.transition.from_phase == Phase.PROTECTED
            and action.transition.by
        ]  # fmt: skip
        saves = [index for index, action in enumerate(actions) if isinstance(action, SavePlan)]
        assert not by_plan or (saves and saves[0] < by_plan[0])

    def _begin(self) -> State:
        records = {uid: _reread(record, Record) for uid, record in self.store.items()}
        state = begin(self.specs, records, 1, "g", self.now_ms)
        plans = [_reread(plan, Plan) for plan in self.plans.values()]
        under_way = next((plan for plan in plans if plan.status not in OVER), None)
        return take_up(state, under_way, (), len(plans), self.now_ms)

    def _agents(self, one: ServiceSpec) -> list[Imagined]:
        named = {"service": one.name, "service_uid": one.uid}
        told = (primary_report(**named), backup_report(**named))
        return [
            Imagined(
                agent=replica.agent, heard=True, linked=True, told=report,
                assignment=assignment_for(self.state.services[one.uid], replica.agent, 1),
                commits=report.writable, sync=False, terms=one.terms, ttl_ms=one.terms.ttl_ms,
                begun_ms=self.now_ms,
            )
            for replica, report in zip(one.replicas, told, strict=True)
        ]  # fmt: skip


def group_of(*names: str, group: str = "app") -> list[ServiceSpec]:
    return [service(name, group=group, order=place) for place, name in enumerate(names)]


def order_of(world: PlanWorld) -> list[str]:
    return [name for name, _kind in world.asked]


def statuses(world: PlanWorld) -> dict[str, str]:
    return {f"{step.service} {step.leg}": step.status.value for step in world.plan.steps}


def _concerns(action: Action, one: Imagined) -> bool:
    """Whether it is said to this very replica: an agent has one of each service here."""
    assignment = getattr(action, "assignment", None)
    if assignment is not None:
        return bool(assignment.service_uid == one.told.service_uid)
    grants = getattr(action, "grants", ())
    return any(grant.service_uid == one.told.service_uid for grant in grants)


def _reread(value: Any, shape: Any) -> Any:
    """What a new life reads is what was written."""
    return msgspec.json.decode(msgspec.json.encode(value), type=shape)
