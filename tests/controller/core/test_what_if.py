"""What would be decided: by the shipped rules, from the live state, which stays as it is."""

from __future__ import annotations

import copy

import pytest
from hypothesis import given as drawn
from hypothesis import settings as limits
from hypothesis import strategies as st
from msgspec.structs import replace

from config.tiers import TIERS
from controller.core.foresight.lost import Lost
from controller.core.foresight.what_if import Forecast, companies, what_if
from controller.core.gates.room import placed
from controller.core.model import HeldFor, Phase, Protection, State
from controller.core.site_model import Load, Nation, SiteSpec, SiteState
from protocol.messages import LeaseTerms, Mode, Role
from protocol.windows import grantor_window_ms
from tests.controller.core.company import company, renamed
from tests.controller.core.given import NOW, TERMS, UID, A, B, Given, backup_report, primary_report

FIRST, SECOND, CENTRE = "jabodetabek", "batam", "arbiter"
BETWEEN = frozenset((FIRST, SECOND))
FROM_CENTRE = frozenset((FIRST, CENTRE))
WRITES_ALONE = (Phase.ALONE, Phase.ARMING, Phase.PROMOTING, Phase.ROUTING)


def given(phase: Phase, reason: HeldFor = HeldFor.NOTHING) -> Given:
    found = Given(phase).held(reason)
    return found.primary(primary_report(mode=found.service.record.mode))


def foresee(
    found: Given, *places: str, cuts: tuple[frozenset[str], ...] = (), controller: bool = False
) -> Forecast:
    (told,) = what_if(found.state(), Lost(places, cuts, controller, CENTRE), [UID], NOW)
    return told


def phases(told: Forecast) -> list[str]:
    return [one.change.to_phase for one in told.steps]


def test_a_lost_primary_is_taken_over_within_the_promise_and_a_promotion() -> None:
    told = foresee(given(Phase.PROTECTED), FIRST)
    assert phases(told) == ["COUNTDOWN", "PROMOTING", "ROUTING", "ALONE"]
    assert (told.served, told.protected, told.held) == (True, False, False)
    assert (told.primary, told.epoch) == (B, 2)
    promoted_ms = told.steps[1].within_ms
    assert 100 <= promoted_ms - grantor_window_ms(TERMS.ttl_ms) <= 600
    assert told.outage_ms <= promoted_ms + 1300
    assert "has proved no commit" in told.steps[0].change.because
    assert f"{A}" in told.mend


def test_a_lost_backup_leaves_the_primary_alone_without_an_outage() -> None:
    told = foresee(given(Phase.PROTECTED), SECOND)
    assert (phases(told), told.primary, told.outage_ms) == (["ALONE"], A, 0)
    assert (told.served, told.protected, told.loss_bytes) == (True, False, 0)


def test_a_link_between_the_two_moves_nothing() -> None:
    told = foresee(given(Phase.PROTECTED), cuts=(BETWEEN,))
    assert (phases(told), told.primary, told.served) == (["ALONE"], A, True)


def test_a_primary_that_only_the_controller_does_not_hear_writes_on() -> None:
    told = foresee(given(Phase.PROTECTED), cuts=(FROM_CENTRE,))
    assert (phases(told), told.served, told.outage_ms) == ([], True, 0)
    assert "goes on taking writes" in told.why


def test_a_primary_cut_off_from_all_is_taken_over() -> None:
    told = foresee(given(Phase.PROTECTED), cuts=(FROM_CENTRE, BETWEEN))
    assert (told.primary, told.served) == (B, True)


def test_a_primary_and_its_backup_lost_are_served_by_nobody() -> None:
    told = foresee(given(Phase.PROTECTED), FIRST, SECOND)
    assert (told.served, told.outage_ms, told.loss_bytes) == (False, -1, None)


@pytest.mark.parametrize("controller", [False, True])
def test_of_a_pair_that_is_lost_it_is_said_what_one_site_that_is_back_does(
    controller: bool,
) -> None:
    told = foresee(given(Phase.PROTECTED), FIRST, SECOND, controller=controller)
    assert "Bring one of both sites back" in told.mend
    assert f"{B} takes over by itself" in told.mend
    assert f"{A} writes again by itself" in told.mend
    assert "go on by their leases" not in told.mend
    assert told.mend.startswith("bring the controller back") is controller


def test_of_a_pair_that_is_lost_while_paused_the_command_is_named() -> None:
    told = foresee(Given(Phase.PROTECTED, paused="by siti: night"), FIRST, SECOND)
    assert f"If it is that of {B}, `saling failover paspor` moves it" in told.mend


@pytest.mark.parametrize("phase", WRITES_ALONE)
def test_of_a_pair_that_is_lost_only_the_one_that_wrote_alone_can_go_on(phase: Phase) -> None:
    told = foresee(given(phase), FIRST, SECOND)
    assert told.mend.startswith(f"Bring the site of {A} back")


def test_a_held_pair_that_is_lost_needs_both_sites() -> None:
    told = foresee(given(Phase.HELD, HeldFor.RESTORED), FIRST, SECOND)
    assert told.mend.startswith("Bring both sites back. ")


def test_a_loss_beyond_the_bound_is_held_with_the_command_that_releases_it() -> None:
    found = given(Phase.PROTECTED).backup(backup_report(position_bytes=1000))
    position = 1000 + 100 * 2**20
    found.primary(primary_report(position_bytes=position)).seen(proven_position_bytes=position)
    told = foresee(found, FIRST)
    assert phases(told) == ["COUNTDOWN", "HELD"]
    assert (told.held, told.served) == (True, False)
    assert told.loss_bytes is not None
    assert told.loss_bytes >= 100 * 2**20
    assert "saling approve paspor --epoch 1 --loss-bytes" in told.mend


def test_the_loss_counts_what_may_be_written_until_the_lease_ends() -> None:
    found = given(Phase.PROTECTED).primary(primary_report(rate_bytes_s=1000))
    told = foresee(found.seen(proven_rate_bytes_s=1000), FIRST)
    assert told.loss_bytes is not None
    assert 0 <= told.loss_bytes - grantor_window_ms(TERMS.ttl_ms) <= TERMS.ttl_ms // 8


def test_in_sync_mode_nothing_is_lost() -> None:
    found = given(Phase.PROTECTED).sync()
    assert found.service.record.protection is Protection.SYNC
    assert foresee(found, FIRST).loss_bytes == 0


def test_a_paused_service_is_not_moved_and_the_command_that_moves_it_is_named() -> None:
    told = foresee(Given(Phase.PROTECTED, paused="by siti: night"), FIRST)
    assert (phases(told), told.served) == ([], False)
    assert "saling failover paspor" in told.mend


def test_without_a_controller_nothing_moves_and_the_partner_grants_on() -> None:
    told = foresee(given(Phase.PROTECTED), controller=True)
    assert (told.steps, told.served, told.writes_end_ms) == ((), True, -1)
    assert "without a limit" in told.why


def test_without_controller_and_backup_the_lease_ends_and_so_do_the_writes() -> None:
    told = foresee(given(Phase.PROTECTED), SECOND, controller=True)
    cut = foresee(given(Phase.PROTECTED), cuts=(BETWEEN,), controller=True)
    for one in (told, cut):
        assert not one.served
        assert TERMS.ttl_ms <= one.writes_end_ms <= TERMS.ttl_ms + 200


def test_a_lost_site_that_holds_the_controller_loses_it_too() -> None:
    told = foresee(given(Phase.PROTECTED), CENTRE)
    assert told.why.startswith("nothing is moved")


def test_a_drain_that_loses_the_controller_is_served_by_nobody() -> None:
    told = foresee(given(Phase.DRAINING), controller=True)
    assert (told.served, "nobody tells batam-1" in told.why) == (False, True)


@pytest.mark.parametrize("phase", WRITES_ALONE)
def test_a_primary_without_a_lease_that_is_lost_is_taken_over_by_nobody(phase: Phase) -> None:
    told = foresee(given(phase), FIRST)
    assert (told.served, told.primary, told.loss_bytes) == (False, A, None)


@pytest.mark.parametrize("phase", WRITES_ALONE)
def test_a_primary_without_a_lease_writes_on_when_anything_else_is_lost(phase: Phase) -> None:
    for told in (
        foresee(given(phase), SECOND),
        foresee(given(phase), cuts=(FROM_CENTRE, BETWEEN)),
        foresee(given(phase), SECOND, controller=True),
    ):
        assert (told.served, told.primary, told.epoch) == (True, A, 1)


def test_a_promotion_under_way_ends_when_the_old_primary_is_lost() -> None:
    found = given(Phase.PROMOTING)
    found.primary(primary_report(role=Role.STANDBY, writable=False, mode=Mode.NONE))
    told = foresee(found, SECOND)
    assert (phases(told), told.served) == (["ROUTING", "ALONE"], True)


def test_a_countdown_goes_on_when_the_silent_primary_is_lost() -> None:
    found = given(Phase.COUNTDOWN).stopped(promise_left_ms=900).seen(promise_end_ms=NOW + 900)
    told = foresee(found, FIRST)
    assert (told.primary, told.served) == (B, True)


@pytest.mark.parametrize("reason", [r for r in HeldFor if r is not HeldFor.NOTHING])
def test_a_held_service_says_what_releases_it(reason: HeldFor) -> None:
    told = foresee(given(Phase.HELD, reason), FIRST)
    assert (told.served, bool(told.mend)) == (False, True)


@pytest.mark.parametrize("phase", [p for p in Phase if p is not Phase.HELD])
def test_nothing_is_touched_and_the_answer_is_the_same_twice(phase: Phase) -> None:
    found = given(phase)
    before = copy.deepcopy(found.state())
    assert foresee(found, FIRST) == foresee(found, FIRST)
    assert found.state() == before


def test_a_copy_that_is_silent_already_does_not_come_to_life_again() -> None:
    found = given(Phase.ALONE).backup(backup_report(), age_ms=60_000)
    told = foresee(found, "nowhere", cuts=(frozenset((SECOND, "elsewhere")),))
    assert (phases(told), told.primary, told.protected) == ([], A, False)
    found = given(Phase.ALONE).silent().primary(primary_report(), age_ms=60_000)
    assert foresee(found, "nowhere").served is False


def test_a_primary_that_only_its_backup_hears_counts_as_alive() -> None:
    found = given(Phase.PROTECTED).primary(primary_report(), age_ms=60_000)
    told = foresee(found, "nowhere")
    assert (phases(told), told.primary, told.served) == ([], A, True)
    assert foresee(found, SECOND, controller=True).served is False


def test_in_arming_a_primary_that_took_a_lease_already_needs_it() -> None:
    armed = given(Phase.ARMING).primary(primary_report(mode=Mode.LEASED))
    assert foresee(armed, SECOND, controller=True).writes_end_ms <= TERMS.ttl_ms + 200
    alone = given(Phase.ARMING).primary(primary_report(mode=Mode.ALONE))
    assert foresee(alone, SECOND, controller=True).served is True


def test_without_a_controller_a_primary_that_writes_nothing_has_no_writes_to_end() -> None:
    standby = primary_report(revision=9, role=Role.STANDBY, writable=False, mode=Mode.NONE)
    told = foresee(given(Phase.PROMOTING).primary(standby), controller=True)
    assert (told.served, told.writes_end_ms) == (False, 0)
    assert "only if its order reached it before" in told.why


def test_in_sync_mode_commits_wait_until_the_primary_stands_alone() -> None:
    for told in (
        foresee(given(Phase.PROTECTED).sync(), SECOND),
        foresee(given(Phase.PROTECTED).sync(), cuts=(BETWEEN,)),
    ):
        assert (phases(told), told.served, told.loss_bytes) == (["ALONE"], True, 0)
        assert 0 < told.steps[0].within_ms <= told.outage_ms + 100 < told.steps[0].within_ms + 400
    told = foresee(given(Phase.PROTECTED).sync(), SECOND, controller=True)
    assert (told.served, told.writes_end_ms) == (False, 0)
    assert "commits wait for batam-1" in told.why


def test_a_backup_that_the_controller_hears_not_now_is_not_counted_on() -> None:
    found = given(Phase.PROTECTED).backup(backup_report(), age_ms=1200)
    assert not foresee(found, controller=True).served


def test_a_service_in_its_drain_may_be_given_up_but_is_not_lost() -> None:
    told = foresee(given(Phase.DRAINING), "nowhere")
    assert phases(told) == ["PROMOTING", "ROUTING", "ALONE", "ARMING", "PROTECTED"]
    assert (told.primary, told.protected, told.loss_bytes) == (B, True, 0)
    assert TERMS.drain_budget_ms <= told.steps[0].within_ms <= TERMS.drain_budget_ms + 600


def test_reports_count_as_if_they_had_just_come() -> None:
    """Else a loss a moment after the next report would be decided on later than foreseen."""
    old, new = given(Phase.PROTECTED), given(Phase.PROTECTED)
    old.backup(backup_report(), age_ms=490)
    new.backup(backup_report(), age_ms=0)
    assert foresee(old, SECOND).steps == foresee(new, SECOND).steps


def test_all_at_once_leaves_nobody_to_decide_and_says_so() -> None:
    told = foresee(given(Phase.PROTECTED), FIRST, cuts=(BETWEEN, FROM_CENTRE), controller=True)
    assert (told.steps, told.served, told.loss_bytes) == ((), False, None)
    assert "nobody takes over" in told.why
    assert "bring the controller back" in told.mend


def crowded(vcpu: float) -> State:
    """Two services of one group, the strategic one later in it, and a site for their backups."""
    site = SiteState(SiteSpec("batam", capacity=Load(vcpu=vcpu)))
    first = renamed(given(Phase.PROTECTED), "first", group="g", order=1, demand=Load(vcpu=4))
    second = renamed(
        given(Phase.PROTECTED), "second", group="g", order=2, demand=Load(vcpu=4), tier="strategis"
    )
    return company(second, first, nation=Nation(sites={"batam": site}))


def test_a_group_is_foreseen_in_its_order() -> None:
    told = what_if(crowded(8), Lost((FIRST,), (), False, CENTRE), ["second", "first"], NOW)
    second_ms, first_ms = (
        next(s.within_ms for s in one.steps if s.change.to_phase == "PROMOTING") for one in told
    )
    assert [one.service for one in told] == ["second", "first"]
    assert first_ms < second_ms


def test_who_finds_no_room_is_foreseen_as_held_also_when_it_alone_is_asked_for() -> None:
    lost = Lost((FIRST,), (), False, CENTRE)
    (first,) = what_if(crowded(6), lost, ["first"], NOW)
    (second,) = what_if(crowded(6), lost, ["second"], NOW)
    assert (first.held, first.served, second.held, second.served) == (True, False, False, True)
    told = "of 6 vcpu at batam 0 are taken and 4 kept for second, and first demands 4"
    assert told in first.why
    assert "saling approve first" in first.mend


def test_only_services_that_look_at_each_other_are_foreseen_together() -> None:
    apart = company(*(renamed(given(Phase.PROTECTED), name) for name in ("a", "b")))
    assert companies(apart, ["a", "b"]) == [["a"], ["b"]]
    assert companies(crowded(8), ["first"]) == [["first", "second"]]


SHORT, LONG = replace(TERMS, ttl_ms=1000, renew_ms=200), replace(TERMS, ttl_ms=8000, renew_ms=1500)
FALLEN = st.lists(
    st.tuples(
        st.sampled_from(TIERS),
        st.integers(0, 6),
        st.sampled_from((TERMS, SHORT, LONG)),
        st.integers(0, 180),
    ),
    min_size=2,
    max_size=4,
)


@limits(max_examples=30)
@drawn(FALLEN, st.integers(1, 14))
def test_it_does_not_matter_in_which_order_services_of_a_dead_host_fall_silent(
    kinds: list[tuple[str, int, LeaseTerms, int]], cores: int
) -> None:
    """Whatever their leases, and however long ago each was heard: who fits is who should."""
    fallen = []
    for n, (tier, demand, terms, ago_ms) in enumerate(kinds):
        one = given(Phase.PROTECTED).seen(proven_ms=NOW - ago_ms, promise_end_ms=NOW)
        one.seen(record=replace(one.service.record, terms=terms, ttl_ceiling_ms=terms.ttl_ms))
        fallen.append(renamed(one, f"s{n}", tier=tier, demand=Load(vcpu=demand), terms=terms))
    site = SiteSpec("batam", capacity=Load(vcpu=cores))
    state = company(*fallen, nation=Nation(sites={"batam": SiteState(site)}))
    told = what_if(state, Lost((FIRST,), (), False, CENTRE), list(state.services), NOW)
    should = placed(site, Load(), fallen, NOW).places
    assert {one.service: not one.held for one in told} == {u: p.fits for u, p in should.items()}
