"""The JSON that the API shows, made from one look at the controller."""

from __future__ import annotations

import datetime
from typing import Any

import msgspec

from controller.copies import quarantines
from controller.core.explanation.explain import Explanation, timing
from controller.core.model import ServiceState
from controller.status import DrillStatus, Status
from controller.stores.base import HistoryLine
from controller.utc import utc_text
from controller.web.sites import link_views, path_views, site_views


def state_view(status: Status, version: str) -> dict[str, Any]:
    """Everything at once: GET /api/v1/state."""
    topology = status.topology
    return {
        "version": version,
        "cluster": {"name": topology.cluster.name, "uid": topology.cluster.uid},
        "at": utc_text(_wall_ms()),
        "started_at": utc_text(status.started_at_ms),
        "term": status.state.term,
        "controller": {
            "failure_domain": topology.controller.failure_domain,
            "blind": status.state.nation.blind,
            "events_waiting": status.waiting,
            "events_dropped": status.dropped,
            "rule_errors": status.rule_errors,
        },
        "store": {
            "kind": status.store_kind,
            "generation": status.state.generation,
            "up": not status.store_problem,
            "problem": status.store_problem,
            "broken_records": status.broken_records,
        },
        "journal": {"errors": status.journal_errors, "problem": status.journal_problem},
        "configuration": _configuration(status),
        "drills": drill_views(status),
        "brokers": [
            {
                "name": broker.name,
                "connected": broker.connected,
                "problem": broker.problem,
                "dropped": broker.dropped,
            }
            for broker in status.brokers
        ],
        "sites": site_views(status),
        "links": link_views(status),
        "paths": path_views(status),
        "pairs": _pairs(status),
        "agents": [
            {
                "id": agent.id,
                "site": agent.site,
                "up": status.agent_up(agent.id),
                "heard_ago_ms": status.heard_ago_ms(agent.id),
            }
            for agent in topology.agents
        ],
        "services": [service_view(status, service) for service in status.services],
    }


def service_view(status: Status, service: ServiceState) -> dict[str, Any]:
    """One service explained: GET /api/v1/services/{name}/explain."""
    explained = status.explained(service)
    view: dict[str, Any] = msgspec.to_builtins(explained)
    kept = msgspec.to_builtins(quarantines(explained))
    return {**view, "quarantines": kept, "timing": timing(service), **_goal(status, explained)}


def _goal(status: Status, explained: Explanation) -> dict[str, Any]:
    """The targets, beside the worst case of an unplanned failover by the live settings."""
    uid, topology = explained.service_uid, status.topology
    declared = next((one for one in topology.services if one.uid == uid), None)
    worst = {"worst_case_rto_ms": explained.predicted_failover_ms}
    return worst if declared is None else {**worst, "targets": topology.goal(declared)._asdict()}


def history_view(lines: list[HistoryLine]) -> dict[str, Any]:
    """GET /api/v1/history."""
    return {"history": [_history_line(line) for line in lines]}


def _history_line(line: HistoryLine) -> dict[str, Any]:
    shown: dict[str, Any] = msgspec.to_builtins(line)
    return {**shown, "at": utc_text(line.at_ms)}


def _configuration(status: Status) -> dict[str, Any]:
    known = status.configuration
    return {
        "file": known.file,
        "sha256": known.sha256,
        "in_force_since": utc_text(known.in_force_since_ms),
        "waits_for_restart": list(known.waits_for_restart),
        "last_reload": {
            "at": utc_text(known.tried_at_ms) if known.tried_at_ms else "",
            "by": known.tried_by,
            "failed": known.failed,
        },
    }


def drill_views(status: Status) -> list[dict[str, Any]]:
    """How drills of each site stand."""
    return [_drill(one) for one in status.drills]


def _drill(one: DrillStatus) -> dict[str, Any]:
    return {
        "site": one.site,
        "schedule": one.schedule,
        "next_at": utc_text(one.next_at_ms) if one.next_at_ms else "",
        "last_id": one.last_id,
        "last": one.last,
        "passed_at": utc_text(one.passed_at_ms) if one.passed_at_ms else "",
        "age_ms": one.age_ms,
        "overdue": one.overdue,
        "skipped": one.skipped,
    }


def _pairs(status: Status) -> list[dict[str, Any]]:
    return [
        {
            "sites": list(pair.sites),
            "services": [service.spec.name for service in status.services_of(pair)],
            "protected": status.pair_protected(pair),
            "drilled": status.pair_drilled(pair) is not False,
        }
        for pair in status.topology.pairs
    ]


def _wall_ms() -> int:
    return int(datetime.datetime.now(datetime.UTC).timestamp() * 1000)
