"""Watches an operation until it ends, from the history that the controller writes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

from controller.cli.asking import watch
from controller.cli.client import Client
from controller.cli.wire import History, read
from controller.core.model import Phase, Transition
from controller.core.rows.row import DONE, GIVEN_UP
from controller.stores.base import HistoryLine

POLL_S = 0.2
LINES_A_LOOK = 50


class Ending(StrEnum):
    """How an operation ended, as far as it was watched."""

    DONE = DONE
    GIVEN_UP = GIVEN_UP
    HELD = "held"
    """It waits for an operator."""
    UNDER_WAY = "under way"
    """The time to watch it is over."""


@dataclass
class Course:
    """What was seen of an operation."""

    operation: str = ""
    ending: Ending = Ending.UNDER_WAY
    lines: list[HistoryLine] = field(default_factory=list)

    @property
    def outage_ms(self) -> int:
        """-1 when no change told it."""
        return max((line.transition.outage_ms for line in self.lines), default=-1)

    @property
    def loss_bytes(self) -> int:
        """At most; -1 when no change told it."""
        return max((line.transition.loss_bytes for line in self.lines), default=-1)


def last_number(client: Client, service: str) -> int:
    """The number of the newest change of a service; 0 when there is none."""
    lines = _look(client, service, 1)
    return lines[0].number if lines else 0


def follow(
    client: Client,
    service: str,
    course: Course,
    after: int,
    timeout_s: float,
    tell: Callable[[HistoryLine], None],
) -> None:
    """Tell each change later than number `after`, until the operation ends or time is over."""
    told = after

    def look() -> Ending:
        nonlocal told
        for line in sorted(_look(client, service, LINES_A_LOOK), key=lambda one: one.number):
            if line.number > told:
                told = line.number
                course.lines.append(line)
                tell(line)
        course.ending = _ending(course.lines, course.operation)
        return course.ending

    watch(look, lambda ending: ending is not Ending.UNDER_WAY, timeout_s, POLL_S)


def _ending(lines: list[HistoryLine], operation: str) -> Ending:
    mine = [line.transition for line in lines if _belongs(line.transition, operation)]
    for change in mine:
        if change.outcome:
            return Ending(change.outcome)
    if mine and mine[-1].to_phase == Phase.HELD:
        return Ending.HELD
    return Ending.UNDER_WAY


def _belongs(change: Transition, operation: str) -> bool:
    return change.operation is not None and change.operation.id == operation


def _look(client: Client, service: str, limit: int) -> list[HistoryLine]:
    return list(read(client.history(service, limit), History, "history").history)
