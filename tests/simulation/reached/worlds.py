"""Worlds with a dashboard in them, and with somebody who counts the rows that are taken."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from controller.core.events import PlanAct, PlanAsked
from controller.core.explanation.explain import explain, protected, timing
from controller.core.foresight.preview import left_ms, preview
from controller.core.model import Record
from controller.core.moment.others import Others
from controller.core.moment.view import View
from controller.core.plan_model import PlanKind
from controller.core.rows.row import Row
from controller.core.sites import policy
from controller.core.sites.look import Look
from controller.core.sites.matrix import matrix
from simulator.profiles import DEFAULT_PROFILE, PROFILES
from simulator.run import run
from simulator.scenarios.playing import play
from simulator.scenarios.reading import read
from simulator.watch import Watch
from simulator.world import World
from tests.simulation.reached.nights import NIGHT_SEEDS, NIGHTS

SCENARIOS = Path(__file__).parents[2] / "scenarios"
LOOK_EVERY_MS = 2500

Task = tuple[str, int, int]
"""A profile with a seed and seconds; or the number of a night with a seed; or a scenario's file."""


class Dashboard(Watch):
    """Shows every service as the page, the API and the metrics do: at each change, and between."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._look_again()

    def swapped(self, now_ms: int, old: Record | None, new: Record) -> None:
        self._show(new.service_uid)

    def _look_again(self) -> None:
        for service in self._world.services:
            self._show(service.uid)
        self._show_sites()
        self._world.kernel.after(LOOK_EVERY_MS, self._look_again)

    def _show(self, uid: str) -> None:
        state, now_ms = self._world.controller.state, self._world.controller.now_ms()
        if state is None or uid not in state.services:
            return
        service, others = state.services[uid], Others(state.services, state.nation, now_ms)
        explain(service, now_ms, others=others)
        protected(service, now_ms)
        timing(service)

    def _show_sites(self) -> None:
        state, now_ms = self._world.controller.state, self._world.controller.now_ms()
        if state is None or not state.nation.sites:
            return
        matrix(Look(state.nation, (), now_ms))
        policy.readiness(state.nation, state.services.values(), now_ms)
        if state.plan is not None:
            left_ms(state.plan)
        for service in state.services.values():
            policy.care(state.nation, service, now_ms)
        for site in state.nation.sites:
            policy.failback_held(state.nation, site)
            for kind in PlanKind:
                wish = PlanAsked("", PlanAct.BEGIN, "the page", kind=kind, site=site, dry_run=True)
                preview(state, wish, now_ms)


def tasks(seeds: int, seconds: int) -> list[Task]:
    """All nights, all scenarios, and so many seeds of each profile."""
    nights = [(str(n), seed, one.seconds) for n, one in enumerate(NIGHTS) for seed in NIGHT_SEEDS]
    scenarios = [(file.name, 0, 0) for file in sorted(SCENARIOS.glob("*.txt"))]
    drawn = [(name, seed, seconds) for seed in range(seeds) for name in sorted(PROFILES)]
    return [*nights, *scenarios, *drawn]


def row_key(row: Row) -> str:
    """A row's name, where it leads from, and where to."""
    return f"{row.name}: {row.source.value} -> {row.target.value}"


def live(chosen: list[Task]) -> dict[str, int]:
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
        for task in chosen:
            _live(*task)
    return dict(taken)


def _live(name: str, seed: int, seconds: int) -> None:
    if name in PROFILES:
        run(seed, name, seconds)
    elif name.isdecimal():
        NIGHTS[int(name)].live(seed, DEFAULT_PROFILE, seconds)
    else:
        play(read((SCENARIOS / name).read_text(encoding="utf-8"), name))
