"""The four sites of the lab, the controller's own domain, and the round trips between them.

The figures between sites are the planning ranges for fibre at 1.5 to 2.5 times the great
circle, each taken at one fixed point of its range. The arbiter stands for a place of its own
in the same country: its figures are of the same kind. Milliseconds, both ways together.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

SITES: tuple[str, ...] = ("jabodetabek", "batam", "ikn", "labuan-bajo")
"""The data centres, in the order in which they came up."""

ARBITER = "arbiter"
"""The failure domain of the controller and the broker: no data centre of a pair."""

CLIENTS = "clients"
"""Where the clients stand, in a network that has such a place: near to every data centre."""

CLIENT_ROUND_TRIP_MS = 2.0
"""Within a metropolis. Farther away, a client of one insert at a time would not reach its rate."""

PAIRS: tuple[tuple[str, str], ...] = (("jabodetabek", "batam"), ("ikn", "labuan-bajo"))
"""Which sites back each other up."""

ROUND_TRIPS_MS: Mapping[tuple[str, str], float] = MappingProxyType(
    {
        ("jabodetabek", "batam"): 18.0,  # 13 to 22, 907 km
        ("jabodetabek", "ikn"): 24.0,  # 18 to 30, 1217 km
        ("jabodetabek", "labuan-bajo"): 28.0,  # 21 to 35, 1422 km
        ("batam", "ikn"): 28.0,  # 21 to 35, 1421 km
        ("batam", "labuan-bajo"): 42.0,  # 30 to 50, 2054 km
        ("ikn", "labuan-bajo"): 18.0,  # 13 to 22, 907 km
        ("arbiter", "jabodetabek"): 20.0,
        ("arbiter", "batam"): 22.0,
        ("arbiter", "ikn"): 26.0,
        ("arbiter", "labuan-bajo"): 30.0,
    }
)
"""One entry for each two places, in one order only: read it with `round_trip_ms`."""


def round_trip_ms(one: str, other: str) -> float:
    """The round trip between two places, 0 within one. Raises KeyError for an unknown place."""
    if one == other and (one in SITES or one == ARBITER):
        return 0.0
    found = ROUND_TRIPS_MS.get((one, other)) or ROUND_TRIPS_MS.get((other, one))
    if found is None:
        raise KeyError(f"no round trip is known between {one!r} and {other!r}")
    return found
