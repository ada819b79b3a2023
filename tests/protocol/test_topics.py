"""Topics: what an agent may write and read follows from their names."""

from __future__ import annotations

import pytest

from protocol import topics
from protocol.messages import Order, Report


def test_a_topic_can_be_taken_apart_again() -> None:
    assert topics.topic("pdn", "batam-1", Report) == "saling/pdn/batam-1/report"
    assert topics.parse("saling/pdn/batam-1/order") == ("pdn", "batam-1", "order")
    assert topics.KIND_OF[Order] == "order"


@pytest.mark.parametrize("text", ["", "saling", "other/pdn/a/report", "saling/pdn/a/b/report",
                                  "saling/pdn/a/password"])  # fmt: skip
def test_what_is_no_topic_of_ours_is_none(text: str) -> None:
    assert topics.parse(text) is None


def test_nobody_reads_what_he_writes() -> None:
    assert not set(topics.written_by("c", "a")) & set(topics.read_by("c", "a"))
    assert not set(topics.written_by_controller("c")) & set(topics.read_by_controller("c"))
