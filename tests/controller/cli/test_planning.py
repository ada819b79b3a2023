"""`saling evacuate`, `failover-site`, `failback`, `plan`."""

from __future__ import annotations

import json
from typing import Any

import pytest

from controller.cli import site_moves
from tests.controller.cli.conftest import Saling
from tests.controller.cli.stub import Answer, Stub, problem

PLAN = "evacuate-batam-3"


def step(name: str, status: str = "to do", **changes: Any) -> dict[str, Any]:
    facts = {
        "service": name, "service_uid": name, "group": "app", "order": 1, "from_agent": "batam-1",
        "to_agent": "jabodetabek-1", "status": status,
    }  # fmt: skip
    return facts | changes


def plan(status: str, *steps: dict[str, Any], **changes: Any) -> dict[str, Any]:
    told = [one["status"] for one in steps]
    counts = {key: told.count(key.replace("_", " ")) for key in ("to_do", "moving", "done")}
    facts = {
        "id": PLAN, "kind": "evacuate", "site": "batam", "by": "sri", "status": status,
        "because": "", "steps": list(steps), "left_ms": 9000, "begun_at": "2026-11-30T10:00:00Z",
        "counts": {**counts, "left_out": told.count("left out")}, "changes": [],
    }  # fmt: skip
    return facts | changes


def change(number: int, service: str, status: str, **changes: Any) -> dict[str, Any]:
    facts = {
        "plan_id": PLAN, "kind": "evacuate", "site": "batam", "revision": number,
        "status": "running", "because": "why", "service": service, "step": status,
    }  # fmt: skip
    return {"number": number, "at_ms": 1, "change": facts | changes}


def foreseen(**changes: Any) -> dict[str, Any]:
    first = {
        "service": "paspor", "group": "app", "order": 1, "tier": "strategis", "leg": 1,
        "from_agent": "batam-1", "from_site": "batam", "to_agent": "jabodetabek-1",
        "to_site": "jabodetabek", "how": "switchover", "outage_ms": 1000, "loss_bytes": 0,
        "left_out": "", "refused_now": "",
    }  # fmt: skip
    left = first | {"service": "visa", "left_out": "it has no backup", "how": "", "outage_ms": -1}
    told = {
        "kind": "evacuate", "site": "batam", "at_once": 4, "steps": [first, left],
        "takes_ms": 3000,
        "room": [{"site": "jabodetabek", "measure": "vcpu", "has": 64, "taken": 8, "after": 24}],
    }  # fmt: skip
    return told | changes


def trial(**changes: Any) -> Answer:
    return 200, {"site": "batam", "accepted": True, "text": "1 service is moved",
                 "plan": "", "dry_run": True, "preview": foreseen(**changes)}  # fmt: skip


@pytest.fixture
def planning(stub: Stub) -> Stub:
    """An evacuation that is accepted, and done at the third look."""
    stub.dry_answer = trial()
    stub.answers = [(200, {"site": "batam", "accepted": True, "text": "begins", "plan": PLAN})]
    moving = plan("running", step("paspor", "moving"), changes=[change(1, "paspor", "moving")])
    done = plan(
        "done", step("paspor", "done", outage_ms=640, loss_bytes=0),
        changes=[change(2, "paspor", "done", outage_ms=640), change(1, "paspor", "moving")],
    )  # fmt: skip
    stub.plans[f"plans/{PLAN}"] = [moving, done]
    return stub


def test_an_evacuation_shows_what_comes_then_each_step_and_ends_well(
    planning: Stub, saling: Saling
) -> None:
    run = saling("evacuate", "batam", "--yes", "--by", "sri", "--reason", "racks")
    assert run.code == 0
    assert "paspor: done, outage 640 ms" in run.err
    assert "left out: visa: it has no backup" in run.err
    assert "at jabodetabek afterwards: 24 of 64 vcpu" in run.err
    assert f"plan {PLAN}: done, 1 of 1 done" in run.out
    (asked,) = planning.done
    assert asked.path == "/api/v1/sites/batam/evacuate"
    assert asked.body == {"by": "sri", "reason": "racks"}


def test_a_dry_run_prints_the_steps_and_asks_for_nothing(planning: Stub, saling: Saling) -> None:
    run = saling("evacuate", "batam", "--dry-run", "--by", "sri")
    assert run.code == 0
    for word in ("paspor", "strategis", "about 1.0 s", "none", "dry run: the controller would"):
        assert word in run.out
    assert planning.done == []
    run = saling("evacuate", "batam", "--dry-run", "--by", "sri", "--output", "json")
    assert json.loads(run.out)["preview"]["steps"][0]["service"] == "paspor"


def test_without_a_yes_and_a_terminal_nothing_is_done(planning: Stub, saling: Saling) -> None:
    run = saling("evacuate", "batam", "--by", "sri")
    assert run.code == 2
    assert "--dry-run" in run.err
    assert planning.asked == []


def test_a_plan_that_ends_with_services_left_exits_with_3(planning: Stub, saling: Saling) -> None:
    left = plan("ended", step("paspor", "left out", because="on hold"), because="left out: paspor")
    planning.plans[f"plans/{PLAN}"] = [left]
    run = saling("evacuate", "batam", "--yes", "--by", "sri")
    assert run.code == 3
    assert "paspor: on hold" in run.out


def test_a_plan_that_waits_is_told_and_exits_with_3(planning: Stub, saling: Saling) -> None:
    waits = plan("waiting", step("paspor", tries=12, because="unfit"), because="paspor: unfit")
    planning.plans[f"plans/{PLAN}"] = [waits]
    run = saling("evacuate", "batam", "--yes", "--by", "sri")
    assert run.code == 3
    assert "waiting" in run.out


def test_a_refused_plan_exits_with_4_and_shows_what_it_looked_at(
    planning: Stub, saling: Saling
) -> None:
    body = {"site": "batam", "refused": "failback of batam is refused",
            "unmet": ["batam was left 3 min ago: wait, or give --now"],
            "preview": foreseen()}  # fmt: skip
    planning.dry_answer = (412, body)
    run = saling("failback", "batam", "--yes", "--by", "sri")
    assert run.code == 4
    assert "--now" in run.err
    assert "paspor" in run.err
    assert planning.done == []


def test_another_plan_under_way_exits_with_5(planning: Stub, saling: Saling) -> None:
    planning.dry_answer = problem(409, "one plan at a time: drill-ikn-2 is running")
    run = saling("evacuate", "batam", "--yes", "--by", "sri")
    assert run.code == 5
    assert "drill-ikn-2" in run.err


def test_no_wait_returns_once_it_is_accepted(planning: Stub, saling: Saling) -> None:
    run = saling("evacuate", "batam", "--yes", "--no-wait", "--by", "sri")
    assert run.code == 0
    assert f"saling plan show {PLAN}" in run.err


def test_the_time_to_watch_may_be_over_before_the_plan_is(planning: Stub, saling: Saling) -> None:
    planning.plans[f"plans/{PLAN}"] = [plan("running", step("paspor", "moving"))]
    run = saling("evacuate", "batam", "--yes", "--timeout", "0.1", "--by", "sri")
    assert run.code == 1
    assert "it goes on" in run.err


def test_a_failover_of_a_site_needs_a_reason(planning: Stub, saling: Saling) -> None:
    run = saling("failover-site", "batam", "--yes", "--by", "sri")
    assert run.code == 2
    run = saling("failover-site", "batam", "--yes", "--by", "sri", "--reason", "no power")
    assert run.code == 0
    assert planning.done[0].path == "/api/v1/sites/batam/failover"


def test_a_failover_whose_every_step_is_refused_now_says_so_and_gives_no_time(
    planning: Stub, saling: Saling
) -> None:
    (first, left) = foreseen()["steps"]
    planning.dry_answer = trial(steps=[first | {"refused_now": "the lease is held"}, left])
    run = saling("failover-site", "batam", "--dry-run", "--by", "sri")
    assert run.code == 0
    told = " ".join(run.out.split())
    assert "every step is refused now: each is asked for up to 12 times, for about 6 min" in told
    assert "is moved" not in told
    assert "in all" not in told


def test_flags_reach_the_controller(planning: Stub, saling: Saling) -> None:
    saling(
        "failback", "batam", "--yes", "--now", "--despite-caution", "--over-capacity",
        "--at-once", "2", "--by", "sri",
    )  # fmt: skip
    assert planning.done[0].body == {
        "by": "sri", "reason": "", "now": True, "despite_caution": True, "over_capacity": True,
        "at_once": 2,
    }  # fmt: skip


def test_nothing_to_move_is_told_and_well(planning: Stub, saling: Saling) -> None:
    text = "nothing is to be done: no service has its primary at batam"
    planning.dry_answer = (200, {"site": "batam", "accepted": True, "text": text, "plan": "",
                                 "preview": foreseen(steps=[], room=[])})  # fmt: skip
    run = saling("evacuate", "batam", "--yes", "--by", "sri")
    assert run.code == 0
    assert "nothing is to be done" in run.out
    assert planning.done == []


def test_the_plan_under_way_is_shown_with_its_steps(stub: Stub, saling: Saling) -> None:
    stub.plans["plan"] = [{"plan": plan("running", step("paspor", "moving"), step("visa"))}]
    run = saling("plan", "show")
    assert run.code == 0
    assert "0 of 2 done, 1 moving, about 9.0 s left" in run.out
    assert "visa" in run.out
    stub.plans["plan"] = [{"plan": None}]
    assert "no plan is under way" in saling("plan", "show").out


def test_past_plans_are_listed(stub: Stub, saling: Saling) -> None:
    stub.plans["plans"] = [{"plans": [plan("done", step("paspor", "done"))]}]
    run = saling("plan", "list")
    assert run.code == 0
    assert PLAN in run.out


@pytest.mark.parametrize("act", ["pause", "resume", "end"])
def test_the_plan_is_steered(stub: Stub, saling: Saling, act: str) -> None:
    stub.answers = [(200, {"accepted": True, "text": f"{PLAN} is changed", "plan": PLAN})]
    run = saling("plan", act, PLAN, "--by", "sri", "--reason", "so")
    assert run.code == 0
    assert f"{PLAN} is changed" in run.out
    (done,) = stub.done
    assert done.path == f"/api/v1/plan/{act}"
    assert done.body == {"by": "sri", "reason": "so", "plan": PLAN}


def test_status_shows_a_plan_in_a_line_and_one_that_waits_degrades(
    stub: Stub, saling: Saling
) -> None:
    stub.state["plan"] = plan("running", step("paspor", "moving"))
    run = saling("status")
    assert run.code == 0
    assert f"plan {PLAN}: running, 0 of 1 done" in run.out
    stub.state["plan"] = plan("waiting", step("paspor"), because="paspor: unfit")
    run = saling("status")
    assert run.code == 3
    assert "paspor: unfit" in run.out


def test_what_each_group_waits_for_is_shown_with_the_plan(stub: Stub, saling: Saling) -> None:
    kota = {"group": "kota"}
    shown = plan(
        "running",
        step("kota-db", "done", **kota),
        step("kota-cache", "moving", because="batam-1 stops in order", **kota),
        step("kota-front", **kota),
        step("paspor", group="", tries=2, because="jabodetabek-1 is 3 MiB behind"),
        step("visa", group=""),
        step("pajak", group=""),
        at_once=2,
    )
    stub.plans["plan"] = [{"plan": shown}]
    told = " ".join(saling("plan", "show").out.split())
    assert (
        "group kota, 1 of 3 done: kota-cache moves to jabodetabek-1: batam-1 stops in order; "
        "then kota-front" in told
    )
    assert "paspor was refused 2 times: jabodetabek-1 is 3 MiB behind" in told
    assert "wait for their turn (2 move at once): visa, pajak" in told
    assert "about 9.0 s left" in told


def test_what_a_paused_plan_has_not_asked_for_waits_for_who_lets_it_go_on(
    stub: Stub, saling: Saling
) -> None:
    stub.plans["plan"] = [{"plan": plan("paused", step("visa", group=""), at_once=4)}]
    told = " ".join(saling("plan", "show").out.split())
    assert "wait until the plan goes on (`saling plan resume`): visa" in told


def test_a_drill_on_its_way_out_says_that_all_come_back(stub: Stub, saling: Saling) -> None:
    there, back = step("paspor", "moving"), step("paspor", leg=2)
    stub.plans["plan"] = [{"plan": plan("running", there, back, kind="drill")}]
    assert "then they are brought back" in saling("plan", "show").out


def test_progress_is_told_while_a_plan_is_watched(
    planning: Stub, saling: Saling, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(site_moves, "POLL_S", 0.01)
    run = saling("evacuate", "batam", "--yes", "--by", "sri")
    assert f"plan {PLAN}: running, 0 of 1 done, 1 moving, about 9.0 s left" in run.err
    assert "group app, 0 of 1 done: paspor moves to jabodetabek-1" in run.err
    assert run.err.count("about 9.0 s left") == 1


def test_the_last_plan_is_shown_also_when_it_is_over(stub: Stub, saling: Saling) -> None:
    stub.plans["plans"] = [{"plans": [plan("done", step("paspor", "done"))]}]
    stub.plans[f"plans/{PLAN}"] = [plan("done", step("paspor", "done"))]
    run = saling("plan", "show", "--last")
    assert run.code == 0
    assert f"plan {PLAN}: done" in run.out
    assert saling("plan", "show", "--last", PLAN).code == 2
    stub.plans["plans"] = [{"plans": []}]
    run = saling("plan", "show", "--last")
    assert run.code == 2
    assert "no plan was made yet" in run.err


@pytest.mark.parametrize("act", ["pause", "resume", "end"])
def test_to_steer_a_plan_where_there_is_none_is_a_conflict(
    stub: Stub, saling: Saling, act: str
) -> None:
    stub.answers = [problem(409, f"there is no plan under way to {act}", "plan", "see the last")]
    run = saling("plan", act)
    assert run.code == 5
    assert "there is no plan under way" in run.err and "mend: see the last" in run.err
