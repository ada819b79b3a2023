"""Nights of whole sites: cut off, ailing, under caution, and moved by plans at bad moments."""

from __future__ import annotations

from simulator.strike import Strike
from tests.simulation.night import Pairs, member

SITES = (
    Pairs(
        Strike(12_000, "ail", ("alpha", "power"), 8_000),
        Strike(14_000, "pause", ("s2",)),
        Strike(14_000, "hazard", ("bravo",), 60_000),
        Strike(15_000, "switchover", ("s1",)),
        goes_home=True,
    ),
    Pairs(
        Strike(12_000, "post", ("alpha", "fire"), 9_000),
        Strike(12_500, "post", ("alpha", "fire"), 9_000),
        Strike(13_000, "hang-engine", ("alpha", "s1"), 12_000),
        Strike(20_000, "withdraw", ("alpha", "fire")),
    ),
    Pairs(
        Strike(12_000, "ail", ("alpha", "power"), 12_000),
        Strike(12_000, "ail", ("bravo", "power"), 12_000),
        Strike(12_000, "ail", ("charlie", "heat"), 12_000),
    ),
    Pairs(Strike(10_000, "cut", ("alpha", "bravo"), 14_000)),
    Pairs(*(Strike(10_000, "cut", ("alpha", site), 14_000) for site in ("bravo", "delta"))),
    Pairs(Strike(10_000, "cut-one-way", ("alpha", "bravo"), 14_000)),
    Pairs(Strike(10_000, "crash-host", ("alpha",), 14_000)),
    Pairs(
        Strike(10_000, "cut", ("hub", "alpha"), 14_000),
        Strike(16_000, "cut", ("hub", "bravo"), 8_000),
    ),
    Pairs(
        *(Strike(9_000, "cut", ("alpha", site), 14_000) for site in ("bravo", "charlie", "delta"))
    ),
    Pairs(
        Strike(9_000, "caution", ("bravo",), 60_000),
        Strike(10_000, "plan-evacuate", ("alpha",)),
        Strike(12_000, "caution", ("bravo",), 1_000),
        Strike(14_000, "plan-evacuate", ("alpha",)),
        Strike(18_000, "end-caution", ("bravo",)),
    ),
    Pairs(
        Strike(9_000, "hazard", ("bravo",), 60_000),
        Strike(10_000, "hazard", ("bravo",), 60_000),
        Strike(10_500, "hazard", ("bravo",), 50_000),
        Strike(11_000, "move-despite-caution", ("s1",)),
        Strike(10_000, "cut", ("alpha", "charlie"), 14_000),
    ),
    Pairs(*(Strike(12_000, "cut", ("hub", s), 10_000) for s in ("alpha", "charlie", "delta"))),
    Pairs(
        Strike(10_000, "crash-host", ("alpha",), 14_000),
        Strike(10_000, "crash-host", ("charlie",), 14_000),
        Strike(15_000, "kill-agent", ("delta",), 500),
    ),
    Pairs(
        *(Strike(10_000, "cut", ("alpha", place), 14_000) for place in ("bravo", "delta", "hub")),
        Strike(15_000, "cut", ("charlie", "hub"), 9_000),
    ),
    Pairs(Strike(9_000, "fill-data", ("alpha", "s1", "60000"), 14_000)),
    Pairs(
        Strike(9_000, "slow-log", ("alpha", "bravo", "5000"), 14_000),
        services=(member("s1", write_bytes=5_000, loss_bound_bytes=20_000),),
    ),
    Pairs(
        *(
            Strike(at_ms, "ail", ("charlie", "heat"), 5_000)
            for at_ms in range(9_000, 85_000, 22_000)
        ),
        seconds=100,
    ),
    Pairs(
        Strike(8_000, "switchover", ("s1",)),
        Strike(8_600, "crash-controller", (), 100),
        *(Strike(10_000 + 300 * n, "replay", ("hub", "alpha", "40"), 1) for n in range(8)),
    ),
)

_COPY_RESTORED = (
    Strike(9_000, "hang-promotion", ("bravo", "s1"), 9_000),
    Strike(12_000, "restore-store", ("2900",), 100),
)
"""While s1 is promoted, the store is found to be an older copy."""

PLANS = (
    Pairs(Strike(8_000, "hold", ("s1",), 40_000), Strike(9_000, "plan-evacuate", ("alpha",))),
    Pairs(Strike(8_000, "hold", ("s2",), 40_000), Strike(9_000, "plan-drill", ("alpha",))),
    Pairs(Strike(8_000, "pause", ("s1",)), Strike(12_000, "ail", ("alpha", "power"), 9_000)),
    Pairs(
        Strike(8_000, "plan-evacuate", ("alpha",)),
        Strike(8_100, "plan-pause"), Strike(8_200, "plan-pause"),
        Strike(8_300, "plan-evacuate", ("bravo",)),
        Strike(9_000, "plan-resume"), Strike(9_100, "plan-resume"),
        Strike(14_000, "plan-failback", ("alpha",)),
        Strike(15_000, "plan-end"),
    ),
    Pairs(
        Strike(8_000, "plan-evacuate", ("alpha",)),
        Strike(15_000, "ail", ("alpha", "heat"), 12_000),
        Strike(22_000, "plan-failback", ("alpha",)),
    ),
    Pairs(
        Strike(9_000, "isolate", ("alpha",), 15_000),
        Strike(9_500, "plan-failover", ("alpha",)),
        services=(member("s1", 1, loss_bound_bytes=1), member("s2", 2)),
    ),
    Pairs(
        Strike(9_000, "plan-evacuate", ("alpha",)),
        Strike(9_060, "switchover", ("s2",)),
        Strike(9_100, "crash-host", ("bravo",), 9_000),
    ),
    Pairs(
        Strike(9_000, "plan-failback", ("alpha",)),
        Strike(9_100, "plan-evacuate", ("bravo",)),
        Strike(9_200, "plan-try", ("alpha",)),
        Strike(9_500, "plan-evacuate", ("alpha",)),
        Strike(9_600, "plan-end"),
    ),
    Pairs(Strike(9_000, "plan-evacuate", ("alpha",)), *_COPY_RESTORED),
    Pairs(Strike(10_000, "ail", ("alpha", "power"), 6_000), goes_home=True, seconds=50),
    Pairs(
        Strike(10_000, "ail", ("alpha", "power"), 20_000),
        Strike(24_000, "switchover", ("s1",)),
        Strike(24_100, "switchover", ("s2",)),
        seconds=30,
    ),
)  # fmt: skip
