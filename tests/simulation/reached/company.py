"""Nights of groups, and of a site that has no room."""

from __future__ import annotations

from simulator.setting import ServiceSetting
from simulator.strike import Strike
from tests.simulation.night import Company, member

_LOST = Strike(9_000, "crash-host", ("alpha",), 20_000)
_FULL = ServiceSetting("s9", "bravo", "charlie", demand=8)
"""While it stands at bravo, 8 cores there are taken."""
_FREE = member("s2")
"""It demands nothing, and always fits."""
_MORE = (member("s1", demand=4), _FREE, _FULL)
_STRATEGIC = (member("s1", demand=4, tier="strategis"), _FULL)
_RANKS = (member("s1", demand=4), member("s2", demand=4, tier="strategis"))

COMPANIES = (
    Company(
        _LOST, services=(member("s1", 1), member("s2", 2), member("s3", 2), member("s4"))
    ),
    Company(
        _LOST, services=(member("s1", 1, lease="standard"), member("s2", 2, lease="tight"))
    ),
    Company(
        _LOST,
        Strike(8_900, "hang-promotion", ("bravo", "s1"), 40_000),
        services=(member("s1", 1, lease="tight"), member("s2", 2, lease="tight")),
    ),
    Company(
        Strike(8_000, "pause", ("s1",)), Strike(8_000, "hold", ("s2",), 30_000), _LOST,
        services=(member("s1", 1), member("s2", 1), member("s3", 2)),
    ),
    Company(
        _LOST, Strike(14_000, "try-failover", ("s1",)), Strike(14_500, "force", ("s1",)),
        Strike(16_000, "switchover", ("s9",)), services=_MORE, cores=8,
    ),
    Company(Strike(9_000, "isolate", ("alpha",), 6_000), services=_MORE, cores=8),
    Company(_LOST, Strike(16_000, "approve", ("s1",)), services=_MORE, cores=8),
    Company(
        _LOST, Strike(16_000, "approve", ("s1",)), Strike(17_000, "approve", ("s1",)),
        Strike(18_000, "approve-too", ("s1",)), services=_STRATEGIC, cores=8,
    ),
    Company(
        Strike(9_000, "try-switchover", ("s1",)), Strike(9_500, "move-over-capacity", ("s1",)),
        services=_MORE, cores=8,
    ),
    Company(
        Strike(9_000, "move-over-capacity", ("s1",)), Strike(9_020, "isolate", ("alpha",), 10_000),
        services=(member("s1", demand=4, loss_bound_bytes=1, write_bytes=20_000), _FULL), cores=8,
    ),
    Company(_LOST, services=(member("s1", demand=2), member("s2", demand=9, tier="tinggi")),
            cores=7),
    Company(
        Strike(9_000, "hang-engine", ("alpha", "s2"), 9_000),
        *(Strike(9_700 + 60 * n, "switchover", ("s1",)) for n in range(12)),
        services=_RANKS, cores=7,
    ),
)  # fmt: skip
