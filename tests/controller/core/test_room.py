"""A site takes no more than it can carry, the strategic first, whoever asks first."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import assume
from hypothesis import given as drawn
from hypothesis import settings as limits
from hypothesis import strategies as st
from msgspec.structs import replace

from config.tiers import TIERS
from controller.core.conditions.pair import backup_stands, primary_heard
from controller.core.conditions.room import has_room
from controller.core.events import Kind, Requested, Tick
from controller.core.explanation.advice import advice
from controller.core.gates import room
from controller.core.model import Approval, HeldFor, LastWord, Phase, ServiceState, State
from controller.core.moment.others import Others
from controller.core.moment.view import APPROVAL_GOOD_FOR_MS, View
from controller.core.phases import first_row
from controller.core.site_model import Load, SiteSpec
from controller.core.step import step
from protocol.messages import Role
from tests.controller.core.company import TARGET, company, look, of_site, renamed, vcpu
from tests.controller.core.forcing import strategic
from tests.controller.core.given import MIB, NOW, Given, filling, primary_report
from tests.controller.core.rooming import held_for_room, strategic_held_for_room


def counted(name: str, tier: str, demand: float, order: int = 0) -> ServiceState:
    given = Given(Phase.COUNTDOWN).stopped()
    return renamed(given, name, tier=tier, demand=vcpu(demand), order=order)


def resident(name: str, demand: float, phase: Phase = Phase.PROTECTED) -> ServiceState:
    return renamed(Given(phase), name, home=TARGET, demand=vcpu(demand))


def settled(state: State) -> dict[str, Phase]:
    for _ in range(3):
        state, _ = step(state, Tick(), NOW)
    return {name: service.record.phase for name, service in state.services.items()}


@pytest.mark.parametrize("names", list(itertools.permutations("abcd")))
def test_the_strategic_come_first_and_the_rest_is_held(names: tuple[str, ...]) -> None:
    of = {
        "a": resident("a", 40),
        "b": counted("b", "rendah", 8),
        "c": counted("c", "tinggi", 16),
        "d": counted("d", "strategis", 8),
    }
    state = company(*(of[n] for n in names), nation=of_site(vcpu(64)))
    phases = settled(state)
    assert [phases[n] for n in "bcd"] == [Phase.HELD, Phase.PROMOTING, Phase.PROMOTING]


def test_the_sentence_has_the_arithmetic_and_what_releases_it() -> None:
    state = company(resident("a", 50), counted("b", "tinggi", 16), nation=of_site(vcpu(64)))
    state, _ = step(state, Tick(), NOW)
    record = state.services["b"].record
    assert (record.phase, record.held_for) == (Phase.HELD, HeldFor.CAPACITY)
    assert record.because == (
        "held: of 64 vcpu at batam 50 are taken, and b demands 16; once there is room, or with "
        "`saling approve b --epoch 1 --reason TEXT`, it goes on, if nothing else keeps batam-1 "
        "from taking over"
    )


def test_a_lower_tier_does_not_take_the_room_that_is_too_small_for_a_higher_one() -> None:
    both = (counted("b", "strategis", 20), counted("c", "rendah", 8))
    state = company(resident("a", 50), *both, nation=of_site(vcpu(64)))
    assert settled(state) == {"a": Phase.PROTECTED, "b": Phase.HELD, "c": Phase.HELD}
    assert "b goes first" in has_room.sentence(look(state, "c"))


def test_what_is_given_up_comes_last_whatever_its_tier() -> None:
    both = (counted("b", "strategis", 8), counted("c", "rendah", 8))
    state = company(*both, nation=of_site(vcpu(10), gives_up=("b",)))
    assert settled(state) == {"b": Phase.HELD, "c": Phase.PROMOTING}


def test_one_that_is_silent_on_the_same_dead_host_is_counted_before_its_countdown() -> None:
    quiet = Given(Phase.PROTECTED).silent(1700)
    quiet.seen(primary_heard_ms=NOW - 1700, entered_ms=0)
    first = renamed(quiet, "first", tier="strategis", demand=vcpu(10))
    state = company(first, counted("second", "rendah", 10), nation=of_site(vcpu(10)))
    assert not room.fits(look(state, "second"))


def test_what_nobody_declares_and_what_nobody_demands_is_not_limited() -> None:
    only_memory = counted("b", "tinggi", 0)
    only_memory = replace(
        only_memory, spec=replace(only_memory.spec, demand=Load(memory_gib=10**6))
    )
    full = (resident("a", 64), only_memory, counted("c", "rendah", 0))
    assert settled(company(*full, nation=of_site(vcpu(64))))["b"] is Phase.PROMOTING
    assert settled(company(*full, nation=of_site(vcpu(64))))["c"] is Phase.PROMOTING
    assert settled(company(*full, counted("d", "tinggi", 9), nation=of_site(None)))["d"] is (
        Phase.PROMOTING
    )


@pytest.mark.parametrize("phase", [Phase.PROTECTED, Phase.PROMOTING, Phase.COUNTDOWN, Phase.HELD])
def test_what_is_primary_there_counts_in_every_phase(phase: Phase) -> None:
    state = company(
        resident("a", 60, phase), counted("b", "strategis", 8), nation=of_site(vcpu(64))
    )
    assert not room.fits(look(state, "b"))


def test_from_held_it_goes_on_by_itself_once_there_is_room() -> None:
    row = first_row(held_for_room(20).view())
    assert row is not None and row.name == "room_found"


def test_held_for_capacity_promotes_nobody_while_a_lease_may_live() -> None:
    held = held_for_room(20).seen(promise_end_ms=NOW + 500)
    assert first_row(held.view()) is None


def test_a_primary_that_is_back_ends_it() -> None:
    back = held_for_room().primary(primary_report(role=Role.STANDBY, writable=False))
    row = first_row(back.view())
    assert row is not None and row.name == "primary_back_in_hold"


def test_an_approval_lets_it_come_and_is_good_for_ten_minutes() -> None:
    given = Given(Phase.COUNTDOWN, approval=Approval("siti", 1, -1, over_capacity=True)).stopped()
    given.room(10).seen(approved_ms=NOW - 1000)
    row = first_row(given.view())
    assert row is not None and row.name == "fence_certain"
    old = given.seen(approved_ms=NOW - APPROVAL_GOOD_FOR_MS)
    assert not room.fits(old.view())


def test_an_approval_of_a_loss_makes_no_room() -> None:
    given = Given(Phase.COUNTDOWN, approval=Approval("siti", 1, 10**9, "", 10**6)).stopped()
    assert not room.fits(given.room(10).seen(approved_ms=NOW).view())


def test_leave_to_come_over_capacity_bears_no_loss_not_even_an_unknown_one() -> None:
    leave = Approval("siti", 1, -1, over_capacity=True)
    given = Given(Phase.COUNTDOWN, approval=leave).stopped(position_bytes=0).room(10)
    row = first_row(given.seen(approved_ms=NOW).view())
    assert row is not None and row.name == "loss_too_large"


def test_it_takes_two_people_in_tier_strategis() -> None:
    state = strategic_held_for_room().state()
    asks = [Requested(f"r{n}", Kind.APPROVE, "paspor", by, "urgent", epoch=1)
            for n, by in enumerate(("siti", "Siti", "budi"))]  # fmt: skip
    phases = []
    for ask in asks:
        state, _ = step(state, ask, NOW)
        phases.append(state.services["paspor"].record.phase)
    assert phases == [Phase.HELD, Phase.HELD, Phase.COUNTDOWN]
    assert state.services["paspor"].record.approval == Approval(
        "siti", 1, -1, "urgent", second="budi", over_capacity=True
    )


def test_a_loss_that_two_people_accepted_is_no_first_voice_for_coming_over_capacity() -> None:
    both = Approval("siti", 1, 10**9, "", 10**6, second="budi")
    given = strategic(Given(Phase.HELD, held_for=HeldFor.CAPACITY, approval=both)).stopped()
    given.room(10).seen(approved_ms=NOW).asked(Kind.APPROVE, epoch=1, by="ani")
    row = first_row(given.view())
    assert row is not None and row.name == "over_capacity_approved_by_one"


@pytest.mark.parametrize(("loss_bytes", "accepted"), [(-1, False), (10**10, True)])
def test_a_loss_beyond_the_bound_must_be_named_as_well(loss_bytes: int, accepted: bool) -> None:
    lost = {"last_word": LastWord(10**9, 0, 0, 0)}
    given = Given(Phase.HELD, held_for=HeldFor.CAPACITY, **lost).stopped().room(10)
    ask = Requested("r", Kind.APPROVE, "paspor", "siti", "r", 1, loss_bytes, loss_ms=loss_bytes)
    state, _ = step(given.state(), ask, NOW)
    assert (state.services["paspor"].record.phase is Phase.COUNTDOWN) == accepted


def test_who_has_room_and_a_loss_beyond_the_bound_is_told_that_room_is_not_enough() -> None:
    """The leave that had been given for the loss is over, and nothing would go on by itself."""
    lost = {"last_word": LastWord(10**9, 0, 0, 0)}
    given = Given(Phase.HELD, held_for=HeldFor.CAPACITY, **lost).stopped().room(20)
    assert first_row(given.view()) is None
    told = advice(given.view())
    assert "room alone does not let it go on" in told
    assert "--loss-bytes" in told
    assert "by itself" not in told
    assert "it goes on by itself" in advice(held_for_room().view())


def test_a_refusal_that_has_nothing_to_do_with_room_looks_at_no_other_service(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looked: list[str] = []
    monkeypatch.setattr(room, "placement_at", lambda _o, site: looked.append(site))
    given = Given(Phase.PROTECTED).room(100).backup(None)
    ask = Requested("r", Kind.SWITCHOVER, "paspor", "siti", epoch=1)
    view = View(given.service, NOW, ask, Others({}, given.nation, NOW))
    assert [c.sentence(view) for c in (backup_stands, primary_heard) if not c(view)]
    assert looked == []


def asked_to_move(vcpus: float, **changes: object) -> tuple[State, str]:
    given = Given(Phase.PROTECTED).room(vcpus)
    ask = replace(Requested("r", Kind.SWITCHOVER, "paspor", "siti", epoch=1), **changes)
    state, actions = step(given.state(), ask, NOW)
    answer = actions[-1]
    return state, str(answer)


def test_a_planned_move_to_a_site_without_room_is_refused_with_the_arithmetic() -> None:
    state, answer = asked_to_move(10)
    assert state.services["paspor"].record.phase is Phase.PROTECTED
    assert "of 10 vcpu at batam 0 are taken, and paspor demands 16" in answer
    assert "--over-capacity" in answer


def test_a_planned_move_over_capacity_is_noted_and_goes_through() -> None:
    state, _ = asked_to_move(10, over_capacity=True)
    record = state.services["paspor"].record
    assert record.phase is Phase.DRAINING
    assert record.approval == Approval("siti", 1, -1, loss_ms=-1, over_capacity=True)
    assert room.fits(look(state, "paspor"))
    assert asked_to_move(16)[0].services["paspor"].record.phase is Phase.DRAINING


def test_a_disk_that_fills_moves_nobody_to_a_site_without_room() -> None:
    assert first_row(filling().room(20).view()) is not None
    assert first_row(filling().room(10).view()) is None
    assert MIB


SERVICES = st.lists(
    st.tuples(
        st.sampled_from(TIERS), st.integers(0, 40), st.integers(0, 2), st.booleans(), st.booleans()
    ),
    min_size=1,
    max_size=7,
)


@limits(max_examples=60)
@drawn(SERVICES, st.integers(1, 100), st.randoms(use_true_random=False))
def test_never_more_than_there_is_no_lower_tier_first_and_no_matter_who_asks_first(
    kinds: list[tuple[str, int, int, bool, bool]], capacity: int, dice: object
) -> None:
    services = [
        resident(f"s{n}", demand) if stays else counted(f"s{n}", tier, demand, order)
        for n, (tier, demand, order, stays, _) in enumerate(kinds)
    ]
    there = sum(s.spec.demand.vcpu for s in services if s.record.primary == "batam-1")
    assume(there <= capacity)
    state = company(*services, nation=of_site(vcpu(capacity)))
    mixed = list(services)
    dice.shuffle(mixed)  # type: ignore[attr-defined]
    phases = settled(state)
    assert phases == settled(company(*mixed, nation=of_site(vcpu(capacity))))
    came = [s for s in services if phases[s.spec.name] is Phase.PROMOTING]
    assert there + sum(s.spec.demand.vcpu for s in came) <= capacity
    held = [s for s in services if phases[s.spec.name] is Phase.HELD]
    for one in came:
        higher = [s for s in held if TIERS.index(s.spec.tier) < TIERS.index(one.spec.tier)]
        assert not higher or not one.spec.demand.vcpu


def test_who_fits_is_worked_out_once_for_all_that_ask() -> None:
    state = company(*(counted(f"s{n}", "rendah", 1) for n in range(9)), nation=of_site(vcpu(4)))
    others = Others(state.services, state.nation, NOW)
    placement = room.placement_at(others, TARGET)
    assert placement is not None
    assert [place.fits for place in placement.places.values()] == [True] * 4 + [False] * 5


@limits(max_examples=60)
@drawn(SERVICES, st.integers(1, 100), st.data())
def test_who_asks_to_come_as_well_finds_what_he_would_find_among_those_that_come(
    kinds: list[tuple[str, int, int, bool, bool]], capacity: int, data: st.DataObject
) -> None:
    leave = Approval("siti", 1, -1, over_capacity=True)
    come = [
        replace(one, record=replace(one.record, approval=leave), approved_ms=NOW) if may else one
        for one, may in (
            (counted(f"s{n}", tier, demand, order), may)
            for n, (tier, demand, order, _, may) in enumerate(kinds)
        )
    ]
    asks = data.draw(st.sampled_from(come))
    assume(asks.record.approval is None)
    site = SiteSpec(TARGET, capacity=vcpu(capacity), gives_up=("s1", "s3"))
    others = [one for one in come if one is not asks]
    among = room.placed(site, vcpu(5), come, NOW).places[asks.spec.uid]
    assert room.placed(site, vcpu(5), others, NOW).joined_by(asks) == among
