"""States, services and histories as a controller would show them."""

from __future__ import annotations

from typing import Any

import msgspec

from controller.core.explanation.explain import Clause, CopyView, Explanation, Way
from controller.core.model import Operation, Transition
from controller.stores.base import HistoryLine
from protocol.messages import Mode, ReplicaReport, Role

FIRST, SECOND = "jabodetabek-1", "batam-1"
MIB = 1048576


def service(name: str = "paspor", phase: str = "PROTECTED", **changes: Any) -> dict[str, Any]:
    """One service explained; protected, if nothing else is said."""
    whole = Explanation(
        service=name,
        service_uid=f"{name}-uid",
        phase=phase,
        because=f"{FIRST} writes under a lease and {SECOND} may take over",
        epoch=3,
        revision=41,
        primary=FIRST,
        backup=SECOND,
        protected=phase == "PROTECTED",
        paused="",
        held_for="",
        operation="",
        tier="strategis",
        protection="async",
        loss_bytes=20480,
        loss_bound_bytes=16 * MIB,
        lag_bytes=512,
        lease_left_ms=1400,
        lease_ttl_ms=2000,
        proven_ago_ms=300,
        predicted_failover_ms=3500,
        predicted_switchover_ms=1000,
        copies=(
            CopyView(FIRST, "jabodetabek", 120, _report(name)),
            CopyView(SECOND, "b", -1, None),
        ),
        ways=(
            Way(
                "primary_silent",
                "COUNTDOWN",
                False,
                (
                    Clause(False, f"{FIRST} proved a commit to the controller 0.3 s ago"),
                    Clause(True, f"{SECOND} stands by under this revision"),
                ),
            ),
            Way(
                "switchover",
                "DRAINING",
                True,
                (Clause(False, "no operator asks for switchover"), Clause(True, "it follows")),
            ),
            Way("backup_lost", "ALONE", False, (Clause(False, f"{SECOND} is not lost"),)),
        ),
        advice="Nothing to do.",
    )
    shown: dict[str, Any] = _as_json(msgspec.structs.replace(whole, **changes))
    return {**shown, "timing": {"ttl_ms": 2000}}


def held(name: str = "paspor") -> dict[str, Any]:
    """A service that waits for an approval of a loss."""
    return service(
        name,
        "HELD",
        because="held: a failover loses an estimated 20.00 MiB, only 16.00 MiB are accepted",
        held_for="loss",
        loss_bytes=20 * MIB,
        loss_ms=4100,
        lease_left_ms=0,
        advice=f"Bring {FIRST} back, or accept the loss: `saling approve {name} --epoch 3`.",
    )


def state(*services: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """Two sites, one pair, and these services."""
    return {
        "version": "0.1.0",
        "cluster": {"name": "Pusat Data Nasional", "uid": "pdn"},
        "at": "2026-11-24T04:20:05.000Z",
        "started_at": "2026-11-24T04:00:00.000Z",
        "term": 7,
        "controller": {"failure_domain": "arbiter", "events_waiting": 0, "rule_errors": 0},
        "store": {
            "kind": "sqlite",
            "generation": "g",
            "up": True,
            "problem": "",
            "broken_records": {},
        },
        "journal": {"errors": 0, "problem": ""},
        "brokers": [broker("arbiter:1883", True), broker("arbiter:1884", True)],
        "sites": [site("jabodetabek", "batam", FIRST), site("batam", "jabodetabek", SECOND)],
        "pairs": [
            {
                "sites": ["jabodetabek", "batam"],
                "services": [one["service"] for one in services],
                "protected": all(one["protected"] for one in services),
            }
        ],
        "agents": [agent(FIRST, "jabodetabek"), agent(SECOND, "batam")],
        "services": list(services),
        **changes,
    }


def broker(name: str, connected: bool, fault: str = "") -> dict[str, Any]:
    """One broker."""
    return {"name": name, "connected": connected, "problem": fault, "dropped": 0}


def site(name: str, partner: str, *agents: str) -> dict[str, Any]:
    """One site."""
    return {
        "id": name,
        "name": name.title(),
        "state": "active",
        "latitude": -6.37,
        "longitude": 107.17,
        "partner": partner,
        "agents": list(agents),
        "up": True,
    }


def agent(name: str, place: str, up: bool = True, heard_ago_ms: int = 120) -> dict[str, Any]:
    """One agent."""
    return {"id": name, "site": place, "up": up, "heard_ago_ms": heard_ago_ms}


def line(
    number: int, before: str, after: str, because: str, name: str = "paspor", **changes: Any
) -> dict[str, Any]:
    """One change, of the operation paspor-42 unless another is given."""
    operation = Operation("paspor-42", "switchover", "sri", "a new rack", FIRST, SECOND)
    change = Transition(
        service=name,
        service_uid=f"{name}-uid",
        revision=40 + number,
        term=7,
        epoch=3,
        from_phase=before,
        to_phase=after,
        because=because,
        primary=FIRST,
        backup=SECOND,
        operation=operation,
    )
    whole = HistoryLine(number, 1_795_494_005_000 + number, change)
    shown: dict[str, Any] = _as_json(whole)
    shown["transition"] |= changes
    return {**shown, "at": "2026-11-24T04:20:05.000Z"}


def moved() -> list[dict[str, Any]]:
    """A switchover from beginning to end."""
    return [
        line(2, "PROTECTED", "DRAINING", "an operator moves the service"),
        line(3, "DRAINING", "PROMOTING", "it stopped in order", loss_bytes=0),
        line(4, "PROMOTING", "ROUTING", "it commits in epoch 4", outage_ms=640),
        line(5, "ROUTING", "ALONE", "it serves in epoch 4", outcome="done"),
    ]


def _as_json(struct: msgspec.Struct) -> Any:
    return msgspec.json.decode(msgspec.json.encode(struct))


def _report(name: str) -> ReplicaReport:
    return ReplicaReport(
        service=name,
        service_uid=f"{name}-uid",
        revision=41,
        epoch=3,
        role=Role.PRIMARY,
        mode=Mode.LEASED,
        writable=True,
        position_bytes=123456789,
        quarantine="12 transactions are kept in /q",
    )
