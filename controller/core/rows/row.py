"""One row of the table of phases: when it fires, what it makes of the record, and its sentence."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from msgspec.structs import replace

from controller.core.conditions.condition import Condition
from controller.core.conditions.facts import told
from controller.core.keys import with_keys
from controller.core.model import Phase, Record
from controller.core.moment import loss
from controller.core.moment.view import View
from controller.core.rows.effects import Effect, nothing_else

DONE = "done"
GIVEN_UP = "given up"


@dataclass(frozen=True)
class Row:
    """From a phase to a phase, when all conditions hold, because of this."""

    name: str
    source: Phase
    target: Phase
    when: tuple[Condition, ...]
    because: str
    effect: Effect = nothing_else
    outcome: str = ""
    """What this row makes of the operation under way, if it ends it."""
    aside: bool = False
    """It explains nothing of the phase: the record keeps the sentence that does."""

    @cached_property
    def asks(self) -> frozenset[str]:
        """The names of its conditions."""
        return frozenset(condition.name for condition in self.when)

    def holds(self, view: View) -> bool:
        # A plain loop, for this is most of a step's work and `all` takes twice as long.
        for condition in self.when:  # noqa: SIM110
            if not condition.test(view):
                return False
        return True

    def unmet(self, view: View) -> tuple[str, ...]:
        """What is missing for this row, a sentence each."""
        return tuple(x.sentence(view) for x in self.when if not x(view))

    def sentence(self, view: View) -> str:
        """The operator's sentence, with the figures of the moment."""
        return told(self.because, view)

    def apply(self, view: View, term: int) -> Record:
        """The record as this row leaves it."""
        changes = {"revision": view.record.revision + 1, "term": term, "phase": self.target}
        if not self.aside:
            changes["because"] = self.sentence(view)
        new = replace(view.record, **(changes | self.effect(view)))
        had_bytes = loss.had_bytes(view.service, view.record, new)
        return with_keys(view.record, replace(new, backup_had_bytes=had_bytes), view.spec)
