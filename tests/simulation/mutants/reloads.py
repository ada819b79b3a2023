"""A configuration that is read anew: what was promised is not forgotten, and no right changes
under the same revision."""

from __future__ import annotations

from msgspec.structs import replace

from controller.core import step as controller_step
from controller.core.configured import redeclared
from controller.core.model import ServiceSpec, ServiceState
from simulator.strike import Strike
from tests.simulation.mutants.base import WRITERS, Mutant, Patch
from tests.simulation.night import Night


def reload_forgets_promises(patch: Patch) -> None:
    """What was granted before the configuration was read anew counts no more."""

    def forgetful(service: ServiceState, spec: ServiceSpec) -> ServiceState:
        return replace(redeclared(service, spec), promise_end_ms=0)

    patch.setattr(controller_step, "redeclared", forgetful)


def reload_changes_terms_under_one_revision(patch: Patch) -> None:
    """Other lease times are put into the record under the revision that it has."""

    def hasty(service: ServiceState, spec: ServiceSpec) -> ServiceState:
        record = replace(service.record, terms=spec.terms)
        return replace(redeclared(service, spec), record=record, promise_end_ms=0)

    patch.setattr(controller_step, "redeclared", hasty)


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

MUTANTS = (
    Mutant(reload_forgets_promises, "7", WRITERS, seconds=25, night=RELOADED),
    Mutant(reload_changes_terms_under_one_revision, "7", WRITERS, seconds=25, night=SHORTER),
)
