"""`saling reload`: what it says, and how it ends."""

from __future__ import annotations

import json
from typing import Any

from tests.controller.cli.conftest import Saling
from tests.controller.cli.stub import Stub

TOLD: dict[str, Any] = {
    "applied": True,
    "dry_run": False,
    "text": "the configuration is taken: 1 change",
    "file": "/etc/saling/cluster.yaml",
    "sha256": "ab" * 32,
    "changes": [{"kind": "service", "name": "paspor", "text": "tier: from tinggi to rendah"}],
    "waits_for_restart": ["store"],
    "findings": [],
    "unmet": [],
}
WRONG = {
    "severity": "error",
    "line": 12,
    "key": "services[0].tier",
    "value": '"sedang"',
    "message": "is none of strategis, tinggi, rendah",
    "mend": "choose one",
}


def test_each_change_and_what_waits_for_a_restart_is_said(stub: Stub, saling: Saling) -> None:
    stub.answers = [(200, TOLD)]
    run = saling("reload", "--by", "siti")
    assert run.code == 0
    assert "service paspor: tier: from tinggi to rendah" in run.out
    assert "store: is taken by a restart of the controller only" in run.out
    (done,) = stub.done
    assert (done.path, done.body["by"]) == ("/api/v1/reload", "siti")


def test_a_file_with_errors_ends_with_2_and_names_file_line_and_key(
    stub: Stub, saling: Saling
) -> None:
    body = TOLD | {"applied": False, "findings": [WRONG], "error": "it cannot be used",
                   "where": "f", "mend": "m"}  # fmt: skip
    stub.answers = [(422, body)]
    run = saling("reload", "--by", "siti")
    assert run.code == 2
    assert '/etc/saling/cluster.yaml:12: services[0].tier = "sedang"' in run.err


def test_a_refusal_of_the_rules_ends_with_4_and_says_what_would_make_it_possible(
    stub: Stub, saling: Saling
) -> None:
    body = TOLD | {"applied": False, "unmet": ["retire it first"], "refused": "it stays"}
    stub.answers = [(412, body)]
    run = saling("reload", "--by", "siti")
    assert run.code == 4
    assert "retire it first" in run.err


def test_a_dry_run_asks_for_nothing_more(stub: Stub, saling: Saling) -> None:
    stub.dry_answer = (200, TOLD | {"applied": False, "dry_run": True})
    run = saling("reload", "--dry-run", "--by", "siti", "-o", "json")
    assert run.code == 0
    assert stub.done == []
    assert json.loads(run.out)["dry_run"] is True


def test_status_tells_of_a_reload_that_failed(stub: Stub, saling: Saling) -> None:
    stub.state["configuration"] = {
        "file": "f",
        "sha256": "ab",
        "in_force_since": "2026-11-30T10:00:00.000Z",
        "waits_for_restart": ["store"],
        "last_reload": {"at": "", "by": "siti", "failed": "line 12: services[0].tier"},
    }
    run = saling("status")
    assert "the last reload by siti changed nothing" in run.out
    assert "line 12: services[0].tier" in " ".join(run.out.split())
    assert "taken by a restart only: store" in run.out
