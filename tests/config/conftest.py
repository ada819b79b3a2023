"""A small valid topology and agent's file to spoil, and a way to read what is said of them."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from config.problems import Problem
from config.validate import Report, validate

Judge = Callable[[dict[str, Any] | str], Report]
Spoil = Callable[..., dict[str, Any]]

KEYS = [letter * 42 + "A=" for letter in "BCDEFG"]

TOPOLOGY: dict[str, Any] = {
    "version": 1,
    "cluster": {"name": "Uji", "uid": "uji"},
    "controller": {"failure_domain": "arbiter", "signing_key": "c.key", "public_key": KEYS[0]},
    "store": {"kind": "sqlite", "path": "store.db"},
    "journal": {"directory": "journal"},
    "brokers": "embedded",
    "sites": [
        {
            "id": name,
            "name": name.title(),
            "state": "active",
            "location": {"latitude": 1.0, "longitude": 104},
        }
        for name in ("barat", "timur", "utara")
    ],
    "pairs": [{"sites": ["barat", "timur"]}],
    "agents": [
        {"id": f"{name}-1", "site": name, "address": f"127.0.0.{n}:8701", "public_key": KEYS[n]}
        for n, name in enumerate(("barat", "timur", "utara"), 1)
    ],
    "services": [
        {
            "name": name,
            "engine": "postgresql",
            "tier": "tinggi",
            "replicas": [
                {"site": "barat", "priority": 1, "address": f"127.0.0.1:{port}"},
                {"site": "timur", "priority": 2, "address": f"127.0.0.2:{port}"},
            ],
        }
        for name, port in (("paspor", 5432), ("pajak", 5433))
    ],
}

AGENT: dict[str, Any] = {
    "version": 1,
    "cluster": "uji",
    "agent": "barat-1",
    "site": "barat",
    "listen": "127.0.0.1:8701",
    "state_directory": "state",
    "brokers": [{"url": "mqtt://127.0.0.1:1883"}],
    "tls": {"certificate": "a.pem", "key": "a.key", "authority": "ca.pem"},
    "signing_key": "signing.key",
    "controller_public_key": KEYS[0],
    "services": [
        {
            "name": name,
            "engine": "postgresql",
            "data_directory": f"{name}/data",
            "listen": f"127.0.0.1:{port}",
            "socket_directory": f"/run/saling/{name}",
            "replication_password_file": "replication.password",
        }
        for name, port in (("paspor", 5432), ("pajak", 5433))
    ],
}

REMOVED = object()
"""Given as a value, it takes the key away."""


def changed(original: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """A copy with changes by path, such as {'services.0.replicas.1.site': 'barat'}."""
    data = copy.deepcopy(original)
    for path, value in changes.items():
        *way, last = [int(part) if part.isdigit() else part for part in path.split(".")]
        place: Any = data
        for part in way:
            place = place[part]
        if value is REMOVED:
            del place[last]
        else:
            place[last] = value
    return data


@pytest.fixture
def removed() -> object:
    """The value that takes a key away."""
    return REMOVED


@pytest.fixture
def topology() -> Spoil:
    """The small topology with changes by path."""
    return lambda changes=None: changed(TOPOLOGY, changes or {})


@pytest.fixture
def agent() -> Spoil:
    """The small agent's file with changes by path."""
    return lambda changes=None: changed(AGENT, changes or {})


@pytest.fixture
def judge(tmp_path: Path) -> Judge:
    """Writes plain values or text to a file and validates it."""

    def run(content: dict[str, Any] | str) -> Report:
        file = tmp_path / "under-test.yaml"
        text = content if isinstance(content, str) else yaml.safe_dump(content)
        file.write_text(text, encoding="utf-8")
        return validate(file)

    return run


@pytest.fixture
def said() -> Callable[[Report, str], Problem]:
    """The one finding about a path; it must have a message, a mend, a file."""

    def find(report: Report, path: str) -> Problem:
        found = [problem for problem in report.problems if problem.path == path]
        assert len(found) == 1, report.text()
        assert found[0].message and found[0].mend
        assert found[0].file == report.file
        return found[0]

    return find
