"""All kinds of faults: what can be done, and what can be drawn."""

from __future__ import annotations

from simulator.faults import (
    configuration,
    disks,
    engines,
    hosts,
    hub,
    network,
    operators,
    plans,
    sites,
    store,
    vetoes,
)
from simulator.faults.base import Draw, Verb

AREAS = (network, hub, store, hosts, engines, disks, operators, configuration, vetoes, sites, plans)

VERBS: dict[str, Verb] = {verb.name: verb for area in AREAS for verb in area.VERBS}
DRAWS: dict[str, Draw] = {kind: draw for area in AREAS for kind, draw in area.DRAWS.items()}
