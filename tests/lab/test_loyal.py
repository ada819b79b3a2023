"""What an old primary acknowledged, by the way it was reached, judged on one clock."""

from __future__ import annotations

from lab.base.records import Answer, Insert, Outcome, Probe
from lab.incidents.loyal import SOCKET, TCP, WaySeen, ways_seen

OLD, NEW = "jabodetabek", "batam"
FAULT_MS, LEASE_END_MS = (1000.0, 9000.0), 2500.0
KEPT = [3000]
"""Numbers at the primary in the end."""


def insert(end_ms: float, address: str = "198.18.0.1:5432", site: str = OLD) -> Insert:
    return Insert(int(end_ms), site, address, end_ms - 1, end_ms, Outcome.ACKED)


def over_socket(end_ms: float) -> Insert:
    return insert(end_ms, "/lab/run/socket:5432")


def probe(end_ms: float, site: str) -> Probe:
    return Probe("paspor", site, int(end_ms), end_ms - 1, end_ms, Answer.COMMITTED, sent=True)


def test_each_way_is_judged_by_itself_and_the_prober_came_over_tcp() -> None:
    inserts = [insert(900), insert(1500), over_socket(2000), insert(3001, site=NEW)]
    tcp, socket = ways_seen(OLD, inserts, [probe(1600, OLD)], FAULT_MS, LEASE_END_MS, KEPT)
    assert tcp == WaySeen(TCP, 2, 0.9, 0, 0)
    assert socket == WaySeen(SOCKET, 1, 0.5, 0, 0)


def test_what_was_told_after_the_partner_was_asked_for_its_first_write_is_counted() -> None:
    """From its question on, for it may have been writable by then."""
    inserts = [insert(2999), insert(3000.5), insert(9001), over_socket(9002)]
    tcp, socket = ways_seen(OLD, inserts, [probe(3001, NEW)], FAULT_MS, LEASE_END_MS, KEPT)
    assert (tcp.acked_after_promotion, socket.acked_after_promotion) == (2, 1)
    assert (tcp.lost_after_promotion, socket.lost_after_promotion) == (1, 1)
    assert (tcp.lease_margin_s, socket.lease_margin_s) == (-0.5, None)


def test_without_a_takeover_nothing_came_after_it() -> None:
    (tcp, socket) = ways_seen(OLD, [insert(3000)], [], FAULT_MS, None, KEPT)
    assert (tcp.acked_after_promotion, tcp.lease_margin_s, socket.acked) == (0, None, 0)
