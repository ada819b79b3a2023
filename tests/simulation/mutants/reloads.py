"""A configuration that is read anew: what was promised is not forgotten, no right changes under the
same revision, and nobody is moved to a site that is not in use."""

from __future__ import annotations

from msgspec.structs import replace

from controller.core import step as controller_step
from controller.core.conditions import stage as stage_conditions
from controller.core.configured import redeclared
from controller.core.model import ServiceSpec, ServiceState
from controller.core.rows.stage import STAGE_ROWS
from simulator.strike import Strike
from tests.simulation.mutants.base import WRITERS, Mutant, Patch, always, drop_rows
from tests.simulation.night import Night


def reload_forgets_promises(patch: Patch) -> None:
    """What was granted before the configuration was read anew counts no more."""

    def forgetful(service: ServiceState, spec: ServiceSpec, now_ms: int) -> ServiceState:
        return replace(redeclared(service, spec, now_ms), promise_end_ms=0)

    patch.setattr(controller_step, "redeclared", forgetful)


def reload_changes_terms_under_one_revision(patch: Patch) -> None:
    """Other lease times are put into the record under the revision that it has."""

    def hasty(service: ServiceState, spec: ServiceSpec, now_ms: int) -> ServiceState:
        record = replace(service.record, terms=spec.terms)
        return replace(redeclared(service, spec, now_ms), record=record, promise_end_ms=0)

    patch.setattr(controller_step, "redeclared", hasty)


def suspended_site_takes_over(patch: Patch) -> None:
    """The stage of a site says nothing of who may be moved to it."""
    always(patch, stage_conditions.backup_in_use)
    drop_rows(patch, *(row.name for row in STAGE_ROWS))


RELOADED = Night(
    Strike(10_000, "cut", ("alpha", "bravo"), 20_000),
    Strike(16_300, "isolate", ("alpha",), 20_000),
    Strike(17_000, "reload-loss-bound", ("s1", "16000000")),
    Strike(18_200, "reload-loss-bound", ("s1", "16000001")),
    lease="standard",
)
"""Only the controller renews a long lease, and reads another configuration after the last one."""

SHORTER = Night(
    Strike(10_000, "cut", ("alpha", "bravo"), 20_000),
    Strike(16_300, "isolate", ("alpha",), 20_000),
    Strike(16_310, "reload-lease", ("s1", "tight")),
    lease="standard",
)
"""The same, with a short lease in the file."""

SUSPENDED = Night(
    Strike(9_000, "reload-stage", ("bravo", "suspended")),
    Strike(10_000, "isolate", ("alpha",), 20_000),
)
"""The backup's site is suspended, and then the primary is lost."""

MUTANTS = (
    Mutant(reload_forgets_promises, "7", WRITERS, seconds=25, night=RELOADED),
    Mutant(reload_changes_terms_under_one_revision, "7", WRITERS, seconds=25, night=SHORTER),
    Mutant(suspended_site_takes_over, "6", ("stage",), night=SUSPENDED),
)
