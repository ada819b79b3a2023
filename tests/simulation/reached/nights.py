"""Nights that reach the rows and branches which chance reaches too seldom."""

from __future__ import annotations

from controller.core.model import Protection
from simulator.strike import Strike
from tests.simulation.night import Night

SECONDS = 20
SEEDS = range(3)

_LOSS = (
    Strike(8_000, "cut", ("alpha", "bravo"), 20_000),
    Strike(13_000, "isolate", ("alpha",), 20_000),
)
"""The service is HELD for a loss from 15 s on."""

_GONE = (Strike(9_000, "isolate", ("alpha",), 12_000),)
"""COUNTDOWN from about 10 s to about 11 s, then bravo is promoted."""

_BACKUP_BACK = (Strike(8_000, "crash-host", ("bravo",), 4_000),)
"""ALONE from about 10 s on, ARMING at about 13 s."""

STORE_RESTORED = (
    Night(Strike(9_000, "pause", ("s1",)), Strike(9_500, "restore-store", ("1000",), 100)),
    Night(Strike(9_000, "switchover", ("s1",)), Strike(12_000, "restore-store", ("2900",), 100)),
    Night(*_GONE, Strike(14_000, "restore-store", ("3500",), 100)),
    Night(
        *_GONE,
        Strike(10_000, "hang-promotion", ("bravo", "s1"), 2_500),
        Strike(15_000, "restore-store", ("3200",), 100),
    ),
    Night(
        *_GONE,
        Strike(10_000, "hang-promotion", ("bravo", "s1"), 2_500),
        Strike(12_300, "cut-one-way", ("hub", "bravo"), 2_500),
        Strike(16_500, "restore-store", ("3000",), 100),
    ),
    Night(
        *_LOSS,
        Strike(17_000, "approve", ("s1",)),
        Strike(20_000, "restore-store", ("4000",), 100),
        loss_bound_bytes=20_000,
    ),
    Night(
        Strike(9_000, "restore-store", ("9000",), 100),
        Strike(10_000, "approve", ("s1",)),
        Strike(10_000, "crash-host", ("alpha",), 1_000),
    ),
    Night(
        Strike(9_000, "switchover", ("s1",)),
        Strike(9_070, "cut-one-way", ("alpha", "hub"), 3_000),
        Strike(9_070, "cut-one-way", ("bravo", "hub"), 3_000),
        Strike(9_080, "restore-store", ("400",), 60),
        Strike(9_500, "configure-protection", ("s1", "sync"), 60),
    ),
)

OPERATORS = (
    Night(
        Strike(8_000, "pause", ("s1",)), *_GONE, Strike(11_500, "failover", ("s1",)),
        Strike(11_600, "try-failover", ("s1",)),
    ),
    Night(
        *_LOSS, Strike(16_000, "pause", ("s1",)), Strike(17_000, "resume", ("s1",)),
        Strike(18_000, "approve", ("s1",)), loss_bound_bytes=20_000,
    ),
    Night(Strike(9_000, "maintenance-begin", ("s1",), 40 * 60_000)),
    Night(Strike(9_000, "maintenance-begin", ("s1",), 125 * 60_000)),
    Night(Strike(9_000, "maintenance-begin", ("s1",), 120 * 60_000)),
    Night(Strike(9_000, "maintenance-begin", ("s1",), 74 * 3_600_000)),
    Night(Strike(9_000, "maintenance-begin", ("s1",), 72 * 3_600_000)),
    Night(
        Strike(9_000, "switchover", ("s1",)), Strike(16_000, "switchover", ("s1",)),
        *(Strike(20_000 + 200 * n, "replay", ("alpha", place, "40"), 1)
          for n in range(5) for place in ("hub", "bravo")),
    ),
)  # fmt: skip

ENGINES = (
    Night(
        Strike(9_000, "isolate", ("alpha",), 4_000),
        Strike(8_900, "fail-commits-everywhere", ("s1",), 20_000),
        lease="standard",
    ),
    Night(*_BACKUP_BACK, Strike(12_000, "unfit", ("bravo", "s1"), 6_000)),
    Night(Strike(9_000, "unfit", ("bravo", "s1"), 6_000)),
    Night(
        *_BACKUP_BACK,
        Strike(12_500, "cut-one-way", ("bravo", "alpha"), 200),
        *(Strike(13_000 + 150 * n, "unfit", ("bravo", "s1"), 75) for n in range(20)),
        protection=Protection.SYNC,
    ),
    Night(
        Strike(9_000, "switchover", ("s1",)), Strike(9_020, "hang-engine", ("alpha", "s1"), 8_000)
    ),
)

NIGHTS = (*STORE_RESTORED, *OPERATORS, *ENGINES)
