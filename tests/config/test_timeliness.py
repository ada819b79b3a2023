"""When measured times do not fit a lease, one sentence says so with figures and the mend."""

from __future__ import annotations

import pytest

from config.leases import PROFILES
from config.timeliness import late_renewals, slow_fence

FAST, STANDARD, PATIENT = (PROFILES[name] for name in ("fast", "standard", "patient"))


def test_renewals_that_come_later_than_an_eighth_of_the_ttl_are_named() -> None:
    assert late_renewals("jabodetabek-1", FAST.renew_ms + 310, FAST) == (
        "renewals of jabodetabek-1 come late: p99.9 is 310 ms, TTL/8 is 250 ms; "
        "choose profile standard or free the machine"
    )
    assert late_renewals("jabodetabek-1", FAST.renew_ms + 250, FAST) == ""


@pytest.mark.parametrize("terms", PROFILES.values(), ids=PROFILES)
def test_renewals_in_time_and_unknown_ones_are_not_named(terms: object) -> None:
    assert late_renewals("batam-1", terms.renew_ms + 40, terms) == ""  # type: ignore[attr-defined, arg-type]
    assert late_renewals("batam-1", 0, terms) == ""  # type: ignore[arg-type]


def test_the_mend_names_a_profile_with_a_longer_lease_where_there_is_one() -> None:
    assert "choose profile patient or" in late_renewals("a", 5000, STANDARD)
    assert "choose a longer lease or" in late_renewals("a", 50_000, PATIENT)


def test_a_kill_that_leaves_less_than_its_margin_in_the_budget_is_named() -> None:
    assert slow_fence("batam-1", FAST.fence_budget_ms - 200, FAST) == ""
    assert slow_fence("batam-1", 0, FAST) == ""
    said = slow_fence("batam-1", FAST.fence_budget_ms - 199, FAST)
    assert f"needs a fence_budget of {FAST.fence_budget_ms + 1} ms" in said
    assert "choose profile standard or free the machine" in said
