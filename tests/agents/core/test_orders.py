"""Which Order is taken, and which is another of the same revision."""

from __future__ import annotations

import msgspec
import pytest
from msgspec.structs import replace

from agents.core.model import Durable
from protocol.messages import Goal, Right
from tests.agents.core.given import TERMS, Actor, order

ALONE = order(Goal.PRIMARY, Right.ALONE)


def kept_by_an_older_version() -> Durable:
    """What is durable of ALONE, written before there was a `log_budget_ms`."""
    document = msgspec.to_builtins(Durable(assignment=ALONE))
    del document["assignment"]["terms"]["log_budget_ms"]
    return msgspec.convert(document, Durable)


def test_an_order_that_an_older_version_kept_in_part_still_makes_its_agent_fresh() -> None:
    assert ALONE.terms.log_budget_ms == TERMS.log_budget_ms != 0
    actor = Actor(kept_by_an_older_version()).start()
    actor.order(ALONE)
    assert actor.replica.fresh
    assert actor.replica.problem == ""
    assert actor.replica.durable.assignment is not None
    assert actor.replica.durable.assignment.terms == TERMS


@pytest.mark.parametrize("name", ["ttl_ms", "renew_ms", "fence_budget_ms"])
def test_another_bound_of_a_right_under_the_same_revision_is_refused(name: str) -> None:
    actor = Actor().start()
    actor.order(ALONE)
    other = replace(TERMS, **{name: getattr(TERMS, name) + 1})
    actor.order(replace(ALONE, terms=other))
    assert "the store was restored" in actor.replica.problem
    assert actor.replica.durable.assignment is not None
    assert actor.replica.durable.assignment.terms == TERMS
