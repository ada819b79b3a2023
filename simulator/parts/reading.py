"""What a life of the controller reads: records and plans as they were written, and the sites."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from msgspec.structs import replace

from controller.core.model import Record, ServiceSpec
from controller.core.plan_model import Plan
from controller.core.site_model import Nation
from controller.core.sites.probes import with_probe_lists


def reread(record: Record) -> Record:
    """What a new life reads is what was written."""
    return msgspec.json.decode(msgspec.json.encode(record), type=Record)


def plan_reread(plan: Plan) -> Plan:
    """The same of a plan."""
    return msgspec.json.decode(msgspec.json.encode(plan), type=Plan)


def staged(nation: Nation, specs: Iterable[ServiceSpec]) -> Nation:
    """The sites in the stage that the copies there are declared in."""
    stages = {replica.site: replica.stage for spec in specs for replica in spec.replicas}
    sites = {
        name: replace(site, spec=replace(site.spec, stage=stages.get(name, site.spec.stage)))
        for name, site in nation.sites.items()
    }
    return with_probe_lists(replace(nation, sites=sites))
