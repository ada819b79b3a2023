"""What Prometheus scrapes of the sites' health, the links and the ways."""

from __future__ import annotations

import pytest

from controller.core.model import State
from controller.core.site_model import Consequence, Nation, Stage
from controller.core.sites.policy import policy_of
from controller.link import Counts
from controller.metrics.exporter import Metrics
from controller.status import Status
from protocol.messages import Symptom
from tests.controller.cluster import Cluster
from tests.controller.core.sites.nations import Country


def shown(cluster: Cluster, nation: Nation, now_ms: int) -> list[str]:
    status = Status(
        topology=cluster.topology,
        state=State(1, "g", {}, nation),
        now_ms=now_ms,
        started_at_ms=0,
        heard_ms={},
        brokers=(),
        store_kind="sqlite",
        store_problem="",
        broken_records={},
        journal_errors=0,
        journal_problem="",
        waiting=0,
        dropped={},
        rule_errors=0,
    )
    metrics = Metrics("1.2.3")
    metrics.watch(lambda: status, Counts)
    return metrics.render().decode().splitlines()


@pytest.fixture
def country() -> Country:
    return Country(a=1, b=1, c=1, d=1).run(20_000)


def test_a_site_has_one_health_at_a_time(cluster: Cluster, country: Country) -> None:
    country.silence("a").run(12_000)
    lines = shown(cluster, country.nation, country.now_ms)
    assert 'saling_site_health{health="cut_off",site="a"} 1.0' in lines
    assert 'saling_site_health{health="healthy",site="a"} 0.0' in lines
    assert 'saling_site_health{health="healthy",site="b"} 1.0' in lines
    assert "saling_controller_blind 0.0" in lines


def test_a_blind_controller_is_a_number(cluster: Cluster, country: Country) -> None:
    country.silence("a", "b", "c").run(12_000)
    assert "saling_controller_blind 1.0" in shown(cluster, country.nation, country.now_ms)


def test_a_cut_link_and_the_ways_are_numbers(cluster: Cluster, country: Country) -> None:
    country.cut_link("a", "b").run(12_000)
    lines = shown(cluster, country.nation, country.now_ms)
    assert 'saling_link_broken{other="b",site="a"} 1.0' in lines
    assert 'saling_link_broken{other="c",site="a"} 0.0' in lines
    trip = 'saling_site_path_round_trip_seconds{from_site="c",to_site="d"} 0.018'
    assert trip in lines
    assert 'saling_site_path_loss_ratio{from_site="c",to_site="d"} 0.0' in lines
    assert any(
        line.startswith('saling_site_path_answer_age_seconds{from_site="a"') for line in lines
    )


def test_reasons_that_no_policy_names_are_counted_as_other(
    cluster: Cluster, country: Country
) -> None:
    quiet = policy_of({"noise": Consequence.NOTHING})
    for site in country.agents:
        country.declare(site[0], policy=quiet)
    country.symptoms = {
        "a-0": (Symptom("temperature", "41 C"),),
        "b-0": (Symptom("disk", "full"),),
        "c-0": (Symptom("noise", "a humming"),),
    }
    country.run(12_000)
    lines = shown(cluster, country.nation, country.now_ms)
    assert 'saling_site_reason{reason="other",site="a"} 1.0' in lines
    assert 'saling_site_reason{reason="disk",site="b"} 1.0' in lines
    assert 'saling_site_reason{reason="noise",site="c"} 0.0' in lines, "its policy wants it silent"
    assert not any("temperature" in line for line in lines)


def test_a_site_that_is_not_in_use_has_no_numbers(cluster: Cluster, country: Country) -> None:
    country.declare("a", stage=Stage.PLANNED).run(2000)
    lines = shown(cluster, country.nation, country.now_ms)
    assert not any('site="a"' in line for line in lines if "saling_site_health" in line)
