"""A store that is an older copy: what is taken over from the agents."""

from __future__ import annotations

from controller.core.events import Event, Kind
from controller.core.model import HeldFor, Phase, Record
from controller.core.step import step
from protocol.messages import Mode, ReplicaReport, Role
from tests.controller.core.given import NOW, UID, A, B, Given, report, said


def adopted(of_a: ReplicaReport, of_b: ReplicaReport) -> Record:
    """What becomes of the store's record of epoch 1, A's reign, when an operator approves."""
    given = Given(Phase.HELD, held_for=HeldFor.RESTORED).seen(heard_revision=50)
    approval = given.asked(Kind.APPROVE, epoch=1).request
    assert approval is not None
    state = given.state()
    events: tuple[Event, ...] = (said(A, of_a), said(B, of_b), approval)
    for event in events:
        state, _ = step(state, event, NOW)
    return state.services[UID].record


def standby(revision: int, epoch: int, primary: str = "") -> ReplicaReport:
    return report(revision, role=Role.STANDBY, epoch=epoch, mode=Mode.NONE, primary=primary)


def test_whose_the_latest_reign_is_is_said_by_whoever_knows_it() -> None:
    """The report of its primary is late and still one of the epoch before."""
    record = adopted(of_a=standby(50, 2, primary=B), of_b=standby(10, 1, primary=A))
    assert (record.held_for, record.epoch) == (HeldFor.ADOPTION, 2)
    assert (record.primary, record.backup) == (B, A)


def test_an_agent_of_the_version_before_reigns_where_it_may_write() -> None:
    """It names nobody."""
    reigns = report(50, role=Role.PRIMARY, epoch=2, mode=Mode.ALONE)
    record = adopted(of_a=standby(50, 2), of_b=reigns)
    assert (record.epoch, record.primary, record.backup) == (2, B, A)


def test_the_reign_of_the_store_stays_where_no_agent_knows_a_later_one() -> None:
    """Both agents restarted, and may not write by themselves."""
    record = adopted(of_a=standby(50, 1, primary=A), of_b=standby(50, 1, primary=A))
    assert (record.epoch, record.primary, record.backup) == (1, A, B)


def test_agents_that_know_no_reign_at_all_change_none() -> None:
    record = adopted(of_a=standby(50, 0), of_b=standby(50, 0))
    assert (record.epoch, record.primary, record.backup) == (1, A, B)
