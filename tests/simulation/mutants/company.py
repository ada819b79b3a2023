"""Groups and room: who goes first, and what a site takes."""

from __future__ import annotations

import dataclasses

from msgspec.structs import replace

from controller.core.conditions import room as room_conditions
from controller.core.gates import room, turns
from controller.core.model import Approval, Phase, ServiceState
from controller.core.moment.others import Others
from controller.core.moment.view import View
from controller.core.rows.row import Row
from controller.core.site_model import SiteSpec
from simulator.setting import ServiceSetting
from simulator.strike import Strike
from tests.simulation.mutants.base import (
    WRITERS,
    Mutant,
    Patch,
    allow_any_change,
    always,
    ask_instead,
    change_rows,
    drop_rows,
)
from tests.simulation.night import Company, member


def order_is_ignored(patch: Patch) -> None:
    """Whoever is ready first is promoted first."""
    always(patch, room_conditions.in_turn)


def silent_ones_are_overtaken(patch: Patch) -> None:
    """Only who is counted down already is waited for, and not who is silent on the same host."""
    patch.setattr(Others, "falls_silent", lambda _others, _service: False)


def held_ones_are_waited_for(patch: Patch) -> None:
    """One that is held is on its way as well, and waited for without an end."""
    way = turns._is_on_its_way

    def held_too(service: ServiceState, others: Others, long_ms: int) -> bool:
        return way(service, others, long_ms) or service.record.phase is Phase.HELD

    patch.setattr(turns, "_is_on_its_way", held_too)
    patch.setattr(turns, "patience_ms", lambda _record, _earlier: 2**40)


def capacity_is_ignored(patch: Patch) -> None:
    """A site takes what comes."""
    always(patch, room_conditions.has_room)
    ask_instead(patch, room_conditions.no_room, lambda _view: False)


def lower_tiers_come_first(patch: Patch) -> None:
    """The strategic take what is left."""
    rank = room.rank

    def upside_down(service: ServiceState, site: SiteSpec) -> room.Rank:
        given_up, tier, order, name = rank(service, site)
        return given_up, -tier, order, name

    patch.setattr(room, "rank", upside_down)


def small_ones_take_what_a_higher_tier_waits_for(patch: Patch) -> None:
    """Whatever fits is taken, also where one of a higher tier waits for more room."""
    rank = room.rank

    def one_class(service: ServiceState, site: SiteSpec) -> room.Rank:
        given_up, tier, order, name = rank(service, site)
        return given_up, 0, 1000 * tier + order, name

    patch.setattr(room, "rank", one_class)


def drain_is_not_asked_for_room(patch: Patch) -> None:
    """A move that has begun takes room that a higher tier wants meanwhile."""

    def blind(row: Row) -> Row:
        return without(row, "has_room") if row.name == "drained" else row

    change_rows(patch, blind)
    drop_rows(patch, "room_lost_in_drain")


def without(row: Row, name: str) -> Row:
    """The row without one of its conditions."""
    return dataclasses.replace(row, when=tuple(c for c in row.when if c.name != name))


def held_for_capacity_asks_for_no_fence(patch: Patch) -> None:
    """Held, and promoted from there, before every lease has run out."""
    rows = ("room_missing", "room_found")
    change_rows(patch, lambda row: without(row, "fence_certain") if row.name in rows else row)
    allow_any_change(patch)


def one_person_lets_the_strategic_come(patch: Patch) -> None:
    """Leave to come over capacity takes one person, whatever the tier."""

    def alone(view: View) -> bool:
        approval = view.record.approval
        return isinstance(approval, Approval) and approval.over_capacity

    patch.setattr(View, "may_exceed", property(alone))


_LOST = Strike(9_000, "crash-host", ("alpha",), 12_000)
_TWO = (member("s1", 1), member("s2", 2))
_RANKS = (
    member("s1", demand=4, tier="rendah"),
    member("s2", demand=4, tier="strategis"),
)
_FULL = ServiceSetting("s3", "bravo", "charlie", demand=8)

MUTANTS = (
    Mutant(
        order_is_ignored, "groups", ("order",), seconds=20,
        night=Company(_LOST, services=_TWO),
    ),
    Mutant(
        silent_ones_are_overtaken, "groups", ("order",), seconds=20,
        night=Company(
            _LOST, services=(member("s1", 1, lease="standard"), member("s2", 2, lease="tight"))
        ),
    ),
    Mutant(
        held_ones_are_waited_for, "groups", ("takeover",), "dead_site", seconds=20,
        night=Company(
            services=(member("s1", 1, loss_bound_bytes=1, write_bytes=20_000), member("s2", 2))
        ),
    ),
    Mutant(
        capacity_is_ignored, "room", ("capacity",), seconds=20,
        night=Company(_LOST, services=_RANKS, cores=7),
    ),
    Mutant(
        lower_tiers_come_first, "room", ("capacity",), seconds=20,
        night=Company(_LOST, services=_RANKS, cores=7),
    ),
    Mutant(
        small_ones_take_what_a_higher_tier_waits_for, "room", ("capacity",), seconds=20,
        night=Company(
            _LOST, services=(member("s1", demand=2), replace(_RANKS[1], demand=9)), cores=7
        ),
    ),
    Mutant(
        drain_is_not_asked_for_room, "room", ("capacity",), seconds=20,
        night=Company(
            Strike(9_000, "hang-engine", ("alpha", "s2"), 9_000),
            *(Strike(9_700 + 60 * n, "switchover", ("s1",)) for n in range(12)),
            services=_RANKS, cores=7,
        ),
    ),
    Mutant(
        held_for_capacity_asks_for_no_fence, "room", WRITERS, seconds=20,
        night=Company(
            Strike(9_000, "isolate", ("alpha",), 12_000),
            Strike(11_400, "switchover", ("s3",)),
            services=(member("s1", lease="standard", demand=4), _FULL), cores=8,
        ),
    ),
    Mutant(
        one_person_lets_the_strategic_come, "room", ("capacity",), seconds=20,
        night=Company(
            _LOST, Strike(13_000, "approve", ("s1",)),
            services=(member("s1", demand=4, tier="strategis"), _FULL), cores=8,
        ),
    ),
)  # fmt: skip
