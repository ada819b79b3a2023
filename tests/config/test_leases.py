"""The numbers of a lease and the rule that they must satisfy."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.leases import DEFAULT_PROFILE, PROFILES, check_terms
from config.problems import Refused
from protocol.messages import LeaseTerms


def terms(**changes: int) -> LeaseTerms:
    """The standard numbers with changes."""
    return msgspec.structs.replace(PROFILES["standard"], **changes)


def test_named_profiles_have_their_published_numbers() -> None:
    """ttl, renew, fence, restart, drain and handover of each, in milliseconds."""
    assert {name: msgspec.structs.astuple(p) for name, p in PROFILES.items()} == {
        "fast": (2000, 400, 500, 1000, 3000, 1000),
        "standard": (6000, 1000, 500, 3000, 5000, 3000),
        "patient": (30_000, 4000, 1000, 10_000, 15_000, 10_000),
    }
    assert DEFAULT_PROFILE == "standard"


@pytest.mark.parametrize("name", sorted(PROFILES))
def test_named_profiles_satisfy_the_rule(name: str) -> None:
    """The safety rule holds for what everybody uses."""
    check_terms(PROFILES[name])


@given(st.integers(1000, 20_000), st.integers(100, 10_000), st.integers(300, 5000))
def test_leases_pass_exactly_when_two_renewals_and_the_fence_fit(
    ttl_ms: int, renew_ms: int, fence_ms: int
) -> None:
    """Within what is left of the TTL when clocks run 1 % apart."""
    fits = ttl_ms * 99 > 100 * (2 * renew_ms + fence_ms)
    try:
        check_terms(terms(ttl_ms=ttl_ms, renew_ms=renew_ms, fence_budget_ms=fence_ms))
    except Refused as refused:
        assert not fits
        assert refused.key == "ttl"
    else:
        assert fits


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"ttl_ms": 999}, "ttl"),
        ({"ttl_ms": 600_001}, "ttl"),
        ({"renew_ms": 99}, "renew"),
        ({"fence_budget_ms": 199}, "fence_budget"),
        ({"drain_budget_ms": 499}, "drain_budget"),
        ({"ttl_ms": 2525, "renew_ms": 1000, "fence_budget_ms": 500}, "ttl"),
    ],
)
def test_numbers_that_break_the_rule_are_refused(changes: dict[str, int], key: str) -> None:
    """The mend names the number to change."""
    with pytest.raises(Refused) as caught:
        check_terms(terms(**changes))
    assert caught.value.key == key


def test_the_proposed_ttl_satisfies_the_rule() -> None:
    """The mend can be followed."""
    with pytest.raises(Refused) as caught:
        check_terms(terms(ttl_ms=2000))
    proposed = int(caught.value.mend.removeprefix("raise ttl above ").partition("ms")[0])
    check_terms(terms(ttl_ms=proposed + 1))
