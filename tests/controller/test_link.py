"""What comes in from agents is let in, or counted by its reason and changes nothing."""

from __future__ import annotations

import msgspec
import pytest
import structlog

from controller.core.events import RenewCame, ReportCame
from controller.link import BrokerLink, Gate
from protocol.intake import MAX_BYTES
from protocol.session import BrokerLogin
from tests.controller.cluster import Cluster

AGENTS = frozenset({"batam-1", "jabodetabek-1"})


@pytest.fixture
def heard() -> list[ReportCame | RenewCame]:
    return []


@pytest.fixture
def gate(heard: list[ReportCame | RenewCame]) -> Gate:
    return Gate("c1", AGENTS, heard.append)


def test_reports_and_renewals_of_known_agents_are_let_in(
    gate: Gate, heard: list[ReportCame | RenewCame], cluster: Cluster
) -> None:
    report, renew = cluster.report("batam-1", 1), cluster.renew("batam-1", 1)
    gate.take("saling/c1/batam-1/report", msgspec.json.encode(report), retained=False)
    gate.take("saling/c1/batam-1/renew", msgspec.json.encode(renew), retained=False)
    assert heard == [ReportCame(report), RenewCame(renew)]
    assert gate.counts.accepted == {"report": 1, "renew": 1}
    assert not gate.counts.rejected


@pytest.mark.parametrize(
    ("topic", "raw", "reason"),
    [
        ("saling/c1/batam-1/report", b"", "malformed"),
        ("saling/c1/batam-1/report", b"\xff\xfe", "malformed"),
        ("saling/c1/batam-1/report", b"[" * 10_000, "malformed"),
        ("saling/c1/batam-1/report", b'{"type":"renew"}', "malformed"),
        ("saling/c1/batam-1/report", b"x" * (MAX_BYTES + 1), "too_large"),
        ("saling/c1/ikn-1/report", b"{}", "impostor"),
        ("saling/c1/batam-1/order", b"{}", "unknown_topic"),
        ("saling/c2/batam-1/report", b"{}", "unknown_topic"),
        ("saling/c1/batam-1/report/more", b"{}", "unknown_topic"),
        ("other", b"{}", "unknown_topic"),
    ],
)
def test_what_is_no_message_is_counted_by_its_reason(
    gate: Gate, heard: list[ReportCame | RenewCame], topic: str, raw: bytes, reason: str
) -> None:
    gate.take(topic, raw, retained=False)
    assert heard == []
    assert gate.counts.rejected == {reason: 1}


def test_an_agent_that_speaks_for_another_is_an_impostor(
    gate: Gate, heard: list[ReportCame | RenewCame], cluster: Cluster
) -> None:
    raw = msgspec.json.encode(cluster.report("batam-1", 1))
    gate.take("saling/c1/jabodetabek-1/report", raw, retained=False)
    assert heard == []
    assert gate.counts.rejected == {"impostor": 1}


def test_what_a_broker_kept_from_before_never_counts(
    gate: Gate, heard: list[ReportCame | RenewCame], cluster: Cluster
) -> None:
    raw = msgspec.json.encode(cluster.report("batam-1", 1))
    gate.take("saling/c1/batam-1/report", raw, retained=True)
    assert heard == []
    assert gate.counts.rejected == {"stale": 1}


def test_the_second_copy_is_counted_without_a_word(gate: Gate, cluster: Cluster) -> None:
    raw = msgspec.json.encode(cluster.report("batam-1", 1))
    with structlog.testing.capture_logs() as logs:
        for _ in range(3):
            gate.take("saling/c1/batam-1/report", raw, retained=False)
    assert gate.counts.rejected == {"stale": 2}
    assert logs == []


def test_a_flood_of_garbage_is_told_once_with_its_reason(gate: Gate) -> None:
    with structlog.testing.capture_logs() as logs:
        for _ in range(1000):
            gate.take("saling/c1/batam-1/report", b"garbage", retained=False)
        gate.take("nonsense", b"garbage", retained=False)
    assert gate.counts.rejected == {"malformed": 1000, "unknown_topic": 1}
    assert [entry["reason"] for entry in logs] == ["malformed", "unknown_topic"]


async def test_a_broker_that_is_not_connected_is_sent_nothing(gate: Gate) -> None:
    link = BrokerLink(BrokerLogin("b", "127.0.0.1", 1), "c1", gate)
    for _ in range(5000):
        link.publish("topic", b"payload")
    assert link.status.dropped == 0
    assert not link.status.connected
