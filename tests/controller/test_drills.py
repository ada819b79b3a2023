"""Drills: judged by their targets, begun by a schedule only where nothing is the matter."""

from __future__ import annotations

import datetime
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import yaml
from msgspec import structs

from config.drills import Drill
from config.loader import load_topology
from config.topology import Topology
from controller.core.actions import Answer
from controller.core.events import PlanAct, PlanAsked
from controller.core.model import Hold, Phase, State
from controller.core.plan_model import Plan, PlanKind, PlanMemory, PlanStatus, PlanStep, StepStatus
from controller.core.site_model import Caution, Health, Nation, SiteSpec, SiteState
from controller.drills.keeper import DrillKeeper, next_after
from controller.drills.report import HEADS, Verdict, markdown, report_of, verdict_of
from controller.metrics.drills import drills as gauges
from controller.status import Status
from controller.stores.base import Plans, StoredPlan
from controller.web.views import service_view
from tests.controller.cluster import Cluster
from tests.controller.core.given import UID, Given
from tests.controller.hostile import HOSTILE, normal, rendered

A, B = "jabodetabek-1", "batam-1"
HOUR_MS, DAY_MS = 3_600_000, 86_400_000
NOON_MS = int(datetime.datetime(2026, 11, 30, 12, tzinfo=datetime.UTC).timestamp() * 1000)


def step(leg: int, **changes: Any) -> PlanStep:
    there, back = (B, A) if leg == 1 else (A, B)
    done = PlanStep(
        "paspor", UID, "", 0, back, there, StepStatus.DONE, "serves", 1, 800, leg, "tinggi", 0
    )
    return structs.replace(done, **changes)


def stored(*steps: PlanStep, **changes: Any) -> StoredPlan:
    made = Plan("drill-jabodetabek-3", PlanKind.DRILL, "jabodetabek", "siti", "quarterly",
                PlanStatus.DONE, "all serve", steps or (step(1), step(2)), number=3)  # fmt: skip
    return StoredPlan(structs.replace(made, **changes), NOON_MS - HOUR_MS, NOON_MS - DAY_MS)


@pytest.fixture
def topology(cluster: Cluster) -> Topology:
    """With a drill every first of the month, at three in the night in Jakarta."""
    known = yaml.safe_load(cluster.config.read_text())
    known["drills"] = [{"site": "jabodetabek", "schedule": "0 3 1 * *", "timezone": "Asia/Jakarta"}]
    cluster.config.write_text(yaml.safe_dump(known, sort_keys=False))
    return load_topology(cluster.config).value


def worst(_uid: str) -> int:
    return 3420


def test_a_drill_whose_services_went_and_came_back_in_time_has_passed(topology: Topology) -> None:
    report = report_of(stored(), topology, worst)
    (result,) = report.services
    assert report.verdict is Verdict.PASSED
    assert (result.rto_ms, result.rpo_ms) == (800, 0)
    assert (result.rto_target_ms, result.rpo_target_ms) == (4 * HOUR_MS, 15 * 60_000)
    assert result.worst_case_rto_ms == 3420
    told = markdown(report)
    assert "# Drill of jabodetabek: passed" in told
    assert (
        "| paspor | tinggi | 0.8 s | 0.8 s | 0.8 s / 4 h | 3.4 s | nothing | 15 min | passed |"
        in told
    )


@pytest.mark.parametrize(
    ("steps", "status", "why"),
    [
        ((step(1, outage_ms=5 * HOUR_MS), step(2)), PlanStatus.DONE, "longer than 4 h"),
        ((step(1, loss_bytes=7), step(2)), PlanStatus.DONE, "7 bytes were lost"),
        ((step(1, status=StepStatus.LEFT_OUT, because="no room"),), PlanStatus.ENDED, "no room"),
        ((step(1), step(2, status=StepStatus.LEFT_OUT, because="held")), PlanStatus.ENDED,
         "not brought back: held"),
        ((step(1, outage_ms=-1), step(2)), PlanStatus.DONE, "for the controller restarted"),
        ((step(1), step(2, outage_ms=-1, tries=0)), PlanStatus.DONE, "before the drill asked"),
    ],
)  # fmt: skip
def test_a_drill_that_missed_anything_has_failed_and_says_what(
    topology: Topology, steps: tuple[PlanStep, ...], status: PlanStatus, why: str
) -> None:
    report = report_of(stored(*steps, status=status), topology, worst)
    assert report.verdict is Verdict.FAILED
    assert why in report.because
    assert why in markdown(report)


@pytest.mark.parametrize("text", HOSTILE)
def test_what_others_wrote_stays_words_in_a_report(topology: Topology, text: str) -> None:
    kept = step(1, service=text, status=StepStatus.LEFT_OUT, because=text)
    made = stored(kept, by=text, reason=text, because=text, status=PlanStatus.ENDED)
    shown = rendered(markdown(report_of(made, topology, worst)))
    assert shown.tags == {"h1", "p", "table", "thead", "tbody", "tr", "th", "td"}
    cells = [cell.replace("\u200b", "") for cell in shown.cells]
    assert (cells[0], cells[-1]) == (normal(text), f"it was not moved away: {normal(text)}")
    assert len(cells) == len(HEADS)


def test_targets_of_its_own_judge_a_service(topology: Topology, cluster: Cluster) -> None:
    cluster.change("lease_profile: fast", "lease_profile: fast\n  targets: {rto: 500ms}")
    stricter = load_topology(cluster.config).value
    report = report_of(stored(), stricter, worst)
    assert report.services[0].rto_target_ms == 500
    assert report.services[0].rpo_target_ms == 15 * 60_000
    assert report.verdict is Verdict.FAILED


def test_a_drill_under_way_is_neither_passed_nor_failed(topology: Topology) -> None:
    running = stored(step(1), step(2, status=StepStatus.TO_DO), status=PlanStatus.RUNNING)
    assert verdict_of(running, topology) is Verdict.UNDER_WAY


def test_a_schedule_is_read_in_its_time_zone() -> None:
    drill = Drill(site="batam", schedule="0 3 1 * *", timezone="Asia/Jakarta")
    due = datetime.datetime.fromtimestamp(next_after(drill, NOON_MS) / 1000, datetime.UTC)
    assert due == datetime.datetime(2026, 11, 30, 20, tzinfo=datetime.UTC)


@dataclass
class FakeDesk:
    """A controller that only writes down what it is asked."""

    topology: Topology
    state: State
    stored: list[StoredPlan] = field(default_factory=list)
    asked: list[PlanAsked] = field(default_factory=list)
    answer: Answer = field(default_factory=lambda: Answer("r", True, "2 services are moved"))

    @property
    def status(self) -> Status:
        return Status(self.topology, self.state, 0, 0, {}, (), "sqlite", "", {}, 0, "", 0, {}, 0)

    async def submit(self, event: PlanAsked) -> Answer:
        self.asked.append(event)
        return self.answer

    async def plans(self, limit: int, kind: PlanKind | None = None) -> Plans:
        found = [one for one in self.stored if kind in (None, one.plan.kind)]
        return Plans(found[:limit], len(self.stored), {})


class Clock:
    def __init__(self) -> None:
        self.now_ms = NOON_MS

    def __call__(self) -> int:
        return self.now_ms


@dataclass
class Scheduled:
    """A keeper, its desk, and its clock."""

    desk: FakeDesk
    keeper: DrillKeeper
    clock: Clock

    async def at_its_time(self) -> list[PlanAsked]:
        await self.keeper.look()
        self.clock.now_ms += 8 * HOUR_MS + 1000
        await self.keeper.look()
        return self.desk.asked

    @property
    def skipped(self) -> str:
        return self.keeper.known(self.desk.status)[0].skipped


def well(health: Health = Health.HEALTHY, **more: Any) -> Nation:
    sites = {
        "jabodetabek": SiteState(SiteSpec("jabodetabek"), health),
        "batam": SiteState(SiteSpec("batam"), Health.HEALTHY),
    }
    return structs.replace(Nation(sites=sites), **more)


@pytest.fixture
def scheduled(topology: Topology) -> Scheduled:
    state = structs.replace(Given(Phase.PROTECTED).state(), nation=well())
    desk, clock = FakeDesk(topology, state), Clock()
    keeper = DrillKeeper(clock)
    keeper.attach(desk)
    return Scheduled(desk, keeper, clock)


async def test_a_drill_is_begun_once_at_its_time_and_not_before(scheduled: Scheduled) -> None:
    await scheduled.keeper.look()
    assert scheduled.desk.asked == []
    (asked,) = await scheduled.at_its_time()
    assert (asked.act, asked.kind, asked.site) == (PlanAct.BEGIN, PlanKind.DRILL, "jabodetabek")
    assert asked.by == "the schedule"
    await scheduled.keeper.look()
    assert len(scheduled.desk.asked) == 1
    assert scheduled.skipped == ""


async def test_what_was_due_while_no_controller_ran_is_not_made_up_for(
    topology: Topology, scheduled: Scheduled
) -> None:
    scheduled.clock.now_ms += 9 * HOUR_MS
    late = DrillKeeper(scheduled.clock)
    late.attach(scheduled.desk)
    await late.look()
    assert scheduled.desk.asked == []


async def test_no_number_of_other_plans_hides_the_last_drill_that_passed(
    scheduled: Scheduled,
) -> None:
    others = [stored(kind=PlanKind.FAILBACK, id=f"failback-batam-{n}") for n in range(500, 3, -1)]
    scheduled.desk.stored = [*others, stored()]
    await scheduled.keeper.look()
    (shown,) = scheduled.keeper.known(scheduled.desk.status)
    assert (shown.last_id, shown.last) == ("drill-jabodetabek-3", "passed")


async def test_a_clock_that_is_set_back_begins_no_drill_twice(scheduled: Scheduled) -> None:
    await scheduled.at_its_time()
    scheduled.clock.now_ms -= HOUR_MS
    await scheduled.keeper.look()
    scheduled.clock.now_ms += 2 * HOUR_MS
    await scheduled.keeper.look()
    assert len(scheduled.desk.asked) == 1


async def test_a_schedule_without_a_date_is_shown_and_keeps_no_other_drill(
    topology: Topology, scheduled: Scheduled
) -> None:
    never = Drill.model_construct(site="batam", schedule="0 3 31 4 *", timezone="UTC")
    drills = (never, *topology.drills)
    scheduled.desk.topology = topology.model_copy(update={"drills": drills})
    assert len(await scheduled.at_its_time()) == 1
    shown, other = scheduled.keeper.known(scheduled.desk.status)
    assert (shown.site, shown.next_at_ms) == ("batam", 0)
    assert "the schedule 0 3 31 4 * has no next time" in shown.skipped
    assert (other.site, other.skipped) == ("jabodetabek", "")


CAUTION = Caution("batam", "bmkg:1", "BMKG", "an earthquake", 0, HOUR_MS, until_ms=2**60)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"nation": well(Health.DEGRADED)}, "jabodetabek is degraded"),
        ({"nation": well(cautions=(CAUTION,))}, "caution is on at batam: an earthquake"),
        ({"plan": stored().plan}, "the plan drill-jabodetabek-3 is under way"),
    ],
)
async def test_nothing_is_begun_by_itself_while_anything_is_the_matter(
    scheduled: Scheduled, changes: dict[str, Any], why: str
) -> None:
    scheduled.desk.state = structs.replace(scheduled.desk.state, **changes)
    assert await scheduled.at_its_time() == []
    assert why in scheduled.skipped


async def test_nothing_is_begun_by_itself_while_a_service_there_is_on_hold(
    scheduled: Scheduled,
) -> None:
    service = scheduled.desk.state.services[UID]
    held = structs.replace(service.record, hold=Hold("siti", "encrypted?", "all", HOUR_MS))
    services = {UID: structs.replace(service, record=held)}
    scheduled.desk.state = structs.replace(scheduled.desk.state, services=services)
    assert await scheduled.at_its_time() == []
    assert "paspor is on hold" in scheduled.skipped


async def test_after_one_that_failed_the_next_is_begun_by_hand(scheduled: Scheduled) -> None:
    failed = stored(step(1, status=StepStatus.LEFT_OUT), status=PlanStatus.ENDED)
    scheduled.desk.stored = [failed]
    assert await scheduled.at_its_time() == []
    assert "drill-jabodetabek-3, failed: `saling drill jabodetabek` by hand" in scheduled.skipped


async def test_what_the_rules_refuse_is_shown_as_the_reason(scheduled: Scheduled) -> None:
    scheduled.desk.answer = Answer("r", False, "drill is refused", ("no room at batam",))
    assert len(await scheduled.at_its_time()) == 1
    assert scheduled.skipped == "drill is refused; no room at batam"


async def test_the_age_of_the_last_one_that_passed_outlives_one_that_failed(
    scheduled: Scheduled,
) -> None:
    failed = stored(step(1, status=StepStatus.LEFT_OUT), status=PlanStatus.ENDED)
    scheduled.desk.stored = [failed, stored()]
    await scheduled.keeper.look()
    (known,) = scheduled.keeper.known(scheduled.desk.status)
    assert (known.last, known.age_ms, known.overdue) == ("failed", DAY_MS, False)
    scheduled.clock.now_ms += 101 * DAY_MS
    (known,) = scheduled.keeper.known(scheduled.desk.status)
    assert known.overdue
    told = {m.name: [s.value for s in m.samples] for m in gauges((known,))}
    assert told == {
        "saling_drill_age_seconds": [102 * DAY_MS / 1000],
        "saling_drill_overdue": [1.0],
        "saling_drill_failed": [1.0],
    }


async def test_a_site_that_never_passed_one_is_overdue(scheduled: Scheduled) -> None:
    await scheduled.keeper.look()
    (known,) = scheduled.keeper.known(scheduled.desk.status)
    assert (known.age_ms, known.overdue) == (-1, True)


async def test_a_service_at_a_site_that_is_not_drilled_in_time_says_so_and_stays_protected(
    scheduled: Scheduled,
) -> None:
    async def told() -> tuple[bool | None, str, str]:
        await scheduled.keeper.look()
        status = scheduled.desk.status
        status = replace(status, drills=scheduled.keeper.known(status))
        shown = service_view(status, status.services[0])
        assert shown["drilled"] is (shown["not_drilled"] == "")
        return status.pair_drilled(status.topology.pairs[0]), shown["phase"], shown["not_drilled"]

    overdue = "a drill of jabodetabek is overdue: none passed yet; `saling drill jabodetabek`"
    assert await told() == (False, "PROTECTED", overdue)
    scheduled.desk.stored = [stored()]
    scheduled.desk.state = structs.replace(scheduled.desk.state, plan_memory=PlanMemory(made=3))
    assert await told() == (True, "PROTECTED", "")
    scheduled.desk.stored = [stored(step(1, status=StepStatus.LEFT_OUT), status=PlanStatus.ENDED)]
    scheduled.desk.state = structs.replace(scheduled.desk.state, plan_memory=PlanMemory(made=4))
    why = "the last drill of jabodetabek failed: `saling drill --report drill-jabodetabek-3`"
    assert await told() == (False, "PROTECTED", why)
    bare = scheduled.desk.topology.model_copy(update={"drills": ()})
    scheduled.desk.topology = bare
    assert await told() == (None, "PROTECTED", "")


async def test_a_plan_that_is_over_is_noticed(scheduled: Scheduled) -> None:
    await scheduled.keeper.look()
    scheduled.desk.stored = [stored()]
    memory = PlanMemory(made=3)
    scheduled.desk.state = structs.replace(scheduled.desk.state, plan_memory=memory)
    await scheduled.keeper.look()
    (known,) = scheduled.keeper.known(scheduled.desk.status)
    assert known.last == "passed"
    assert replace(known, last="").last == ""
