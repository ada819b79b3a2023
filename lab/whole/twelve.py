"""Twelve services in four sites that back each other up: what whole sites are tried with.

One site is primary for six of them, two groups that each move in their own order; the others are
primary for two each. Engines are small, for twenty-four of them stand on one machine.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from lab.base.plan import Plan, Service

SMALL = {
    "shared_buffers": "4MB",
    "max_connections": "20",
    "max_worker_processes": "2",
    "max_wal_size": "256MB",
    "io_method": "sync",
}
"""PostgreSQL's settings: a site's six engines use what one of usual size does."""

SITE = "jabodetabek"
"""The one of the six; `PARTNER` backs it up, and has services of its own."""
PARTNER = "batam"
SUPER_APP = ("kota-db", "kota-cache", "kota-files", "kota-front")
"""A group of four, in its order."""
IMMIGRATION = ("paspor", "perlintasan")
GROUPS = (SUPER_APP, IMMIGRATION)

_HERE = (SITE, PARTNER)
_THERE = (PARTNER, SITE)
_EAST = ("ikn", "labuan-bajo")
_FAR_EAST = ("labuan-bajo", "ikn")

TWELVE_SERVICES = tuple(
    replace(service, settings=SMALL)
    for service in (
        Service("kota-db", _HERE, protection="sync", group="kota", order=1),
        Service("kota-cache", _HERE, tier="tinggi", group="kota", order=2),
        Service("kota-files", _HERE, tier="tinggi", group="kota", order=3),
        Service("kota-front", _HERE, tier="rendah", group="kota", order=4),
        Service("paspor", _HERE, protection="sync", group="imigrasi", order=1),
        Service("perlintasan", _HERE, tier="tinggi", group="imigrasi", order=2),
        Service("kependudukan", _THERE, protection="sync", group="dukcapil", order=1),
        Service("akta", _THERE, tier="tinggi", group="dukcapil", order=2),
        Service("pajak", _EAST, protection="sync"),
        Service("bea-cukai", _EAST, tier="tinggi"),
        Service("rumah-sakit", _FAR_EAST, protection="sync"),
        Service("apotek", _FAR_EAST, tier="rendah"),
    )
)

BEHIND_DOORS = tuple(
    replace(service, fences={"nftables": "required"}) for service in TWELVE_SERVICES
)
"""The same in network namespaces: the kernel shuts each copy's door with its lease. Without a door
nobody promises what an engine does that wakes before its guard (docs/safety.md)."""


def rules(reason: str) -> dict[str, Any]:
    """A site that has this reason is left, and gone back to after half an hour at the soonest.

    One reason a lab: a busy machine may well make disks slow where they shall not be.
    """
    return {
        "policy": {reason: "evacuate"},
        "moves": {"dwell": "30m", "failback": "after_dwell", "at_once": 4},
    }


def twelve(directory: Path, reason: str, profile: str = "fast") -> Plan:
    """The plan of a lab in network namespaces, of which a site is left for this reason. The leases
    are those of a profile: a busy machine takes none of the longer ones from anybody."""
    services = tuple(replace(service, profile=profile) for service in BEHIND_DOORS)
    return Plan(directory, services, rules=rules(reason))
