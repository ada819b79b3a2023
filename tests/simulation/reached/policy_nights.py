"""Nights in which what a plan by policy was made for changes while it is under way."""

from __future__ import annotations

from simulator.setting import ServiceSetting
from simulator.strike import Strike
from tests.simulation.night import Pairs, member

_AILS = Strike(10_000, "ail", ("alpha", "power"), 40_000)
"""An evacuation of alpha begins at about 15 s."""
_S1_TAKES_LONG = Strike(9_000, "hang-promotion", ("bravo", "s1"), 20_000)
"""So that s2, which comes after it in its group, waits for its turn."""
_BOTH_WAYS = (ServiceSetting("s1", "alpha", "bravo"), ServiceSetting("s3", "bravo", "alpha"))
_SLOW_FIRST = (member("s1", 1, lease="standard"), member("s2", 2))
_APART = (member("s1", 1), member("s2", 2), member("s3"))

POLICY = (
    Pairs(_AILS, _S1_TAKES_LONG, Strike(17_000, "pause", ("s2",)), seconds=30),
    Pairs(_AILS, _S1_TAKES_LONG, Strike(17_000, "isolate", ("hub",), 9_000), seconds=30),
    Pairs(_AILS, _S1_TAKES_LONG, Strike(17_000, "crash-controller", (), 1_000), seconds=30),
    Pairs(
        _AILS, _S1_TAKES_LONG, Strike(17_000, "reload-stage", ("alpha", "suspended")), seconds=30
    ),
    Pairs(
        Strike(8_000, "plan-evacuate", ("bravo",)),
        Strike(10_000, "ail", ("alpha", "power"), 9_000),
        services=_BOTH_WAYS,
    ),
    Pairs(
        Strike(10_000, "ail", ("alpha", "power"), 6_000),
        Strike(30_000, "hang-promotion", ("alpha", "s1"), 30_000),
        Strike(45_000, "hazard", ("alpha",), 10_000),
        goes_home=True, seconds=60,
    ),
    Pairs(
        Strike(10_000, "cut", ("hub", "alpha"), 14_000),
        Strike(15_000, "hang-engine", ("alpha", "s1"), 9_000),
        services=_SLOW_FIRST,
    ),
    Pairs(
        Strike(10_000, "ail", ("alpha", "power"), 5_000),
        Strike(8_000, "maintenance-begin", ("s3",), 45_000),
        Strike(9_000, "hang-promotion", ("bravo", "s1"), 45_000),
        services=_APART, seconds=55,
    ),
    Pairs(
        Strike(10_000, "ail", ("alpha", "power"), 6_000),
        Strike(8_000, "maintenance-begin", ("s3",), 50_000),
        services=_APART, seconds=45,
    ),
    Pairs(
        Strike(10_000, "ail", ("alpha", "fire"), 20_000),
        Strike(16_000, "cut", ("alpha", "bravo"), 9_000),
    ),
)  # fmt: skip
