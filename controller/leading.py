"""The first state of a controller that begins to lead, from the configuration and the store."""

from __future__ import annotations

import time
from collections.abc import Callable

import structlog
from msgspec.structs import replace

from config.topology import Topology
from controller.core.configured import begun
from controller.core.model import State
from controller.core.plan_model import OVER, Moved
from controller.core.plans.going import take_up
from controller.core.sites.cautions import resumed
from controller.core.step import begin, found
from controller.specs import move_rules, nation, require_fit, service_specs
from controller.stores.base import Plans, Store, StoredPlan

log = structlog.get_logger("controller")


def lead(
    store: Store, topology: Topology, clock: Callable[[], int]
) -> tuple[State, dict[str, str]]:
    """Begin a term, found what is new; the first state, and the records that cannot be read.

    Raises StoreError, RecordUnfit.
    """
    term = store.begin_term()
    stored = store.records()
    declared = begun(service_specs(topology))
    usable = [spec for spec in declared if spec.uid not in stored.broken]
    for spec in usable:
        if spec.uid in stored.records:
            require_fit(spec, stored.records[spec.uid])
        else:
            store.insert(found(spec, term))
    records = store.records().records
    state = begin(usable, records, term, store.generation, clock(), nation(topology))
    cautioned = resumed(state.nation, store.cautions(), time.time_ns() // 1_000_000, clock())
    state = replace(state, nation=cautioned, move_rules=move_rules(topology))
    return _with_plans(state, store.plans(), clock()), stored.broken


def _with_plans(state: State, stored: Plans, now_ms: int) -> State:
    """The plan that is not over goes on; of those that are it is known how long ago."""
    for plan_id, why in stored.broken.items():
        log.error("a plan cannot be read; it is left alone", plan=plan_id, why=why)
    over = [one for one in reversed(stored.plans) if one.plan.status in OVER]
    under_way = next((one.plan for one in stored.plans if one.plan.status not in OVER), None)
    past = tuple(_moved(one, now_ms) for one in over)
    return take_up(state, under_way, past, stored.made, now_ms)


def _moved(one: StoredPlan, now_ms: int) -> Moved:
    """How long ago it was over is told by wall time: nobody gets the right to write by it."""
    plan, ahead_ms = one.plan, time.time_ns() // 1_000_000 - now_ms
    begun_ms = min(now_ms, one.begun_at_ms - ahead_ms)
    ended_ms = min(now_ms, one.changed_at_ms - ahead_ms)
    return Moved(plan.id, plan.kind, plan.site, plan.status, begun_ms, ended_ms, plan.by_policy)
