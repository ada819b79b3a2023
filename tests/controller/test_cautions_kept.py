"""A caution holds once it is stored: over restarts, and not at all where the store fails."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from controller.core.events import Cautioned, CautionEnded
from controller.core.site_model import Caution
from controller.journal import files
from controller.replay import replay
from controller.stores.base import StoreFailed
from tests.controller.cluster import Cluster
from tests.controller.desk import WAIT_S, Desk

FAR_MS = 2**45
"""In the wall's far future, so that each lasts for its whole time."""


def flood(for_ms: int = 3_600_000) -> Caution:
    return Caution("batam", "hand", "siti", "flood", FAR_MS, for_ms, "siti")


def asks(id: str = "r1") -> Cautioned:
    return Cautioned((flood(),), FAR_MS, id)


async def test_it_is_in_the_store_and_in_the_history_when_the_answer_comes(turning: Desk) -> None:
    answer = await turning.runtime.submit(asks())
    assert answer.accepted
    assert [c.text for c in turning.store.cautions()] == ["flood"]
    changes, _, happenings = await turning.runtime.lines(10)
    assert [line.happening.what for line in happenings] == ["begins"]
    assert happenings[0].happening.by == "siti"
    assert changes == []


async def test_another_life_of_the_controller_knows_it(cluster: Cluster) -> None:
    known = []
    for life in range(2):
        desk = Desk(cluster)
        known.append([c.text for c in desk.state.nation.cautions])
        task = asyncio.create_task(desk.runtime.run())
        if life == 0:
            await desk.runtime.submit(asks())
        task.cancel()
        await asyncio.wait([task], timeout=WAIT_S)
        desk.journal.close()
        await desk.worker.close()
    assert known == [[], ["flood"]]


async def test_what_cannot_be_stored_changes_nothing_and_the_asker_is_told(
    turning: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: Any) -> None:
        raise StoreFailed("disk full")

    monkeypatch.setattr(turning.store, "keep_cautions", fails)
    with pytest.raises(StoreFailed, match="disk full"):
        await turning.runtime.submit(asks())
    assert turning.state.nation.cautions == ()
    monkeypatch.undo()
    assert (await turning.runtime.submit(asks("r2"))).accepted


async def test_a_line_that_cannot_be_stored_is_lost_and_no_more(
    turning: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: Any) -> None:
        raise StoreFailed("disk full")

    monkeypatch.setattr(turning.store, "note", fails)
    assert (await turning.runtime.submit(asks())).accepted
    assert len(turning.state.nation.cautions) == 1


async def test_its_journal_replays_to_the_same_decisions(turning: Desk) -> None:
    await turning.runtime.submit(asks())
    await turning.runtime.submit(CautionEnded("r2", "batam", "siti"))
    turning.journal.close()
    told = replay(files(turning.cluster.topology.journal.directory))
    assert told.identical
    assert told.events >= 2
