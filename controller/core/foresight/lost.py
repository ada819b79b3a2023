"""What is imagined to be lost, and who still reaches whom then, for one service."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from controller.core.model import Record, ServiceSpec
from protocol.messages import CONTROLLER


@dataclass(frozen=True)
class Lost:
    """What is lost at once. Places are sites, and the controller's failure domain."""

    places: Collection[str] = ()
    cuts: Collection[frozenset[str]] = ()
    """Pairs of places that do not hear each other any more."""
    controller: bool = False
    controller_place: str = CONTROLLER

    @property
    def controller_lives(self) -> bool:
        return not self.controller and self.controller_place not in self.places

    def apart(self, one: str, other: str) -> bool:
        """Whether two places that live do not hear each other."""
        return one != other and frozenset((one, other)) in self.cuts


@dataclass(frozen=True)
class Links:
    """Who still reaches whom. A replica that is lost reaches nobody."""

    primary_lives: bool
    backup_lives: bool
    primary_heard: bool
    """By the controller."""
    backup_heard: bool
    between: bool
    """Whether both live and hear each other."""


def links_of(spec: ServiceSpec, record: Record, lost: Lost) -> Links:
    """Who still reaches whom of a service."""
    first, second = _site(spec, record.primary), _site(spec, record.backup)
    primary, backup = first not in lost.places, bool(second) and second not in lost.places
    centre, lives = lost.controller_place, lost.controller_lives
    return Links(
        primary_lives=primary,
        backup_lives=backup,
        primary_heard=lives and primary and not lost.apart(first, centre),
        backup_heard=lives and backup and not lost.apart(second, centre),
        between=primary and backup and not lost.apart(first, second),
    )


def _site(spec: ServiceSpec, agent: str) -> str:
    replica = spec.replica(agent)
    return replica.site if replica else ""
