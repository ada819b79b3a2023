"""What the checker of a group's order lets pass, and what not."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from config.leases import PROFILES
from controller.core.model import Phase, Record
from protocol.messages import LeaseTerms
from simulator.checkers.turns import OrderKept
from simulator.setting import ServiceSetting
from simulator.watch import Broken

FIRST = ServiceSetting("first", "alpha", "bravo", group="g", order=1)
LATER = ServiceSetting("later", "alpha", "bravo", group="g", order=2)


def promise_ms(terms: LeaseTerms) -> int:
    """What 0020 promises that it waits for one earlier service with the same lease."""
    own_ms = terms.ttl_ms * 101 // 100 + terms.log_budget_ms
    return own_ms + terms.ttl_ms // 2 + own_ms + 10_000


def overtake(terms: LeaseTerms, after_ms: int) -> None:
    """The later one is promoted so long after both began their countdown."""
    checker = OrderKept([FIRST.spec, LATER.spec])
    for service in (FIRST, LATER):
        checker.swapped(0, None, counting_down(service, terms))
    old = counting_down(LATER, terms)
    new = replace(old, phase=Phase.PROMOTING, primary=old.backup, backup=old.primary)
    checker.swapped(after_ms, old, new)


def counting_down(service: ServiceSetting, terms: LeaseTerms) -> Record:
    return Record(
        service.name, service.spec.uid, 3, 1, Phase.COUNTDOWN, 1, service.primary, service.backup,
        terms, terms.ttl_ms,
    )  # fmt: skip


@pytest.mark.parametrize("terms", PROFILES.values(), ids=PROFILES)
def test_an_overtaking_within_the_promised_patience_is_told_however_long_the_lease(
    terms: LeaseTerms,
) -> None:
    with pytest.raises(Broken, match="later is promoted while first"):
        overtake(terms, promise_ms(terms) * 98 // 100)


@pytest.mark.parametrize("terms", PROFILES.values(), ids=PROFILES)
def test_who_stands_still_for_longer_than_the_promise_may_be_overtaken(terms: LeaseTerms) -> None:
    overtake(terms, promise_ms(terms) + 1)
