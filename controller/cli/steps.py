"""What a switchover or a failover will do, told by the table of phases itself.

The steps are the sentences of the rows that fire when nothing goes wrong, so that what is
shown beforehand is what history says afterwards.
"""

from __future__ import annotations

from controller.cli.figures import duration, estimate, size
from controller.core.explanation.explain import Explanation
from controller.core.phases import TABLE
from controller.core.rows.row import Row

SWITCHOVER = ("switchover", "drained", "promoted", "routed", "backup_ready", "armed")
FAILOVER = ("failover_asked", "fence_certain", "promoted", "routed", "backup_ready", "armed")

PLANS = {"switchover": SWITCHOVER, "failover": FAILOVER}


def rows(kind: str) -> tuple[Row, ...]:
    """The rows that a request of this kind goes through."""
    by_name = {row.name: row for row in TABLE}
    return tuple(by_name[name] for name in PLANS[kind])


def steps(kind: str, service: Explanation) -> tuple[str, ...]:
    """One sentence a step, with the phase it leads to."""
    told = []
    promoted = False
    for row in rows(kind):
        told.append(f"{row.target.value}: {row.because.format(**_facts(service, promoted))}")
        promoted = promoted or row.target.value == "PROMOTING"
    return tuple(told)


def _facts(service: Explanation, promoted: bool) -> dict[str, str]:
    """The figures that the sentences of these rows may name."""
    old, new = service.primary, service.backup
    return {
        "service": service.service,
        "primary": new if promoted else old,
        "backup": old if promoted else new,
        "epoch": str(service.epoch + promoted),
        "silence": duration(service.proven_ago_ms) if service.proven_ago_ms >= 0 else "ever",
        "over_capacity": "",
        "loss": size(service.loss_bytes),
        "estimated_loss": estimate(service.loss_bytes),
    }
