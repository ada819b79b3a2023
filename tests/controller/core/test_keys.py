"""No machine is replaced under its agent's name while leases of the old one may count."""

from __future__ import annotations

import msgspec
import pytest
from msgspec.structs import replace

from controller.core.actions import Action, Answer, SendOrder, Swap
from controller.core.configured import misfits
from controller.core.events import Configured, Tick
from controller.core.invariants import InvariantBroken, check_change
from controller.core.keys import UNLEASED
from controller.core.model import HeldFor, Phase, Record, ReplicaSpec, ServiceSpec, State
from controller.core.site_model import Nation
from controller.core.step import begin, step
from protocol.messages import Mode
from tests.controller.core.given import (
    NOW,
    UID,
    A,
    B,
    Given,
    backup_report,
    primary_report,
    record,
    said,
    spec,
)

C = "ikn-1"
LEASED = [phase for phase in Phase if phase not in UNLEASED]
KEYS = {"primary_key": "ka", "backup_key": "kb"}


def with_key(agent: str, key: str) -> ServiceSpec:
    """The same service, with another machine under that agent's name."""
    replicas = (replace(r, public_key=key) if r.agent == agent else r for r in spec().replicas)
    return replace(spec(), replicas=tuple(replicas))


def given(phase: Phase, **changes: str) -> Given:
    """A service of before this rule, unless its keys are named."""
    one = Given(phase, **changes)
    return one.held(HeldFor.LOSS) if phase is Phase.HELD else one


def reloaded(state: State, new: ServiceSpec, now_ms: int = NOW) -> tuple[State, list[Action], str]:
    """The state, what is done, and why it is refused; empty where it is taken."""
    after, actions = step(state, Configured("r1", (new,), Nation()), now_ms)
    (answer,) = (a for a in actions if isinstance(a, Answer))
    return after, actions, "" if answer.accepted else "; ".join(answer.unmet)


@pytest.mark.parametrize("keys", [KEYS, {}])
@pytest.mark.parametrize("phase", LEASED)
def test_another_machine_under_the_backups_name_is_refused_while_leases_of_the_old_one_may_count(
    phase: Phase, keys: dict[str, str]
) -> None:
    """Also where the record is older than its keys: the one declared until now is in force."""
    before = given(phase, **keys).state()
    after, actions, refused = reloaded(before, with_key(B, "another"))
    assert (after, len(actions)) == (before, 1)
    assert f"{B} has the public key kb, and the configuration says another" in refused
    assert "`saling maintenance begin --service paspor --for 1h" in refused
    assert "the pair is armed anew" in refused


@pytest.mark.parametrize("phase", LEASED)
def test_so_is_one_under_the_primarys_name_whose_word_would_prove_a_fence(phase: Phase) -> None:
    before = given(phase, **KEYS).state()
    after, _, refused = reloaded(before, with_key(A, "another"))
    assert after == before
    assert f"{A} has the public key ka, and the configuration says another" in refused
    assert "`saling switchover paspor`" in refused


@pytest.mark.parametrize("phase", LEASED)
@pytest.mark.parametrize("agent", [A, B])
def test_a_controller_does_not_begin_to_lead_with_such_a_file(phase: Phase, agent: str) -> None:
    """The service is served on under the leases of its old backup."""
    (unfit,) = misfits(with_key(agent, "another"), record(phase, **KEYS))
    assert "and the configuration says another" in unfit
    assert misfits(spec(), record(phase, **KEYS)) == ()


@pytest.mark.parametrize("phase", LEASED)
def test_a_record_that_is_older_than_its_keys_hinders_no_start(phase: Phase) -> None:
    assert misfits(with_key(B, "another"), record(phase)) == ()


@pytest.mark.parametrize("phase", UNLEASED)
@pytest.mark.parametrize("agent", [A, B])
def test_where_nobody_may_be_promoted_another_key_is_taken(phase: Phase, agent: str) -> None:
    _, _, refused = reloaded(given(phase).state(), with_key(agent, "another"))
    assert refused == ""
    assert misfits(with_key(agent, "another"), record(phase)) == ()


@pytest.mark.parametrize("phase", LEASED)
def test_the_key_of_a_spare_copy_is_taken(phase: Phase) -> None:
    spare = ReplicaSpec(C, "ikn", 3, "10.0.0.3:5432", "10.0.0.3:8701", "kc")
    three = replace(spec(), replicas=(*spec().replicas, spare))
    before, _, _ = reloaded(given(phase, **KEYS).state(), three)
    other = replace(three, replicas=(*spec().replicas, replace(spare, public_key="another")))
    _, _, refused = reloaded(before, other)
    assert refused == ""


def test_a_primary_that_writes_under_leases_of_the_old_machine_gets_no_rival() -> None:
    """It hears the controller no more; its old backup goes on granting and is heard no more."""
    cut_off = given(Phase.PROTECTED, **KEYS).primary(None)
    cut_off.seen(proven_ms=NOW - 60_000, entered_ms=NOW - 120_000, promise_end_ms=NOW - 50_000)
    state, _ = step(cut_off.state(), Tick(), NOW)
    state, _, refused = reloaded(state, with_key(B, "another"))
    assert refused
    stored = state.services[UID].record
    assert misfits(with_key(B, "another"), stored)
    orders = [
        order.assignment.partner
        for order in step(state, Tick(), NOW + 1000)[1]
        if isinstance(order, SendOrder) and order.agent == A
    ]
    assert all(partner is not None and partner.public_key == "kb" for partner in orders)


def test_alone_the_new_machine_is_armed_under_its_key_as_a_new_set_of_grantors() -> None:
    aware = given(Phase.ALONE).primary(primary_report(mode=Mode.ALONE))
    state, _, refused = reloaded(aware.state(), with_key(B, "another"))
    assert refused == ""
    # The last word of the old machine, which was ready, arms nobody.
    assert state.services[UID].record == aware.service.record
    assert list(state.services[UID].reports) == [A]
    for now in (NOW + 100, NOW + 1200, NOW + 2400):
        state = _both_say(state, now, Mode.ALONE)
    arming = state.services[UID].record
    assert (arming.phase, arming.grantor_set) == (Phase.ARMING, 2)
    assert (arming.primary_key, arming.backup_key) == ("ka", "another")
    _, _, refused = reloaded(state, spec(), NOW + 2500)
    assert f"{B} has the public key another, and the configuration says kb" in refused
    state = _both_say(state, NOW + 2500, Mode.LEASED)
    armed = state.services[UID].record
    assert (armed.phase, armed.backup_key) == (Phase.PROTECTED, "another")


def _both_say(state: State, now_ms: int, mode: Mode) -> State:
    revision = state.services[UID].record.revision
    alive = replace(state.services[UID], proven_ms=now_ms, proven_revision=revision)
    state = replace(state, services={UID: alive})
    state, _ = step(state, said(A, primary_report(revision=revision, mode=mode)), now_ms)
    return step(state, said(B, backup_report(revision=revision)), now_ms)[0]


def test_an_older_record_takes_the_declared_keys_at_its_next_change() -> None:
    silent = given(Phase.PROTECTED).silent()
    _, actions = step(silent.state(), Tick(), NOW)
    (begun,) = (a.record for a in actions if isinstance(a, Swap))
    assert (begun.phase, begun.primary_key, begun.backup_key) == (Phase.COUNTDOWN, "ka", "kb")


def test_a_promotion_leaves_both_keys_behind_until_the_pair_is_armed() -> None:
    over = given(Phase.COUNTDOWN, **KEYS).stopped()
    _, actions = step(over.state(), Tick(), NOW)
    (promoted,) = (a.record for a in actions if isinstance(a, Swap))
    assert promoted.phase is Phase.PROMOTING
    assert (promoted.primary_key, promoted.backup_key) == ("", "")


def test_a_change_that_replaces_a_machine_among_leases_is_a_broken_invariant() -> None:
    old = record(Phase.PROTECTED, **KEYS)
    for key in KEYS:
        new = replace(old, revision=11, phase=Phase.COUNTDOWN, **{key: "another"})
        with pytest.raises(InvariantBroken, match="no machine is replaced"):
            check_change(old, new)
    check_change(record(Phase.PROTECTED), replace(old, revision=11))


def test_a_record_of_before_the_keys_is_read() -> None:
    fields = msgspec.to_builtins(record(Phase.PROTECTED))
    del fields["primary_key"], fields["backup_key"]
    old = msgspec.convert(fields, Record)
    assert (old.primary_key, old.backup_key) == ("", "")
    assert begin([spec()], {UID: old}, 1, "g", NOW).services[UID].record == old
