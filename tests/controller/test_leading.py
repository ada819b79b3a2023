"""What a life of the controller learns of the plans of those before it."""

from __future__ import annotations

from config.loader import load_topology
from controller.core.plan_model import Plan, PlanKind, PlanStatus
from controller.core.plans.asking import dwell_left_ms
from controller.leading import lead
from controller.stores.sqlite import SqliteStore
from tests.controller.cluster import Cluster

NOW_MS = 10**9


def test_a_new_life_knows_when_a_site_was_left_however_many_plans_came_since(
    cluster: Cluster,
) -> None:
    topology = load_topology(cluster.config).value
    store = SqliteStore(topology.store.path, "c1")
    term = store.begin_term()
    leave = (PlanKind.EVACUATE, "jabodetabek")
    for number, (kind, site) in enumerate((leave, *[(PlanKind.DRILL, "batam")] * 20), 1):
        one = Plan(f"{kind.value}-{site}-{number}", kind, site, "siti", number=number,
                   status=PlanStatus.DONE)  # fmt: skip
        assert store.save_plan(one, 0, term, ())
    state, _broken = lead(store, topology, lambda: NOW_MS)
    store.close()
    assert dwell_left_ms(state, "jabodetabek", NOW_MS) > 0
    assert dwell_left_ms(state, "batam", NOW_MS) == 0
    assert [one.site for one in state.plan_memory.past] == ["jabodetabek"]
    assert state.plan_memory.made == 21
