"""Worlds with a dashboard in them, and with somebody who counts the rows that are taken."""

from __future__ import annotations

from collections import Counter

import pytest

from controller.core.explain import explain, protected, timing
from controller.core.model import Record
from controller.core.phases import Row
from controller.core.view import View
from simulator.run import run
from simulator.watch import Watch
from simulator.world import World

LOOK_EVERY_MS = 700

Task = tuple[int, str, int]
"""Seed, profile, seconds."""


class Dashboard(Watch):
    """Shows every service as the page, the API and the metrics do: at each change, and between."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._look_again()

    def swapped(self, now_ms: int, old: Record | None, new: Record) -> None:
        self._show()

    def _look_again(self) -> None:
        self._show()
        self._world.kernel.after(LOOK_EVERY_MS, self._look_again)

    def _show(self) -> None:
        state, now_ms = self._world.controller.state, self._world.controller.now_ms()
        for service in state.services.values() if state else ():
            explain(service, now_ms)
            protected(service, now_ms)
            timing(service)


def row_key(row: Row) -> str:
    """A row's name, where it leads from, and where to."""
    return f"{row.name}: {row.source.value} -> {row.target.value}"


def live(tasks: list[Task]) -> dict[str, int]:
    """Run all of them; how often each row was taken."""
    taken: Counter[str] = Counter()
    apply, begin = Row.apply, World.__init__

    def counted(row: Row, view: View, term: int) -> Record:
        taken[row_key(row)] += 1
        return apply(row, view, term)

    def watched(world: World, *args: object, **options: object) -> None:
        begin(world, *args, **options)  # type: ignore[arg-type]
        world.watch.add(Dashboard(world))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Row, "apply", counted)
        patch.setattr(World, "__init__", watched)
        for seed, profile, seconds in tasks:
            run(seed, profile, seconds)
    return dict(taken)
