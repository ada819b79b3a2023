"""The simulated worlds are made of what is shipped."""

from __future__ import annotations

from config.leases import DEFAULT_PROFILE, PROFILES
from simulator.setting import LEASES


def test_leases_are_those_of_the_shipped_profiles() -> None:
    """But for one that is tighter than any of them. The patient one is too slow for a world."""
    assert {PROFILES["fast"], PROFILES[DEFAULT_PROFILE]} < set(LEASES.values())
    (own,) = set(LEASES.values()) - set(PROFILES.values())
    assert own.ttl_ms < min(terms.ttl_ms for terms in PROFILES.values())
