"""One direction of a road, without any network: times are given, not waited for."""

from __future__ import annotations

import random

from lab.roads.lanes import MAX_WAIT_S, Lane

PACKET = bytes(1000)


def lane(delay_s: float = 0.010, seed: int = 0) -> Lane:
    return Lane(delay_s, random.Random(seed))


def test_a_packet_arrives_after_the_delay_and_not_before() -> None:
    one = lane()
    assert one.take(PACKET, 5.0)
    assert one.arrived(5.009) == []
    assert one.next_s() == 5.010
    assert one.arrived(5.010) == [PACKET]
    assert (one.arrived(6.0), one.next_s()) == ([], None)


def test_a_cut_lane_takes_nothing_and_forgets_what_was_under_way() -> None:
    one = lane()
    one.take(PACKET, 5.0)
    one.cut()
    assert not one.take(PACKET, 5.001)
    assert one.arrived(9.0) == []
    one.heal()
    assert one.take(PACKET, 9.0)


def test_a_slow_lane_lets_packets_leave_at_its_speed_and_drops_what_would_wait_too_long() -> None:
    one = lane()
    one.bytes_s = 10_000
    taken = [one.take(PACKET, 5.0) for _ in range(20)]
    fits = round(MAX_WAIT_S / 0.1) + 1
    assert taken == [True] * fits + [False] * (20 - fits)
    assert len(one.arrived(5.0 + 0.1 * 3 + 0.0101)) == 3
    assert one.take(PACKET, 7.0), "the queue has drained"


def test_loss_is_as_likely_as_asked_and_the_same_for_the_same_seed() -> None:
    first, second, other = lane(seed=7), lane(seed=7), lane(seed=8)
    outcomes = []
    for one in (first, second, other):
        one.loss = 0.25
        outcomes.append([one.take(b"", 0.0) for _ in range(4000)])
    assert outcomes[0] == outcomes[1] != outcomes[2]
    assert 0.22 < outcomes[0].count(False) / 4000 < 0.28


def test_order_is_kept_when_a_delay_is_taken_back() -> None:
    one = lane()
    one.extra_s = 1.0
    one.take(b"first", 5.0)
    one.extra_s = 0.0
    one.take(b"second", 5.1)
    assert one.arrived(5.5) == []
    assert one.arrived(6.1) == [b"first", b"second"]
