"""A store that is an older copy: what is taken over from the agents, and what is history."""

from __future__ import annotations

from controller.core.events import Event, Kind
from controller.core.model import HeldFor, Operation, Phase, Record
from controller.core.step import step
from protocol.messages import Mode, Role
from tests.controller.core.given import (
    NOW,
    UID,
    A,
    B,
    Given,
    backup_report,
    report,
    said,
)

P = Phase


def record_after(given: Given, *events: Event) -> Record:
    state = given.state()
    for count, event in enumerate(events):
        state, _ = step(state, event, NOW + count)
    return state.services[UID].record


def approval() -> Event:
    request = Given(P.HELD).asked(Kind.APPROVE, epoch=1).request
    assert request is not None
    return request


def held() -> Given:
    return Given(P.HELD, held_for=HeldFor.RESTORED).seen(heard_revision=50)


def test_the_reign_that_a_backup_knows_of_is_the_other_ones() -> None:
    """The report of the primary of epoch 2 is still one of epoch 1, late under way."""
    late = report(10, role=Role.STANDBY, epoch=1, mode=Mode.NONE)
    backup_of_it = report(50, role=Role.STANDBY, epoch=2, mode=Mode.NONE)
    record = record_after(held(), said(B, late), said(A, backup_of_it), approval())
    assert (record.held_for, record.epoch) == (HeldFor.ADOPTION, 2)
    assert (record.primary, record.backup) == (B, A)


def test_who_reigns_in_the_latest_epoch_is_taken_over() -> None:
    reigns = report(50, role=Role.PRIMARY, epoch=2, mode=Mode.ALONE)
    backup_of_it = report(50, role=Role.STANDBY, epoch=2, mode=Mode.NONE)
    record = record_after(held(), said(B, reigns), said(A, backup_of_it), approval())
    assert (record.epoch, record.primary, record.backup) == (2, B, A)


def test_agents_that_know_no_reign_change_none() -> None:
    """Both lost what they knew; the store's own reign is the latest that anybody names."""
    nothing = report(50, role=Role.DOWN, epoch=0, mode=Mode.NONE)
    record = record_after(held(), said(A, nothing), said(B, nothing), approval())
    assert (record.epoch, record.primary, record.backup) == (1, A, B)


def test_an_operation_ends_where_the_store_turns_out_to_be_an_older_copy() -> None:
    """Its history says given up; no request is refused for it afterwards."""
    moving = Operation("s-10", "failover", "an operator")
    given = Given(P.COUNTDOWN, operation=moving)
    record = record_after(given, said(B, backup_report(revision=50)))
    assert record.held_for is HeldFor.RESTORED
    assert record.operation is None
