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
)
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
)  # fmt: skip
