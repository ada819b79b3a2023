"""The conditions of the table of phases: one question each, with a sentence for yes and for no.

The sentences are what `explain`, a refusal and the page show. They are filled with the
facts of the moment (`facts`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from controller.core.conditions.facts import told
from controller.core.events import Kind
from controller.core.model import HeldFor, Phase
from controller.core.moment.view import View


@dataclass(frozen=True)
class Condition:
    """A named question about a view."""

    name: str
    test: Callable[[View], bool]
    yes: str
    no: str

    def __call__(self, view: View) -> bool:
        return self.test(view)

    def sentence(self, view: View) -> str:
        """What is the case now, in words."""
        return told(self.yes if self.test(view) else self.no, view)


ASKED_FOR = {kind: f"asked_for_{kind.value}" for kind in Kind}
"""The name of the condition that an operator asks for this."""


def asked(kind: Kind) -> Condition:
    """An operator asks for this."""
    return Condition(
        ASKED_FOR[kind],
        lambda v: v.request is not None and v.request.kind is kind,
        f"an operator asks for {kind.value}",
        f"no operator asks for {kind.value}",
    )


def held_for(reason: HeldFor) -> Condition:
    """A HELD service waits for this."""
    return Condition(
        f"held_for_{reason.value}",
        lambda v: v.record.phase is Phase.HELD and v.record.held_for is reason,
        f"the service is held for {reason.value}",
        f"the service is not held for {reason.value}",
    )


def not_held_for(reason: HeldFor) -> Condition:
    """A HELD service waits for something else."""
    held = held_for(reason)
    return Condition(f"not_{held.name}", lambda v: not held.test(v), held.no, held.yes)
