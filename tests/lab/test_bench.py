"""The benchmark's command: what it would run, and what becomes of runs that fail."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from lab import bench
from lab.benches.scenarios import SCENARIOS, Scenario
from lab.benches.systems import System
from lab.incidents.incident import Act
from lab.incidents.judged import Judged, judged
from lab.incidents.slot_lost import SETTINGS, SlotLost
from lab.incidents.unkind import Unkind
from lab.judging.own_count import Kept, OwnCount
from tests.lab.unkindness import absent, told


class Watched:
    """Stands for a watch on a ground that is always whole."""

    def __init__(self, lab: Any, _service: str) -> None:
        self.lab = lab

    async def __aenter__(self) -> Watched:
        return self

    async def __aexit__(self, *_exc: object) -> None:
        pass

    async def wait_for_writes(self) -> None:
        pass


class Whole:
    async def wait_until_whole(self, _service: str) -> None:
        pass


@asynccontextmanager
async def ground(
    _directory: Path, _network: str, _service: Mapping[str, Any]
) -> AsyncIterator[Any]:
    yield Whole()


def batches(monkeypatch: pytest.MonkeyPatch, *words: str) -> list[bench.Batch]:
    monkeypatch.setattr(sys, "argv", ["lab.bench", *words])
    options = bench._options()
    chosen = {name: SCENARIOS[name] for name in options.only}
    return list(bench._batches(chosen, options))


def done(name: str) -> Act:
    return Act(
        name=name,
        service="paspor",
        outage_s=0.1,
        promotion_s=-1,
        acked_lost=0,
        two_writers_s=0,
        lease_ttl_s=2,
        longest_gap_before_s=0,
        acked=1,
        timeline=[],
    )


def test_defaults_run_every_scenario_in_its_profiles(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = [(name, p) for name, one in SCENARIOS.items() for p in one.profiles]
    assert [(b.name, b.system.profile) for b in batches(monkeypatch)] == wanted


def test_long_scenarios_are_run_less_often_than_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    (busy,) = batches(monkeypatch, "--runs", "9", "--only", "busy")
    (engine,) = batches(monkeypatch, "--runs", "9", "--only", "engine", "--profile", "fast")
    assert (busy.runs, engine.runs) == (1, 9)


def test_every_run_ends_in_a_bounded_time(monkeypatch: pytest.MonkeyPatch) -> None:
    assert all(batch.run_s < batch.limit_s < 30 * 60 for batch in batches(monkeypatch))


def test_a_listing_names_every_scenario_and_what_it_does() -> None:
    lines = bench._listing().splitlines()
    assert [line.split()[0] for line in lines] == list(SCENARIOS)
    assert all(len(line.split()) > 3 for line in lines)


@pytest.mark.parametrize("words", [("--runs", "0"), ("--only", "nothing"), ("--profile", "odd")])
def test_wrong_options_are_refused(monkeypatch: pytest.MonkeyPatch, words: tuple[str, str]) -> None:
    with pytest.raises(SystemExit) as refusal:
        batches(monkeypatch, *words)
    assert refusal.value.code == 2


async def test_a_failed_run_is_told_and_the_next_has_a_new_ground(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    grounds = []

    @asynccontextmanager
    async def make(directory: Path, network: str, service: Mapping[str, Any]) -> AsyncIterator[Any]:
        grounds.append(directory)
        async with ground(directory, network, service) as one:
            yield one
        grounds.append(directory)

    runs = iter([None, "the engine is gone", None])

    async def do(_watch: Any) -> list[Act]:
        if problem := next(runs):
            raise RuntimeError(problem)
        return [done("one"), done("two")]

    monkeypatch.setattr(bench, "Watch", Watched)
    system = System("saling", "fast", 2.0, 0.0, make)
    figures, failures = await bench._batch(bench.Batch("odd", Scenario(do, run_s=1), system, 3))
    assert [(f.run, f.incident) for f in figures] == [
        (r, i) for r in (1, 3) for i in ("one", "two")
    ]
    assert [(f.run, f.reason) for f in failures] == [(2, "RuntimeError: the engine is gone")]
    assert len(set(grounds)) == 2 and not any(directory.exists() for directory in grounds)


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        (told(kept=Kept(3, OwnCount(4, 0), {}, "it holds 3 transactions")), "it holds 3"),
        (told(lease_margin_s=-0.1), "0.1 s after its lease's end"),
        (told(difference="the copy at batam differs"), "the copy at batam differs"),
        (told(broken="two writers for 0.1 s"), "two writers for 0.1 s"),
        (absent(pg_wal_most_bytes=9, pg_wal_bound_bytes=8), "took 9 bytes, more than 8"),
        (absent(copied_anew=False), "came back with its old copy"),
        (absent(difference="lab_writes: 1 rows"), "lab_writes: 1 rows"),
        (judged(msgspec.structs.replace(done("cut"), acked_lost=2), [], []), "2 acknowledged"),
        (
            judged(msgspec.structs.replace(done("cut"), two_writers_s=0.1), [], []),
            "two writers for 0.1",
        ),
    ],
    ids=[
        *("quarantine", "lease", "rows", "two writers", "disk", "old copy", "rows of an absence"),
        *("lost in sync mode", "two writers in sync mode"),
    ],
)
async def test_a_run_with_figures_that_must_not_be_keeps_them_and_has_failed(
    monkeypatch: pytest.MonkeyPatch, wrong: Unkind | SlotLost | Judged, reason: str
) -> None:
    async def do(_watch: Any) -> list[Unkind | SlotLost | Judged]:
        return [wrong]

    monkeypatch.setattr(bench, "Watch", Watched)
    system = System("saling", "fast", 2.0, 0.0, ground)
    figures, failures = await bench._batch(bench.Batch("cut", Scenario(do, run_s=1), system, 1))
    assert [bool(figure.wrong) for figure in figures] == [True]
    assert [failure.run for failure in failures] == [1] and reason in failures[0].reason


def test_a_figure_counts_what_the_client_inside_and_the_time_after_the_heal_prove() -> None:
    unkind = told(two_writers_s=0.2, two_writers_after_s=0.6, lost_after=3)
    system = System("saling", "fast", 2.0, 0.0, ground)
    batch = bench.Batch("cut", SCENARIOS["cut-off"], system, 1)
    figure = bench._figure(batch, 1, unkind)
    assert (figure.two_writers_s, figure.acked_lost) == (0.6, 3)


@pytest.mark.parametrize("name", ["cut-off", "frozen", "one-link", "deaf", "mute", "site-frozen"])
def test_the_networks_faults_are_done_to_a_peer_too(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    words = ("--only", name, "--profile", "fast", "--peer", "patroni")
    systems = [(b.system.name, b.system.profile) for b in batches(monkeypatch, *words)]
    assert systems == [("saling", "fast"), ("patroni", "default"), ("patroni", "tightest")]


@pytest.mark.parametrize("name", ["returns-late", "slot-lost", "agent-stopped", "sync-cut"])
def test_what_needs_saling_is_not_done_to_a_peer(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    words = ("--only", name, "--profile", "fast", "--peer", "patroni")
    assert [b.system.name for b in batches(monkeypatch, *words)] == ["saling"]


async def test_a_ground_is_made_with_the_service_of_its_scenario(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = []

    @asynccontextmanager
    async def make(
        _directory: Path, network: str, service: Mapping[str, Any]
    ) -> AsyncIterator[Any]:
        asked.append((network, service))
        yield Whole()

    async def do(_watch: Any) -> list[SlotLost]:
        return [absent()]

    monkeypatch.setattr(bench, "Watch", Watched)
    system = System("saling", "fast", 2.0, 0.0, make)
    scenario = Scenario(do, run_s=1, service={"settings": SETTINGS})
    _, failures = await bench._batch(bench.Batch("slot-lost", scenario, system, 1))
    assert (asked, failures) == ([("proxies", {"settings": SETTINGS})], [])


def test_an_interrupted_benchmark_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    async def interrupted(_batches: list[bench.Batch]) -> None:
        raise asyncio.CancelledError

    monkeypatch.setattr(bench, "_all", interrupted)
    monkeypatch.setattr(sys, "argv", ["lab.bench", "--only", "engine", "--profile", "fast"])
    with pytest.raises(SystemExit, match="interrupted: no table was written"):
        bench.main()
