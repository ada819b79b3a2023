"""Figures, steps, and that the real API's answers are understood."""

from __future__ import annotations

import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest
from rich.console import Console

from config.loader import load_topology
from controller.cli.figures import duration, moment, size
from controller.cli.status_view import degraded, status_view
from controller.cli.steps import PLANS, rows, steps
from controller.cli.wire import History, StateView, read
from controller.core.explanation.explain import Explanation
from controller.core.model import Transition
from controller.core.step import begin, found
from controller.specs import service_specs
from controller.status import BrokerStatus, Status
from controller.stores.base import HistoryLine
from controller.web import views
from tests.controller.cli import given


@pytest.mark.parametrize(
    ("duration_ms", "text"),
    [
        (-1, "unknown"),
        (0, "0 ms"),
        (999, "999 ms"),
        (1000, "1.0 s"),
        (59_949, "59.9 s"),
        (59_999, "60.0 s"),
        (60_000, "1 min 0 s"),
        (7_500_000, "2 h 5 min"),
        (200_000_000, "2 d 7 h"),
    ],
)
def test_durations_read_like_words(duration_ms: int, text: str) -> None:
    assert duration(duration_ms) == text


def test_an_unknown_size_says_so() -> None:
    assert (size(None), size(-1), size(0)) == ("an unknown amount", "an unknown amount", "0 bytes")


def test_moments_show_utc_and_the_local_time_where_it_differs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TZ", "Asia/Jakarta")
    time.tzset()
    try:
        text = moment(1_795_494_005_000)
    finally:
        monkeypatch.undo()
        time.tzset()
    assert text == "2026-11-24 11:20:05 WIB (04:20:05 UTC)"


@pytest.mark.parametrize("kind", sorted(PLANS))
def test_the_steps_of_a_plan_follow_each_other_in_the_table_of_phases(kind: str) -> None:
    chain = rows(kind)
    for before, after in pairwise(chain):
        assert after.source is before.target
    assert chain[0].source.value == chain[-1].target.value == "PROTECTED"


@pytest.mark.parametrize("kind", sorted(PLANS))
def test_the_steps_tell_who_is_primary_after_the_promotion(kind: str) -> None:
    told = steps(kind, read(given.service(), Explanation, "explanation"))
    assert len(told) == 6
    assert told[2] == "ROUTING: batam-1 commits in epoch 4; traffic moves to it"


def real_state(root: Path) -> dict[str, Any]:
    """What the API says of the example's cluster at its first moment."""
    topology = load_topology(root / "config/example/four-sites.yaml").value
    specs = service_specs(topology)
    records = {spec.uid: found(spec, 1) for spec in specs}
    status = Status(
        topology=topology,
        state=begin(specs, records, 1, "generation", 1_000),
        now_ms=5_000,
        started_at_ms=1_795_494_005_000,
        heard_ms={},
        brokers=(BrokerStatus("arbiter:1883", True),),
        store_kind="sqlite",
        store_problem="",
        broken_records={},
        journal_errors=0,
        journal_problem="",
        waiting=0,
        dropped={},
        rule_errors=0,
    )
    raw: dict[str, Any] = msgspec.json.decode(
        msgspec.json.encode(views.state_view(status, "0.1.0"))
    )
    return raw


def test_the_real_api_of_the_example_is_understood_and_fits_100_columns(root: Path) -> None:
    state = read(real_state(root), StateView, "state")
    assert degraded(state)
    console = Console(width=100, record=True)
    console.print(status_view(state, 100))
    lines = console.export_text().splitlines()
    assert max(map(len, lines)) <= 100
    row = next(line for line in lines if line.startswith("kependudukan"))
    assert "~" not in row


def test_the_real_apis_history_is_understood() -> None:
    change = msgspec.convert(given.moved()[0]["transition"], Transition)
    raw = views.history_view([HistoryLine(2, 1_795_494_005_000, change)])
    (line,) = read(raw, History, "history").history
    assert (line.number, line.transition) == (2, change)
