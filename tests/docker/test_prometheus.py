"""Prometheus takes the configuration and the rules, and each alert leads to its page."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from lab.compose import AGENT_PORT, AGENTS, CONTROLLER_PORT

PROMTOOL = shutil.which("promtool")
CASES = sorted(file.name for file in Path(__file__).parent.glob("*_test.yml"))
needs_promtool = pytest.mark.skipif(
    PROMTOOL is None, reason="promtool is not installed; it comes with the package prometheus"
)


@pytest.fixture
def rules(root: Path) -> list[dict[str, Any]]:
    read = yaml.safe_load((root / "docker" / "saling.rules.yml").read_text())
    return [rule for group in read["groups"] for rule in group["rules"]]


def promtool(*arguments: str, cwd: Path) -> None:
    assert PROMTOOL is not None
    done = subprocess.run(
        [PROMTOOL, *arguments], cwd=cwd, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@needs_promtool
def test_promtool_takes_the_configuration(root: Path, tmp_path: Path) -> None:
    (tmp_path / "ca.crt").write_text("")
    text = (root / "docker" / "prometheus.yml").read_text()
    (tmp_path / "prometheus.yml").write_text(text.replace("/etc/saling/", f"{tmp_path}/"))
    shutil.copy(root / "docker" / "saling.rules.yml", tmp_path)
    promtool("check", "config", "--syntax-only", "prometheus.yml", cwd=tmp_path)
    promtool("check", "rules", "saling.rules.yml", cwd=tmp_path)


@needs_promtool
@pytest.mark.parametrize("cases", CASES)
def test_alerts_fire_when_they_should_and_not_before(
    root: Path, tmp_path: Path, cases: str
) -> None:
    shutil.copy(root / "docker" / "saling.rules.yml", tmp_path)
    shutil.copy(root / "tests" / "docker" / cases, tmp_path)
    promtool("test", "rules", cases, cwd=tmp_path)


def test_alerts_of_what_may_be_announced_ask_for_its_maintenance(
    rules: list[dict[str, Any]],
) -> None:
    announced = {
        "SalingUnprotected": "service",
        "SalingSyncAlone": "service",
        "SalingBackupUnfit": "service",
        "SalingLossBoundNear": "service",
        "SalingAgentDown": "agent",
        "SalingSiteDown": "site",
        "SalingSiteCutOff": "site",
        "SalingSiteUnheard": "site",
    }
    asks = re.compile(r"unless on \((\w+)\) saling_(\w+)_maintenance == 1")
    silenced = {
        rule["alert"]: asks.findall(rule["expr"]) for rule in rules if "unless" in rule["expr"]
    }
    assert silenced == {alert: [(what, what)] for alert, what in announced.items()}


def test_only_the_rules_file_holds_rules_and_the_docs_name_alerts_that_are_in_it(
    root: Path, rules: list[dict[str, Any]]
) -> None:
    names = {rule["alert"] for rule in rules}
    for page in [*(root / "docs").rglob("*.md"), root / "README.md", root / "docker/README.md"]:
        text = page.read_text()
        assert not re.search(r"^\s*(- alert|expr):", text, flags=re.MULTILINE), page
        named = set(re.findall(r"\bSaling[A-Z][A-Za-z]+", text))
        assert named <= names, f"{page}: {sorted(named - names)}"


def test_every_alert_has_words_and_a_page(root: Path, rules: list[dict[str, Any]]) -> None:
    for rule in rules:
        notes = rule["annotations"]
        assert notes["summary"] and notes["description"].endswith("."), rule["alert"]
        page, _, anchor = notes["runbook_url"].partition("#")
        headings = re.findall(r"^## (\w+)$", (root / page).read_text(), flags=re.MULTILINE)
        assert anchor == rule["alert"].lower() and rule["alert"] in headings


def test_every_page_belongs_to_an_alert(root: Path, rules: list[dict[str, Any]]) -> None:
    text = (root / "docs" / "runbooks" / "alerts.md").read_text()
    headings = re.findall(r"^## (\w+)$", text, flags=re.MULTILINE)
    assert headings == [rule["alert"] for rule in rules]


def test_alerts_ask_for_metrics_that_are_exported(root: Path, rules: list[dict[str, Any]]) -> None:
    places = (root / "controller", root / "agents")
    files = [file for place in places for file in place.rglob("*.py")]
    code = "".join(file.read_text() for file in files)
    exported = set(re.findall(r'"(saling_\w+)"', code))
    for rule in rules:
        for name in re.findall(r"saling_\w+", rule["expr"]):
            assert name in exported or name.removesuffix("_total") in exported, name


def test_every_agent_and_the_controller_are_asked(root: Path) -> None:
    jobs = yaml.safe_load((root / "docker" / "prometheus.yml").read_text())["scrape_configs"]
    targets = [t for job in jobs for one in job["static_configs"] for t in one["targets"]]
    wanted = [f"controller:{CONTROLLER_PORT}", *(f"{agent}:{AGENT_PORT}" for agent in AGENTS)]
    assert targets == wanted
