"""In whole simulated worlds, too, a Tick that is skipped would have found nothing to do."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from agents.core import step as rules
from agents.core.actions import Action
from agents.core.events import Event, Tick
from agents.core.model import Replica
from simulator.parts import runner
from simulator.run import run


@pytest.mark.parametrize(("seed", "profile"), [(3, "everything"), (4, "corner"), (5, "operators")])
def test_every_tick_that_is_skipped_would_have_done_nothing(
    monkeypatch: pytest.MonkeyPatch, seed: int, profile: str
) -> None:
    skipped = 0

    def step(replica: Replica, event: Event, now_ms: int) -> tuple[Replica, list[Action]]:
        nonlocal skipped
        if isinstance(event, Tick) and now_ms < replica.quiet_until_ms:
            skipped += 1
            awake = replace(replica, quiet_until_ms=0)
            after, actions = rules.step(awake, event, now_ms)
            assert actions == []
            assert replace(after, quiet_until_ms=0) == awake
        return rules.step(replica, event, now_ms)

    monkeypatch.setattr(runner, "rests", lambda _replica, _now_ms: False)
    monkeypatch.setattr(runner, "step", step)
    assert run(seed, profile, seconds=15).broken == ""
    assert skipped > 1000
