"""For every row of a site without room a situation in which it fires first."""

from __future__ import annotations

from collections.abc import Callable

from controller.core.events import Kind
from controller.core.model import HeldFor, Phase
from tests.controller.core.forcing import strategic
from tests.controller.core.given import Given

P = Phase


def held_for_room(vcpu: float = 10) -> Given:
    """Nobody can be writing any more, and 16 are demanded."""
    return Given(P.HELD, held_for=HeldFor.CAPACITY).stopped().room(vcpu)


def strategic_held_for_room() -> Given:
    """It takes two people to let it come."""
    return strategic(Given(P.HELD, held_for=HeldFor.CAPACITY)).stopped().room(10)


ROOM_SITUATIONS: dict[tuple[str, Phase], Callable[[], Given]] = {
    ("room_missing", P.COUNTDOWN): lambda: Given(P.COUNTDOWN).stopped().room(10),
    ("room_found", P.HELD): lambda: held_for_room(20),
    ("over_capacity_approved", P.HELD): lambda: held_for_room().asked(Kind.APPROVE, epoch=1),
    ("over_capacity_approved_by_one", P.HELD): lambda: strategic_held_for_room().asked(
        Kind.APPROVE, epoch=1
    ),
    ("room_lost_in_drain", P.DRAINING): lambda: Given(P.DRAINING).room(10),
}
