"""What Prometheus scrapes is well formed and says what is the case."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from typing import Any

import pytest
from msgspec import structs

from controller.core.model import Hold, Maintenance, Operation, Seen, State, Transition
from controller.core.step import begin, found
from controller.link import Counts
from controller.metrics.exporter import Metrics
from controller.specs import service_specs
from controller.status import BrokerStatus, Status
from controller.stores.base import HistoryLine
from protocol.messages import Mode, ReplicaReport, Role
from tests.controller.cluster import Cluster


@pytest.fixture
def status(cluster: Cluster) -> Status:
    topology = cluster.topology
    specs = service_specs(topology)
    state: State = begin(specs, {s.uid: found(s, 3) for s in specs}, 3, "g", 1000)
    return Status(
        topology=topology,
        state=state,
        now_ms=2000,
        started_at_ms=0,
        heard_ms={"batam-1": 1900},
        brokers=(BrokerStatus("b1:1883", True), BrokerStatus("b2:1883", False, "refused", 2)),
        store_kind="sqlite",
        store_problem="",
        broken_records={},
        journal_errors=4,
        journal_problem="",
        waiting=5,
        dropped={"report": 6},
        rule_errors=0,
    )


@pytest.fixture
def metrics(status: Status) -> Metrics:
    one = Metrics("1.2.3")
    counts = Counts()
    counts.rejected["malformed"] = 7
    one.watch(lambda: status, lambda: counts)
    return one


def ended(kind: str, by: str, outcome: str, **more: Any) -> Transition:
    operation = Operation("paspor-9", kind, by)
    return Transition(
        "paspor", "paspor", 9, 3, 2, "ROUTING", "ALONE", "", "a", "b", operation, outcome, **more
    )


def lines(metrics: Metrics) -> list[str]:
    return metrics.render().decode().splitlines()


@pytest.mark.parametrize(
    "line",
    [
        'saling_build_info{version="1.2.3"} 1.0',
        'saling_services{phase="ALONE"} 2.0',
        'saling_services{phase="HELD"} 0.0',
        'saling_service_protected{service="paspor"} 0.0',
        'saling_service_maintenance{service="paspor"} 0.0',
        'saling_service_hold{service="paspor"} 0.0',
        'saling_agent_veto{agent="batam-1"} 0.0',
        'saling_service_readiness_raised{service="paspor"} 0.0',
        'saling_service_maintenance_overdue{service="paspor"} 0.0',
        'saling_agent_maintenance{agent="batam-1"} 0.0',
        'saling_site_maintenance{site="batam"} 0.0',
        'saling_service_lease_ttl_seconds{service="paspor"} 2.0',
        'saling_site_up{site="batam"} 1.0',
        'saling_site_up{site="jabodetabek"} 0.0',
        'saling_agent_up{agent="batam-1"} 1.0',
        'saling_pair_protected{pair="batam-jabodetabek"} 0.0',
        'saling_broker_connected{broker="b1:1883"} 1.0',
        'saling_broker_connected{broker="b2:1883"} 0.0',
        'saling_broker_messages_dropped_total{broker="b2:1883"} 2.0',
        'saling_messages_rejected_total{reason="malformed"} 7.0',
        'saling_messages_rejected_total{reason="stale"} 0.0',
        "saling_controller_term 3.0",
        "saling_store_up 1.0",
        "saling_events_waiting 5.0",
        'saling_events_dropped_total{kind="report"} 6.0',
        "saling_journal_errors_total 4.0",
    ],
)
def test_each_fact_is_shown_as_a_number(metrics: Metrics, line: str) -> None:
    assert line in lines(metrics)


@pytest.mark.parametrize(("after_ms", "overdue"), [(60_000, False), (3_700_000, True)])
def test_a_maintenance_is_told_apart_from_a_loss_until_it_is_overdue(
    status: Status, after_ms: int, overdue: bool
) -> None:
    service = status.state.services["paspor"]
    announced = Maintenance("batam-1", "siti", "kernel patches", 3_600_000)
    now_ms = service.maintenance_ms + after_ms
    patched = structs.replace(
        service,
        record=structs.replace(service.record, maintenance=announced),
        proven_once=True,
        proven_ms=now_ms,
    )
    # The site holds nothing else here.
    services = {"paspor": patched}
    state = structs.replace(status.state, services=services)
    one = Metrics("1.2.3")
    one.watch(lambda: replace(status, state=state, now_ms=now_ms), Counts)
    shown = lines(one)
    planned = float(not overdue)
    assert f'saling_service_maintenance{{service="paspor"}} {planned}' in shown
    assert f'saling_service_maintenance_overdue{{service="paspor"}} {1 - planned}' in shown
    assert f'saling_agent_maintenance{{agent="batam-1"}} {planned}' in shown
    assert f'saling_site_maintenance{{site="batam"}} {planned}' in shown
    assert 'saling_site_maintenance{site="jabodetabek"} 0.0' in shown
    left_s = (3_600_000 - after_ms) / 1000
    assert f'saling_service_maintenance_left_seconds{{service="paspor"}} {left_s}' in shown


def test_a_hold_is_shown_with_what_is_left_of_it(status: Status) -> None:
    service = status.state.services["paspor"]
    held = structs.replace(
        service, record=structs.replace(service.record, hold=Hold("siti", "why", "all", 3_600_000))
    )
    state = structs.replace(status.state, services={"paspor": held})
    one = Metrics("1.2.3")
    now_ms = service.hold_ms + 600_000
    one.watch(lambda: replace(status, state=state, now_ms=now_ms), Counts)
    shown = lines(one)
    assert 'saling_service_hold{service="paspor"} 1.0' in shown
    assert 'saling_service_hold_left_seconds{service="paspor"} 3000.0' in shown
    assert 'saling_service_readiness_raised{service="paspor"} 1.0' in shown


def test_an_agent_that_still_holds_another_service_is_not_announced_as_a_whole(
    status: Status,
) -> None:
    service = status.state.services["paspor"]
    announced = Maintenance("batam-1", "siti", "kernel patches", 3_600_000)
    patched = structs.replace(
        service,
        record=structs.replace(service.record, maintenance=announced),
        proven_once=True,
        proven_ms=status.now_ms,
    )
    other = next(
        s for s in status.state.services.values()
        if s.record.service != "paspor" and "batam-1" in (s.record.primary, s.record.backup)
    )  # fmt: skip
    services = {"paspor": patched, other.record.service_uid: other}
    state = structs.replace(status.state, services=services)
    one = Metrics("1.2.3")
    one.watch(lambda: replace(status, state=state), Counts)
    shown = lines(one)
    assert 'saling_service_maintenance{service="paspor"} 1.0' in shown
    assert 'saling_agent_maintenance{agent="batam-1"} 0.0' in shown


@pytest.mark.parametrize("metric", ["backup_unfit", "fence_missing"])
@pytest.mark.parametrize(("unfit", "value"), [("", 0.0), ("max_connections: 50 here", 1.0)])
def test_a_backup_that_does_not_match_its_primary_or_lacks_its_fence_is_shown(
    status: Status, unfit: str, value: float, metric: str
) -> None:
    service = status.state.services["paspor"]
    backup = service.record.backup
    told = ReplicaReport(
        service="paspor",
        service_uid=service.spec.uid,
        revision=1,
        epoch=1,
        role=Role.STANDBY,
        mode=Mode.NONE,
        unfit=unfit if metric == "backup_unfit" else "",
        fence_missing=unfit if metric == "fence_missing" else "",
    )
    heard = structs.replace(service, reports={backup: Seen(told, status.now_ms)})
    services = {**status.state.services, "paspor": heard}
    one = Metrics("1.2.3")
    state = structs.replace(status.state, services=services)
    one.watch(lambda: replace(status, state=state), Counts)
    shown = lines(one)
    assert f'saling_service_{metric}{{service="paspor"}} {value}' in shown
    assert sum(line.startswith(f"saling_service_{metric}{{") for line in shown) == 2


def test_a_move_is_counted_where_it_ends_with_its_reason(metrics: Metrics) -> None:
    metrics.note(ended("failover", "the controller", "done", outage_ms=2500, loss_bytes=300))
    metrics.note(ended("switchover", "siti", "given up"))
    metrics.note(ended("switchover", "siti", ""))
    shown = lines(metrics)
    labels = 'service="paspor"'
    failover = f'{{outcome="done",reason="automatic",{labels}}}'
    switchover = f'{{outcome="given_up",reason="operator",{labels}}}'
    assert f"saling_failovers_total{failover} 1.0" in shown
    assert f"saling_switchovers_total{switchover} 1.0" in shown
    assert f"saling_last_outage_seconds{{{labels}}} 2.5" in shown
    assert f"saling_last_loss_bytes{{{labels}}} 300.0" in shown


def test_the_last_outage_is_remembered_over_a_restart(metrics: Metrics) -> None:
    newest, older = (ended("failover", "x", "done", outage_ms=ms) for ms in (2000, 9000))
    metrics.remember([HistoryLine(2, 0, newest), HistoryLine(1, 0, older)])
    shown = lines(metrics)
    assert 'saling_last_outage_seconds{service="paspor"} 2.0' in shown
    assert not any(line.startswith("saling_failovers_total{") for line in shown)


def test_promtool_finds_nothing_wrong_with_the_metrics(metrics: Metrics) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed; it comes with the Debian package prometheus")
    metrics.note(ended("failover", "the controller", "done", outage_ms=2500, loss_bytes=300))
    metrics.note(ended("switchover", "siti", "done"))
    check = subprocess.run(
        [promtool, "check", "metrics"],
        input=metrics.render(),
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert (check.returncode, check.stdout, check.stderr) == (0, b"", b"")


def test_the_disks_of_the_copies_are_shown_as_far_as_they_are_known(status: Status) -> None:
    service = status.state.services["paspor"]
    primary, backup = service.record.primary, service.record.backup
    told = ReplicaReport(
        service="paspor", service_uid=service.spec.uid, revision=1, epoch=1, role=Role.STANDBY
    )
    low = structs.replace(told, disk_low="/data: 1 MiB free", disk_free_bytes=2**20)
    reports = {primary: Seen(told, status.now_ms), backup: Seen(low, status.now_ms)}
    services = {**status.state.services, "paspor": structs.replace(service, reports=reports)}
    one = Metrics("1.2.3")
    state = structs.replace(status.state, services=services)
    one.watch(lambda: replace(status, state=state), Counts)
    shown = [line for line in lines(one) if line.startswith("saling_copy_disk")]
    assert shown == [
        f'saling_copy_disk_low{{agent="{backup}",service="paspor"}} 1.0',
        f'saling_copy_disk_free_bytes{{agent="{backup}",service="paspor"}} 1.048576e+06',
    ]
