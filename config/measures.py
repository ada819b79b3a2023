"""What a site can carry, and a service demands, measure by measure."""

from __future__ import annotations

UNITS = {
    "vcpu": "vcpu",
    "memory_gib": "GiB of memory",
    "storage_tib": "TiB of storage",
    "connections": "connections",
}
"""How each measure is told, in the order in which they are."""
