"""What an agent watches at its own host: certificate, clock, commits; and what is scraped of it."""

from __future__ import annotations

import asyncio
import datetime
import shutil
import subprocess
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from cryptography import x509

from agents.core.commits import LEAST, CommitTimes
from agents.core.observation import Probe, ProbeKind
from agents.core.symptoms import Board
from agents.engines.base import EngineError
from agents.guard.client import now_ms
from agents.host.metrics import SurroundingsMetrics, View
from agents.host.symptom_watch import EXPIRES_SOON_S, Certificate, SymptomWatch
from agents.metrics import Metrics
from agents.replica.jobs import Fresh, Jobs, Wiring
from agents.replica.turns import Turns
from config.agent import Symptoms
from lab.base.keys import LabKeys
from protocol.messages import Path as Way
from protocol.messages import Symptom, Usage

HOME = "batam-1"


CERTIFICATE: Any = SimpleNamespace(expires_soon=lambda now_s: "")


def end_s(file: Path) -> float:
    return x509.load_pem_x509_certificate(file.read_bytes()).not_valid_after_utc.timestamp()


def test_a_certificate_near_its_end_is_told_with_the_day_and_the_mend(keys: LabKeys) -> None:
    file = keys.agents[HOME].certificate
    certificate, end = Certificate(file), end_s(file)
    assert certificate.expires_soon(end - EXPIRES_SOON_S) == ""
    day = datetime.datetime.fromtimestamp(end, datetime.UTC).strftime("%Y-%m-%d")
    soon = certificate.expires_soon(end - EXPIRES_SOON_S + 1)
    assert f"expires on {day}" in soon
    assert "let the authority sign a new one" in soon
    assert f"expired on {day}" in certificate.expires_soon(end)


def test_a_new_certificate_that_is_not_in_use_yet_asks_for_a_restart(
    keys: LabKeys, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = keys.agents[HOME].certificate
    certificate, end = Certificate(file), end_s(file)
    monkeypatch.setattr("agents.host.symptom_watch._end_s", lambda _: end + 1000)
    assert "the file holds a later one, so restart the agent" in certificate.expires_soon(end)
    file.unlink()
    monkeypatch.undo()
    assert "let the authority sign" in certificate.expires_soon(end)


def watch(board: Board, commits: CommitTimes, *aheads_ms: int) -> SymptomWatch:
    prober: Any = SimpleNamespace(clocks_ahead_ms=lambda _: aheads_ms, count=len(aheads_ms))
    return SymptomWatch(Symptoms(), CERTIFICATE, lambda: [("paspor", commits)], prober, board, int)


async def test_the_certificate_is_read_beside_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    loop, was_read, threads = asyncio.get_running_loop(), asyncio.Event(), []

    def expires_soon(_now_s: float) -> str:
        threads.append(threading.current_thread())
        loop.call_soon_threadsafe(was_read.set)
        return ""

    monkeypatch.setattr(CERTIFICATE, "expires_soon", expires_soon)
    task = asyncio.create_task(watch(Board(), CommitTimes()).run())
    await was_read.wait()
    task.cancel()
    assert threads[0] is not threading.main_thread()


def kinds(board: Board, now_ms: int) -> list[str]:
    return [symptom.kind for symptom in board.symptoms(now_ms)]


def test_a_clock_that_stays_off_is_told_and_one_that_was_stepped_back_is_not() -> None:
    board, commits = Board(), CommitTimes()
    off, right = watch(board, commits, 900, 900, 900), watch(board, commits, 9, 9, 9)
    for at_ms in range(0, 30_000, 5000):
        off._look("", at_ms)
    assert kinds(board, 29_999) == []
    off._look("", 30_000)
    assert kinds(board, 30_000) == ["clock"]
    for at_ms in range(35_000, 96_000, 5000):
        right._look("", at_ms)
    assert kinds(board, 95_000) == []


def test_commits_that_stay_slow_are_told_by_the_name_of_their_service() -> None:
    board, commits = Board(), CommitTimes()
    for at_ms in range(0, 40_000, 500):
        commits.took(at_ms, 400)
        if at_ms % 5000 == 0:
            watch(board, commits)._look("", at_ms)
    told = board.symptoms(40_000)
    assert [symptom.kind for symptom in told] == ["latency"]
    assert told[0].text.startswith("paspor: commits take up to 400 ms")


class FakeEngine:
    """Commits at once, or fails."""

    error: Exception | None = None

    async def probe(self, _timeout_ms: int) -> Probe:
        if self.error:
            raise self.error
        return Probe(ProbeKind.COMMITTED, 42)


async def test_commits_count_as_times_and_failures_do_not() -> None:
    metrics = Metrics(HOME, "batam")
    engine: Any = FakeEngine()
    wiring, times = Wiring(HOME, "u", str, CERTIFICATE), metrics.timings("paspor").commits

    async def probe() -> None:
        for _ in range(LEAST):
            told: list[Any] = []
            async with asyncio.TaskGroup() as group:
                jobs = Jobs("paspor", engine, wiring, told.append, Fresh(), metrics, group, Turns())
                jobs.begin_probe(5000)

    engine.error = EngineError("it is down")
    await probe()
    assert times.slow("paspor", -1, now_ms()) == ""
    engine.error = None
    await probe()
    assert f"p99 of {LEAST} in the last minute" in times.slow("paspor", -1, now_ms())


# What is scraped.

VIEW = View(
    (Way("ikn-1", 20, 5, 12_500, 300, -40), Way("sorong-1")),
    (Symptom("power", "on battery", 90_000),),
    Usage(2500, 2**30, 2**40, 77),
)


def shown(view: View) -> bytes:
    metrics = Metrics(HOME, "batam")
    metrics.registry.register(SurroundingsMetrics(lambda: view))
    return metrics.text()


def test_ways_symptoms_and_use_are_scraped_in_base_units() -> None:
    lines = shown(VIEW).decode().splitlines()
    assert 'saling_path_round_trip_seconds{to="ikn-1"} 0.0125' in lines
    assert 'saling_path_loss_ratio{to="ikn-1"} 0.25' in lines
    assert 'saling_path_answer_age_seconds{to="ikn-1"} 0.3' in lines
    assert 'saling_path_clock_ahead_seconds{to="ikn-1"} -0.04' in lines
    assert 'saling_symptom_age_seconds{kind="power"} 90.0' in lines
    assert "saling_host_used_cores 2.5" in lines
    assert "saling_host_used_connections 77.0" in lines
    assert not any("sorong-1" in line for line in lines)


def test_what_is_not_known_is_not_scraped() -> None:
    text = shown(View((), (), None)).decode()
    assert "saling_host_used" not in text
    assert "saling_symptom_age_seconds{" not in text


def test_promtool_finds_nothing_wrong_with_it() -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed; it comes with the Debian package prometheus")
    check = subprocess.run(
        [promtool, "check", "metrics"],
        input=shown(VIEW),
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert (check.returncode, check.stdout, check.stderr) == (0, b"", b"")
