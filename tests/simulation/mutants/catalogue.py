"""All mutants, area by area."""

from __future__ import annotations

from tests.simulation.mutants import (
    blocking,
    company,
    disks,
    fences,
    forced,
    history,
    holds,
    layers,
    leases,
    losses,
    membership,
    operators,
    plans,
    policies,
    promotion,
    records,
    reloads,
    restarts,
    switchovers,
    verdicts,
)
from tests.simulation.mutants.base import Mutant

AREAS = (
    leases, fences, layers, promotion, membership, restarts, losses, blocking, switchovers,
    records, operators, history, forced, holds, disks, company, plans, policies,
    verdicts, reloads,
)  # fmt: skip

MUTANTS: dict[str, Mutant] = {mutant.name: mutant for area in AREAS for mutant in area.MUTANTS}
