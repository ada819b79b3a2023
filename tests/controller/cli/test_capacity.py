"""`saling capacity`: what each site carries, and who would be left behind."""

from __future__ import annotations

import json
from typing import Any

from controller.cli.exits import Exit
from tests.controller.cli.conftest import Saling
from tests.controller.cli.stub import Stub

NOTHING = {"vcpu": 0.0, "memory_gib": 0.0, "storage_tib": 0.0, "connections": 0}


def site(**changes: Any) -> dict[str, Any]:
    usual = {
        "site": "batam",
        "declared": {**NOTHING, "vcpu": 64.0},
        "demanded": {**NOTHING, "vcpu": 40.0},
        "used": {**NOTHING, "vcpu": 21.5, "connections": 310},
        "primaries": ["visa"],
        "waiting": [],
        "after": [
            {
                "lost": "jabodetabek",
                "demanded": {**NOTHING, "vcpu": 60.0},
                "comes": ["paspor"],
                "held": [],
                "given_up": [],
            }
        ],
    }
    return usual | changes


def test_capacity_shows_what_is_declared_demanded_used_and_after_a_loss(
    stub: Stub, saling: Saling
) -> None:
    stub.capacity = [site()]
    run = saling("capacity")
    assert run.code == Exit.OK
    line = next(line for line in run.out.splitlines() if "vcpu" in line)
    assert line.split() == ["batam", "vcpu", "64", "40", "21.5", "jabodetabek:", "60"]
    assert "310" in run.out and "GiB" not in run.out


def test_capacity_names_who_would_be_held_and_who_is_given_up_and_is_degraded(
    stub: Stub, saling: Saling
) -> None:
    after = site()["after"][0] | {"held": ["paspor"], "given_up": ["arsip"]}
    stub.capacity = [site(after=[after], waiting=["pajak"])]
    run = saling("capacity")
    assert run.code == Exit.DEGRADED
    assert "batam: held for the want of room: pajak" in run.out
    assert "if jabodetabek is lost, would be HELD: paspor" in run.out
    assert "if jabodetabek is lost, is given up as declared: arsip" in run.out


def test_capacity_as_json_is_what_the_api_says(stub: Stub, saling: Saling) -> None:
    stub.capacity = [site()]
    assert json.loads(saling("capacity", "-o", "json").out) == {"sites": [site()]}


def test_a_site_to_which_nobody_comes_is_told_with_its_stage(stub: Stub, saling: Saling) -> None:
    after = site()["after"][0] | {"held": ["paspor"]}
    stub.capacity = [site(after=[after], stage="suspended")]
    run = saling("capacity")
    assert run.code == Exit.DEGRADED
    assert "batam: is suspended, so nobody comes there" in run.out
