"""The shell around the rules: persist first, then speak; stop rather than act."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from typing import Any

import msgspec
import pytest

from controller import runtime as runtime_module
from controller.core.events import Kind, ReportCame, Requested
from controller.core.model import Phase, Record, State
from controller.core.step import LeadershipLost, step
from controller.inbox import Conflict, RulesFailed
from controller.journal import EventLine, SnapshotLine, files, numbered
from controller.stores.base import StoreFailed
from controller.stores.sqlite import SqliteStore
from lab.faults.small_disk import NoDisk, SmallDisk, why_not
from protocol.messages import Grant, Mode, Order, Role
from tests.controller.cluster import Cluster
from tests.controller.desk import SYSTEM, WAIT_S, A, B, Desk


async def fails(desk: Desk) -> BaseException:
    """What a runtime stops for."""
    with pytest.raises(BaseExceptionGroup) as caught:
        async with asyncio.timeout(WAIT_S):
            await desk.runtime.run()
    error: BaseException = caught.value
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


async def test_a_change_is_in_the_store_before_anything_is_said_of_it(turning: Desk) -> None:
    turning.report(A, mode=Mode.ALONE)
    await turning.until(lambda: len(turning.said) >= 2)
    assert turning.events[0] == "stored ALONE"
    agent, order = turning.said[0]
    assert isinstance(order, Order)
    (assignment,) = order.assignments
    assert (agent, assignment.revision, order.term) == (A, 2, 1)
    assert order.store_generation == turning.store.generation
    stored = turning.store.read("paspor", 1)
    assert stored == turning.record()
    assert stored.system_identifier == SYSTEM


async def test_a_refused_swap_stops_the_controller_and_nothing_is_said(desk: Desk) -> None:
    desk.store.begin_term()
    desk.report(A, mode=Mode.ALONE)
    error = await fails(desk)
    assert isinstance(error, LeadershipLost)
    assert "another controller leads" in str(error)
    assert desk.events == []
    assert desk.record().revision == 1


async def test_a_store_that_fails_stops_the_controller_and_nothing_is_said(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def swap(*_arguments: object) -> bool:
        raise StoreFailed("no space left")

    monkeypatch.setattr(desk.store, "swap", swap)
    desk.report(A, mode=Mode.ALONE)
    assert isinstance(await fails(desk), StoreFailed)
    assert desk.events == []
    assert desk.runtime.status.store_problem == "no space left"


async def test_a_holder_is_answered_with_a_signed_grant(turning: Desk) -> None:
    turning.renew(A)
    await turning.until(lambda: any(isinstance(m, Grant) for _, m in turning.said))
    agent, grant = next((a, m) for a, m in turning.said if isinstance(m, Grant))
    assert isinstance(grant, Grant)
    (granted,) = grant.grants
    assert (agent, granted.nonce, granted.ttl_ms) == (A, "n1", 2000)


async def test_a_start_nonce_is_echoed_only_after_a_read_of_the_store(
    turning: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = turning.store.read

    def watched_read(uid: str, term: int) -> Record | None:
        turning.events.append("read")
        return real(uid, term)

    monkeypatch.setattr(turning.store, "read", watched_read)
    turning.report(A, mode=Mode.NONE, role=Role.DOWN, system_identifier="", start_nonce="s1")
    await turning.until(lambda: bool(turning.said))
    assert turning.events == ["read", f"said Order to {A}"]
    _, order = turning.said[0]
    assert isinstance(order, Order)
    assert order.assignments[0].start_nonce == "s1"


async def test_a_read_of_a_replaced_leader_stops_it(desk: Desk) -> None:
    desk.store.begin_term()
    desk.report(A, role=Role.DOWN, system_identifier="", start_nonce="s1")
    error = await fails(desk)
    assert "must stop" in str(error)
    assert desk.said == []


async def test_orders_to_one_agent_travel_in_one_message(turning: Desk) -> None:
    replicas = [
        turning.cluster.replica(name, role=Role.STANDBY, revision=0) for name in ("paspor", "pajak")
    ]
    turning.runtime.offer(ReportCame(turning.cluster.report(B, 1, *replicas)))
    await turning.until(lambda: bool(turning.said))
    agent, order = turning.said[0]
    assert isinstance(order, Order)
    assert agent == B
    assert sorted(a.service for a in order.assignments) == ["pajak", "paspor"]


async def test_a_request_is_answered_by_the_rules(turning: Desk) -> None:
    answer = await turning.runtime.submit(Requested("r1", Kind.PAUSE, "paspor", "siti", "drill"))
    assert answer.accepted
    assert turning.record().paused == "by siti: drill"
    refused = await turning.runtime.submit(Requested("r2", Kind.SWITCHOVER, "paspor", "siti"))
    assert not refused.accepted
    assert "ALONE" in refused.text


@pytest.mark.parametrize("stale", [{"revision": 7}, {"epoch": 2}])
async def test_a_request_that_takes_too_much_for_granted_is_a_conflict(
    turning: Desk, stale: dict[str, int]
) -> None:
    with pytest.raises(Conflict, match="paspor"):
        await turning.runtime.submit(Requested("r1", Kind.PAUSE, "paspor", "siti"), **stale)
    assert turning.record().paused == ""


async def test_an_event_that_the_rules_cannot_handle_changes_nothing_and_ends_nothing(
    turning: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def poisoned(state: State, event: Any, now_ms: int) -> Any:
        if isinstance(event, Requested) and event.by == "poison":
            raise KeyError("a bug")
        return step(state, event, now_ms)

    monkeypatch.setattr(runtime_module, "step", poisoned)
    with pytest.raises(RulesFailed):
        await turning.runtime.submit(Requested("r1", Kind.PAUSE, "paspor", "poison"))
    assert turning.runtime.status.rule_errors == 1
    assert turning.record().revision == 1
    answer = await turning.runtime.submit(Requested("r2", Kind.PAUSE, "paspor", "siti"))
    assert answer.accepted


async def test_a_restart_keeps_the_records_and_raises_the_term(cluster: Cluster) -> None:
    terms, revisions = [], []
    for _ in range(2):
        desk = Desk(cluster)
        task = asyncio.create_task(desk.runtime.run())
        await desk.runtime.submit(Requested("r", Kind.PAUSE, "paspor", "siti"))
        terms.append(desk.state.term)
        revisions.append(desk.record().revision)
        task.cancel()
        await asyncio.wait([task], timeout=WAIT_S)
        desk.journal.close()
        await desk.worker.close()
    assert terms == [1, 2]
    assert revisions == [2, 3]


async def test_one_record_that_cannot_be_read_leaves_the_others_served(cluster: Cluster) -> None:
    path = cluster.topology.store.path
    SqliteStore(path, "c1").close()
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute("INSERT INTO records VALUES ('paspor', 1, '{}')")
        database.commit()
    desk = Desk(cluster)
    assert list(desk.state.services) == ["pajak"]
    assert list(desk.runtime.status.broken_records) == ["paspor"]
    desk.journal.close()
    await desk.worker.close()


async def test_the_journal_replays_to_the_same_records(turning: Desk) -> None:
    await turning.protect()
    turning.healthy(Mode.LEASED)
    answer = await turning.runtime.submit(Requested("r", Kind.SWITCHOVER, "paspor", "siti", "x"))
    assert answer.accepted
    assert turning.record().phase is Phase.DRAINING
    turning.report(A, role=Role.DOWN, released=True)
    turning.report(B, role=Role.STANDBY)
    await turning.until(lambda: turning.record().phase is Phase.PROMOTING)
    turning.journal.close()

    (file,) = files(turning.cluster.topology.journal.directory)
    lines = [line for _number, _size, line in numbered(file)]
    snapshot = lines[0]
    assert isinstance(snapshot, SnapshotLine)
    state = snapshot.state
    assert state == turning.first
    for line in lines[1:]:
        assert isinstance(line, EventLine)
        state, _ = step(state, line.event, line.now_ms)
    replayed = {uid: service.record for uid, service in state.services.items()}
    assert replayed == turning.store.records().records
    assert replayed["paspor"].primary == B
    assert msgspec.json.encode(state) == msgspec.json.encode(turning.state)


async def test_a_controller_whose_stores_disk_is_really_full_orders_nothing_that_it_cannot_keep(
    cluster: Cluster,
) -> None:
    if why_not():
        pytest.skip(why_not())
    place = cluster.topology.store.path.parent
    try:
        disk = SmallDisk(place, 4 * 2**20).__enter__()
    except NoDisk as why:
        pytest.skip(f"no file system can be mounted here: {why}")
    desk = Desk(cluster)
    try:
        disk.fill()
        desk.report(A, mode=Mode.ALONE)
        error = await fails(desk)
        assert isinstance(error, StoreFailed)
        assert "is full" in str(error)
        assert (desk.events, desk.said) == ([], [])
        assert desk.store.read("paspor", 1) == desk.record()
    finally:
        desk.journal.close()
        await desk.worker.close()
        disk.__exit__()


async def test_an_agent_is_told_whom_to_probe_in_an_order_without_assignments(
    turning: Desk,
) -> None:
    turning.runtime.offer(ReportCame(turning.cluster.report(A, 1)))
    await turning.until(lambda: len(turning.said) == 1)
    agent, order = turning.said[0]
    assert isinstance(order, Order)
    assert (agent, order.assignments) == (A, ())
    assert order.probe_list == turning.state.nation.probe_lists[A]
    (probe,) = order.probes
    assert (probe.agent, probe.site) == (B, "batam")
    assert probe.address == turning.cluster.topology.agent(B).address


async def test_whom_to_probe_goes_out_with_the_assignments_where_there_are_some(
    turning: Desk,
) -> None:
    replica = turning.cluster.replica("paspor", mode=Mode.ALONE, system_identifier=SYSTEM)
    turning.runtime.offer(ReportCame(turning.cluster.report(A, 1, replica)))
    await turning.until(lambda: len(turning.said) >= 2)
    orders = [order for agent, order in turning.said if agent == A and isinstance(order, Order)]
    assert [(len(order.assignments), len(order.probes)) for order in orders] == [(1, 1)]


async def test_the_judgement_of_the_sites_goes_on_and_is_in_the_journal(turning: Desk) -> None:
    turning.report(A, mode=Mode.ALONE)
    turning.report(B, role=Role.STANDBY, mode=Mode.NONE)
    await turning.until(lambda: len(turning.state.nation.agents) == 2)
    turning.now_ms += 1000
    await turning.until(lambda: turning.state.nation.judged_ms == turning.now_ms)
    assert turning.state.nation.sites["batam"].because.startswith("1 of 1 agents heard")
