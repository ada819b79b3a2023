"""What `what_if` foresees is what becomes of a simulated world that then suffers that very loss."""

from __future__ import annotations

from collections import Counter

import pytest

from simulator.parts.engine import Engine
from tests.simulation.foreseeing import PRELUDES, foresee_and_live, wrong

WELL, TROUBLED = range(11, 23), range(300, 324)
ENGINE_MOST_MS = 800
"""Within what `what_if` takes a promotion to need; how slow an engine may be it cannot know."""


@pytest.fixture(autouse=True)
def able_engines(monkeypatch: pytest.MonkeyPatch) -> None:
    job_ms = Engine.job_ms
    monkeypatch.setattr(
        Engine, "job_ms", lambda engine, kind: min(job_ms(engine, kind), ENGINE_MOST_MS)
    )
    monkeypatch.setattr(Engine, "job_fails", lambda engine: False)


def test_a_loss_that_strikes_a_world_that_is_well_comes_as_foreseen() -> None:
    seen: Counter[str] = Counter()
    for seed in WELL:
        for told in foresee_and_live(seed, ("nothing",)):
            assert not wrong(told), f"seed {seed}, {told.loss}, {told.forecast.service}"
            seen[told.kind] += 1
    assert {"moved", "held", "unserved", "untouched"} <= set(seen), seen


def test_a_loss_that_strikes_a_world_in_trouble_or_in_motion_comes_as_foreseen() -> None:
    for seed in TROUBLED:
        for told in foresee_and_live(seed, PRELUDES):
            assert not wrong(told), f"seed {seed}, {told.loss}, {told.forecast.service}"
