"""Nights that reach the rows and branches which chance reaches too seldom."""

from __future__ import annotations

from typing import Any

from controller.core.model import BackupLoss, Protection
from simulator.strike import Strike
from tests.simulation.night import Night
from tests.simulation.reached.company import COMPANIES
from tests.simulation.reached.policy_nights import POLICY
from tests.simulation.reached.reload_nights import RELOADS, STAGES
from tests.simulation.reached.site_nights import PLANS, SITES

NIGHT_SEEDS = range(2)

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
        Strike(10_900, "slow-looks", ("alpha",), 4_000),
        Strike(10_900, "slow-looks", ("bravo",), 4_000),
        Strike(11_000, "kill-agent", ("alpha",), 20),
        Strike(11_000, "kill-agent", ("bravo",), 20),
        Strike(11_200, "approve", ("s1",)),
    ),
    Night(
        Strike(9_000, "switchover", ("s1",)),
        Strike(9_070, "cut-one-way", ("alpha", "hub"), 3_000),
        Strike(9_070, "cut-one-way", ("bravo", "hub"), 3_000),
        Strike(9_080, "restore-store", ("400",), 60),
        Strike(9_500, "configure-protection", ("s1", "sync"), 60),
        Strike(15_000, "approve", ("s1",)),
    ),
)


def _planned(for_ms: int) -> Night:
    """A long absence is announced, and ended early."""
    begin = Strike(9_000, "maintenance-begin", ("s1",), for_ms)
    return Night(begin, Strike(14_000, "maintenance-end", ("s1",)))


OPERATORS = (
    Night(
        Strike(8_000, "pause", ("s1",)), *_GONE, Strike(11_500, "failover", ("s1",)),
        Strike(11_600, "try-failover", ("s1",)),
    ),
    Night(
        *_LOSS, Strike(16_000, "pause", ("s1",)), Strike(17_000, "resume", ("s1",)),
        Strike(18_000, "approve", ("s1",)), loss_bound_bytes=20_000,
    ),
    _planned(40 * 60_000),
    _planned(125 * 60_000),
    _planned(120 * 60_000),
    _planned(74 * 3_600_000),
    _planned(72 * 3_600_000),
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

_LATE_LOG = (
    *_BACKUP_BACK,
    Strike(12_000, "slow-log", ("alpha", "bravo", "2500"), 20_000),
)
"""In sync mode ARMING lasts from about 16 s to about 18 s."""

_STANDARD_COUNTDOWN = (
    Strike(9_000, "cut", ("alpha", "hub"), 11_000),
    Strike(9_000, "cut", ("alpha", "bravo"), 3_700),
)
"""With a standard lease: COUNTDOWN from about 12 s on; the lease lives until 14 s."""

PHASES = (
    Night(Strike(9_000, "switchover", ("s1",)), Strike(9_020, "isolate", ("alpha",), 10_000)),
    Night(
        *_STANDARD_COUNTDOWN,
        Strike(11_000, "cut-one-way", ("hub", "bravo"), 2_500),
        lease="standard",
    ),
    Night(
        Strike(8_900, "hang-engine", ("alpha", "s1"), 6_000),
        Strike(12_100, "crash-host", ("bravo",), 10_000),
        lease="standard",
    ),
    Night(
        Strike(8_000, "cut", ("alpha", "bravo"), 7_000),
        Strike(13_000, "isolate", ("alpha",), 2_000),
        Strike(13_000, "slow-recovery", ("alpha", "s1"), 9_000),
        loss_bound_bytes=20_000,
    ),
    Night(
        *_LATE_LOG,
        Strike(17_000, "maintenance-begin", ("s1",), 60_000),
        Strike(18_000, "maintenance-end", ("s1",)),
        protection=Protection.SYNC,
    ),
    Night(
        *_LATE_LOG,
        Strike(21_000, "restore-store", ("4000",), 100),
        protection=Protection.SYNC,
    ),
    Night(
        *_BACKUP_BACK, Strike(11_000, "pause", ("s1",)), Strike(11_500, "resume", ("s1",)),
        Strike(11_600, "configure-lease", ("s1", "standard"), 50),
        Strike(15_000, "resume", ("s1",)), Strike(15_500, "configure-lease", ("s1", "tight"), 50),
    ),
)  # fmt: skip

MAINTENANCE = (
    Night(
        Strike(9_000, "maintenance-begin", ("s1",), 30_000),
        Strike(10_000, "maintenance-begin", ("s1",), 1_000),
    ),
    Night(
        Strike(8_900, "crash-host", ("bravo",), 8_000),
        Strike(8_950, "maintenance-begin", ("s1",), 1_000),
        Strike(12_000, "switchover", ("s1",)),
    ),
    Night(
        Strike(9_000, "maintenance-begin", ("s1",), 60_000),
        Strike(10_000, "crash-host", ("bravo",), 1_500),
    ),
)


def _agent_dies_often(from_ms: int) -> tuple[Strike, ...]:
    """For most of a second."""
    return tuple(Strike(from_ms + 65 * n, "kill-agent", ("alpha",), 10) for n in range(14))


DISKS_AND_RESTARTS = (
    Night(
        Strike(6_500, "cut", ("alpha", "bravo"), 9_000),
        Strike(9_000, "forget-writes", ("alpha", "5"), 6_000),
        Strike(9_000, "isolate", ("alpha",), 6_000),
    ),
    Night(
        Strike(9_000, "forget-writes", ("bravo", "50"), 400),
        Strike(9_000, "cut", ("bravo", "hub"), 2_000),
    ),
    Night(
        Strike(9_000, "forget-writes", ("alpha", "50"), 400),
        Strike(9_000, "forget-writes", ("bravo", "50"), 400),
        Strike(9_000, "restore-store", ("9000",), 100),
    ),
    Night(
        Strike(9_000, "fill-disk", ("bravo",), 4_000), Strike(9_100, "pause", ("s1",)),
        Strike(15_000, "fill-disk", ("alpha",), 3_000), Strike(15_100, "switchover", ("s1",)),
    ),
    Night(
        Strike(8_000, "pause", ("s1",)), Strike(9_000, "slow-recovery", ("alpha", "s1"), 4_000),
        Strike(9_010, "crash-engine", ("alpha", "s1")),
    ),
    Night(*_GONE, *_agent_dies_often(10_000)),
    Night(*_GONE, *_agent_dies_often(14_000), lease="standard"),
    Night(*_GONE, *_agent_dies_often(9_500), lease="tight"),
    Night(*_BACKUP_BACK, *_agent_dies_often(11_500)),
    Night(
        Strike(9_000, "fail-commits", ("alpha", "s1"), 10_000),
        Strike(10_100, "hang-engine", ("bravo", "s1"), 2_500),
    ),
    Night(
        Strike(7_000, "cut", ("alpha", "bravo"), 13_000),
        Strike(9_000, "fail-commits", ("alpha", "s1"), 10_000),
        Strike(10_100, "hang-engine", ("bravo", "s1"), 2_500),
        loss_bound_bytes=20_000,
    ),
    Night(
        Strike(9_000, "fail-commits", ("alpha", "s1"), 10_000),
        *_agent_dies_often(10_100),
    ),
    Night(
        Strike(8_500, "try-switchover", ("s1",)),
        Strike(9_000, "stop-broker", (), 9_000), Strike(14_000, "switchover", ("s1",)),
        Strike(19_000, "try-switchover", ("s1",)),
    ),
)  # fmt: skip

DATA_FILLS = (
    Night(Strike(9_000, "fill-data", ("alpha", "s1", "9000"), 15_000), moves=True),
    Night(
        Strike(8_000, "fill-data", ("bravo", "s1", "12000"), 15_000),
        Strike(9_000, "fill-data", ("alpha", "s1", "15000"), 15_000),
        moves=True,
    ),
    Night(
        Strike(8_000, "cut", ("alpha", "hub"), 9_000),
        Strike(10_000, "fill-data", ("bravo", "s1", "100"), 6_000),
    ),
)


_BLOCKS: dict[str, Any] = {"protection": Protection.SYNC, "backup_loss": BackupLoss.BLOCK}

WAITS = (
    Night(
        Strike(9_000, "cut", ("alpha", "bravo"), 20_000),
        Strike(10_000, "fail-commits-everywhere", ("s1",), 5_000),
        Strike(17_000, "configure-backup-loss", ("s1", "alone"), 60),
        **_BLOCKS,
    ),
    Night(
        Strike(8_000, "put-back", ("bravo", "s1"), 3_000),
        Strike(10_900, "slow-log", ("alpha", "bravo", "4000"), 6_000),
        Strike(12_000, "crash-host", ("alpha",), 12_000),
        **_BLOCKS,
    ),
    Night(
        Strike(8_900, "hang-engine", ("alpha", "s1"), 1_800),
        Strike(9_500, "cut-one-way", ("hub", "bravo"), 8_000),
        **_BLOCKS,
    ),
    Night(
        Strike(9_000, "fail-commits-everywhere", ("s1",), 8_000),
        Strike(13_000, "configure-backup-loss", ("s1", "alone"), 60),
        **_BLOCKS,
    ),
    Night(
        Strike(8_000, "crash-host", ("bravo",), 5_000),
        Strike(12_000, "fill-disk", ("bravo",), 8_000),
        **_BLOCKS,
    ),
)
"""Commits wait: through an illness; until an older backup has the log; in a countdown given up; no
more for the configuration, in an illness; no more for a backup that could not take over."""


def _held(begin_ms: int, step_ms: int, count: int, for_ms: int) -> tuple[Strike, ...]:
    """Placed and released again and again, so as to meet a phase that is soon over."""
    times = [begin_ms + step_ms * n for n in range(count)]
    return tuple(
        Strike(at_ms + after_ms, verb, ("s1",), for_ms if verb == "hold" else 0)
        for at_ms in times
        for verb, after_ms in (("hold", 0), ("release", step_ms // 2))
    )


HOLDS = (
    Night(Strike(8_000, "hold", ("s1",), 8_000), Strike(9_000, "switchover", ("s1",))),
    Night(Strike(8_000, "crash-host", ("bravo",), 12_000), Strike(12_000, "hold", ("s1",), 4_000)),
    *(Night(*_GONE, Strike(at_ms, "hold", ("s1",), 4_000)) for at_ms in (10_200, 10_500, 10_800)),
    Night(*_GONE, *_held(9_500, 200, 12, 60_000)),
    Night(*_GONE, *_held(10_500, 40, 60, 60_000)),
    Night(Strike(9_000, "switchover", ("s1",)), *_held(9_010, 40, 30, 60_000)),
    Night(*_BACKUP_BACK, *_held(12_500, 60, 30, 60_000)),
    Night(*_LOSS, Strike(16_000, "hold", ("s1",), 3_000), loss_bound_bytes=20_000),
    Night(*_LOSS, *_held(16_000, 1_000, 2, 60_000), loss_bound_bytes=20_000),
    Night(Strike(9_000, "release", ("s1",)), Strike(9_500, "crash-controller", (), 500)),
)

APPROVALS = (
    Night(
        *_LOSS, Strike(16_000, "approve", ("s1",)), Strike(16_500, "approve", ("s1",)),
        Strike(17_000, "crash-controller", (), 200), Strike(17_800, "approve", ("s1",)),
        Strike(18_300, "approve-too", ("s1", "1", "10")), Strike(18_600, "approve-too", ("s1",)),
        loss_bound_bytes=20_000, tier="strategis",
    ),
    Night(
        *_LOSS, Strike(15_900, "cut-one-way", ("bravo", "hub"), 1_500),
        Strike(16_000, "approve", ("s1",)), Strike(16_300, "crash-controller", (), 100),
        Strike(18_500, "approve", ("s1",)), loss_bound_bytes=20_000,
    ),
    Night(*_LOSS, Strike(16_000, "failover", ("s1",)), loss_bound_bytes=20_000),
)  # fmt: skip

_STANDS_ALONE = (Strike(6_500, "maintenance-begin", ("s1",), 100_000),)
_OFF = (*_STANDS_ALONE, Strike(9_000, "crash-host", ("alpha",), 60_000))
_FORCE = (*_OFF, Strike(12_500, "force", ("s1",)))

FORCED = (
    Night(
        *_FORCE, Strike(12_600, "force", ("s1",)), Strike(12_700, "force-proof", ("s1",)),
        Strike(13_500, "force-proof-alone", ("s1",)), Strike(15_000, "force-proof", ("s1",)),
        Strike(15_100, "force-proof", ("s1",)), Strike(15_200, "force", ("s1",)),
    ),
    Night(*_FORCE, Strike(14_000, "force-end", ("s1",)), Strike(14_100, "force-end", ("s1",))),
    Night(*_FORCE, Strike(13_500, "crash-controller", (), 100)),
    Night(*_OFF, Strike(11_000, "crash-controller", (), 100), Strike(14_500, "force", ("s1",)),
          Strike(16_000, "force-proof", ("s1",))),
    Night(
        *_STANDS_ALONE, Strike(9_000, "cut", ("alpha", "hub"), 20_000),
        Strike(9_000, "cut", ("alpha", "bravo"), 4_600), Strike(12_500, "force", ("s1",)),
        Strike(13_400, "force-proof", ("s1",)),
    ),
    Night(
        *_LATE_LOG, Strike(16_500, "crash-host", ("alpha",), 20_000),
        Strike(19_500, "force", ("s1",)), Strike(21_500, "force-proof", ("s1",)),
        protection=Protection.SYNC,
    ),
    Night(
        Strike(5_500, "force", ("s1",)),
        Strike(8_000, "fail-commits-everywhere", ("s1",), 30_000),
        Strike(11_000, "crash-host", ("alpha",), 30_000), Strike(14_500, "force", ("s1",)),
        Strike(16_500, "force-proof", ("s1",)),
    ),
    Night(
        *_STANDS_ALONE, Strike(9_000, "crash-host", ("alpha",), 6_000),
        Strike(12_500, "force", ("s1",)),
    ),
)  # fmt: skip

_MOVED = Strike(9_000, "switchover", ("s1",))

VETOES = (
    Night(Strike(8_000, "veto", ("bravo",), 8_000), Strike(12_000, "release-veto", ("bravo",))),
    Night(Strike(8_000, "veto", ("alpha",), 12_000), _MOVED),
    Night(
        Strike(8_000, "veto", ("bravo",), 20_000),
        Strike(8_000, "veto", ("alpha",), 20_000),
        Strike(10_000, "crash-host", ("alpha",), 1_000),
    ),
    *(Night(Strike(at_ms, "veto", ("alpha",), 500)) for at_ms in (1, 20, 60)),
    *(
        Night(_MOVED, Strike(at_ms, "veto", ("bravo",), 9_000))
        for at_ms in (9_005, 9_020, 9_040, 9_060)
    ),
    *(
        Night(_MOVED, Strike(at_ms, "veto", ("alpha",), 9_000))
        for at_ms in (9_000, 9_005, 9_210, 9_220)
    ),
    *(
        Night(*_BACKUP_BACK, Strike(at_ms, "veto", ("bravo",), 3_000))
        for at_ms in range(12_600, 13_800, 120)
    ),
    Night(*_LATE_LOG, Strike(17_000, "veto", ("bravo",), 3_000), protection=Protection.SYNC),
    *(
        Night(
            Strike(8_900, "hang-engine", ("alpha", "s1"), 8_000),
            Strike(9_000, "cut-one-way", ("hub", "bravo"), 8_000),
            Strike(at_ms, "veto", ("bravo",), 6_000),
            lease="standard",
            protection=protection,
            backup_loss=BackupLoss.BLOCK,
        )
        for at_ms in (12_300, 12_800)
        for protection in Protection
    ),
    *(Night(*_GONE, Strike(at_ms, "veto", ("bravo",), 6_000)) for at_ms in (10_300, 11_100)),
    Night(*_LOSS, Strike(16_000, "veto", ("alpha",), 12_000), loss_bound_bytes=20_000),
)

NIGHTS = (
    *STORE_RESTORED, *OPERATORS, *ENGINES, *PHASES, *MAINTENANCE, *DISKS_AND_RESTARTS, *HOLDS,
    *VETOES, *DATA_FILLS, *WAITS, *APPROVALS, *FORCED, *COMPANIES,
    *SITES, *PLANS, *POLICY, *RELOADS, *STAGES,
)  # fmt: skip
