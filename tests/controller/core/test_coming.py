"""A place is kept for who could come soon by itself, and for nobody else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given as drawn
from hypothesis import settings as limits
from hypothesis import strategies as st
from msgspec.structs import replace

from controller.core.conditions.room import has_room
from controller.core.events import Kind, Requested, Tick
from controller.core.gates import room
from controller.core.gates.coming import wants_to_come
from controller.core.model import HeldFor, Hold, LastWord, Phase, ServiceState
from controller.core.moment.others import Others
from controller.core.phases import TABLE, first_row
from controller.core.site_model import Stage
from controller.core.step import step
from protocol.messages import Role
from tests.controller.core.company import company, look, of_site, renamed, vcpu
from tests.controller.core.given import NOW, Given, backup_report, primary_report

P = Phase
CAPACITY: dict[str, Any] = {"held_for": HeldFor.CAPACITY}
LOST: dict[str, Any] = {"last_word": LastWord(10**9, 0, 0, 0)}
HOLD = Hold("siti", "intruder", "service", 10**6)


def stopped(phase: Phase, told: dict[str, Any] | None = None, **record: Any) -> Given:
    return Given(phase, **record).stopped(**(told or {}))


def suspended() -> Given:
    given = stopped(P.COUNTDOWN)
    replicas = tuple(replace(r, stage=Stage.SUSPENDED) for r in given.service.spec.replicas)
    return given.seen(spec=replace(given.service.spec, replicas=replicas))


KEEPS_NONE: dict[str, Callable[[], Given]] = {
    "its backup is lost": lambda: stopped(P.COUNTDOWN).backup(None).seen(entered_ms=0),
    "its backup is lost in a drain": lambda: stopped(P.DRAINING).backup(None).seen(entered_ms=0),
    "its backup has no standby": lambda: stopped(P.COUNTDOWN, {"role": Role.DOWN}),
    "its backup is another database": lambda: stopped(
        P.COUNTDOWN, {"system_identifier": "another"}
    ),
    "its backup could promise nothing": lambda: stopped(P.COUNTDOWN, {"cannot_promise": "full"}),
    "its backup's host forbids it": lambda: stopped(P.COUNTDOWN, {"veto": "ani: repairs"}),
    "its site is suspended": suspended,
    "it is on an integrity hold": lambda: stopped(P.COUNTDOWN, hold=HOLD),
    "it is paused and held": lambda: stopped(P.HELD, paused="siti", **CAPACITY),
    "it is held, and its backup is lost": lambda: (
        stopped(P.HELD, **CAPACITY).backup(None).seen(entered_ms=0)
    ),
    "room would not be enough for it": lambda: stopped(P.HELD, **CAPACITY, **LOST),
    "it waits for a person to accept a loss": lambda: stopped(
        P.HELD, held_for=HeldFor.LOSS, **LOST
    ),
}
KEEPS: dict[str, Callable[[], Given]] = {
    "it is counted down": lambda: stopped(P.COUNTDOWN),
    "it is counted down and paused": lambda: stopped(P.COUNTDOWN, paused="siti"),
    "it is drained": lambda: Given(P.DRAINING),
    "it waits for room": lambda: stopped(P.HELD, **CAPACITY),
    "its backup has not taken this revision yet": lambda: stopped(P.HELD, {"revision": 9},
                                                                  **CAPACITY),
    "nobody was heard yet": lambda: stopped(P.COUNTDOWN).backup(None).seen(entered_ms=NOW - 100),
    "it was held for a loss, and has the whole log": lambda: stopped(
        P.HELD, {"log_taken": True}, held_for=HeldFor.LOSS
    ).primary(primary_report(fenced=True, writable=False)),
}  # fmt: skip


def strategic(given: Given) -> ServiceState:
    return renamed(given, "b", tier="strategis", demand=vcpu(20))


def lower() -> ServiceState:
    return renamed(stopped(P.COUNTDOWN), "c", tier="rendah", demand=vcpu(8))


@pytest.mark.parametrize("why", KEEPS_NONE)
def test_one_that_cannot_come_keeps_no_lower_one_out(why: str) -> None:
    state = company(strategic(KEEPS_NONE[why]()), lower(), nation=of_site(vcpu(20)))
    state, _ = step(state, Tick(), NOW)
    assert state.services["c"].record.phase is P.PROMOTING


@pytest.mark.parametrize("why", KEEPS)
def test_one_that_may_come_keeps_its_place(why: str) -> None:
    state = company(strategic(KEEPS[why]()), lower(), nation=of_site(vcpu(20)))
    assert not room.fits(look(state, "c"))


def test_what_stands_there_is_told_from_what_is_kept_and_for_whom() -> None:
    stays = renamed(Given(P.PROTECTED), "a", home="batam", demand=vcpu(40))
    kept = [renamed(stopped(P.COUNTDOWN), f"k{n}", tier="tinggi", demand=vcpu(4)) for n in range(5)]
    state = company(stays, *kept, lower(), nation=of_site(vcpu(64)))
    assert has_room.sentence(look(state, "c")) == (
        "of 64 vcpu at batam 40 are taken and 20 kept for k0, k1, k2 and 2 more, and c demands 8"
    )


def test_who_can_come_again_finds_what_is_left() -> None:
    paused = strategic(stopped(P.HELD, paused="siti", **CAPACITY))
    state = company(paused, lower(), nation=of_site(vcpu(20)))
    state, _ = step(state, Tick(), NOW)
    state, _ = step(state, Requested("r", Kind.RESUME, "b", "siti"), NOW)
    assert state.services["b"].record.phase is P.HELD
    assert "of 20 vcpu at batam 8 are taken, and b demands 20" in has_room.sentence(
        look(state, "b")
    )


PROMOTES = {row.name for row in TABLE if row.target is P.PROMOTING and has_room in row.when}
TOLD = st.fixed_dictionaries(
    {
        "role": st.sampled_from([Role.STANDBY, Role.STANDBY, Role.DOWN]),
        "veto": st.sampled_from(["", "", "ani"]),
        "cannot_promise": st.sampled_from(["", "", "full"]),
        "log_taken": st.booleans(),
        "revision": st.sampled_from([10, 10, 9]),
    }
)
RECORDS = st.fixed_dictionaries(
    {
        "held_for": st.sampled_from([HeldFor.LOSS, HeldFor.CAPACITY]),
        "paused": st.sampled_from(["", "", "siti"]),
        "hold": st.sampled_from([None, None, HOLD]),
        "last_word": st.sampled_from([None, LOST["last_word"]]),
    }
)
STAGES = (P.COUNTDOWN, P.DRAINING, P.HELD)


@limits(max_examples=300)
@drawn(st.sampled_from(STAGES), TOLD, RECORDS, st.booleans(), st.booleans(), st.integers(0, 4000))
def test_who_is_promoted_kept_a_place(
    phase: Phase, told: dict[str, Any], record: dict[str, Any], fenced: bool, released: bool,
    age_ms: int,
) -> None:  # fmt: skip
    """Else two could take the same one in one step."""
    record = record if phase is P.HELD else record | {"held_for": HeldFor.NOTHING}
    # No drain is on hold: `integrity_hold` and the invariants see to it.
    record = record | {"hold": None} if phase is P.DRAINING else record
    given = stopped(phase, **record)
    quiet = {"stopped": True, "promise_left_ms": 0, "primary_heard": False, "streaming": False}
    given.backup(backup_report(**quiet, **told), age_ms)
    if fenced or released:
        given.primary(primary_report(fenced=fenced, released=released, writable=False))
    row = first_row(given.view())
    if row is not None and row.name in PROMOTES:
        others = Others({"paspor": given.service}, given.nation, NOW)
        assert wants_to_come(given.service, others)
