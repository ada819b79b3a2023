"""What Prometheus scrapes from an agent is well formed and says what is the case."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from agents.metrics import Metrics
from tests.agents.core.given import Actor


def shown() -> tuple[Metrics, bytes]:
    actor = Actor().leased()
    metrics = Metrics("jabodetabek-1", "jabodetabek")
    metrics.show(lambda: [actor.replica], lambda: actor.now_ms)
    return metrics, metrics.text()


def test_a_leased_primary_shows_its_epoch_and_what_is_left_of_its_lease() -> None:
    _, text = shown()
    lines = text.decode().splitlines()
    assert any(line.startswith("saling_") and "epoch" in line and " 3" in line for line in lines)
    assert any("lease" in line and line.rsplit(" ", 1)[1] not in ("0.0", "0") for line in lines)


def test_promtool_finds_nothing_wrong_with_an_agents_metrics() -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed; it comes with the Debian package prometheus")
    _, text = shown()
    check = subprocess.run(
        [promtool, "check", "metrics"], input=text, capture_output=True, check=False, timeout=60
    )
    assert (check.returncode, check.stdout, check.stderr) == (0, b"", b"")
