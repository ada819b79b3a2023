"""The configuration is read anew: taken whole or not at all, and nothing promised is forgotten."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from controller.core.actions import Action, Answer, Found, SendOrder, Swap
from controller.core.configured import DECLARED_OF_A_NATION
from controller.core.decided import decided, of_service
from controller.core.events import Configured, Event
from controller.core.model import (
    HeldFor,
    Phase,
    Record,
    ReplicaSpec,
    ServiceSpec,
    ServiceState,
    State,
)
from controller.core.plan_model import MoveRules
from controller.core.site_model import AgentSeen, Health, Nation, SiteSpec, SiteState, Stage
from controller.core.step import found, step
from protocol.messages import LeaseTerms, Mode
from tests.controller.core.given import (
    NOW,
    UID,
    A,
    B,
    Given,
    backup_report,
    primary_report,
    record,
    spec,
)

C = "ikn-1"
LONGER = LeaseTerms(20_000, 2000, 300, 1000, 3000, 1000)


def read_anew(*specs: ServiceSpec, **more: object) -> Configured:
    return msgspec.structs.replace(Configured("r1", specs, Nation()), **more)


def taken(state: State, event: Configured) -> tuple[State, list[Action], Answer]:
    after, actions = step(state, event, NOW)
    (answer,) = (a for a in actions if isinstance(a, Answer))
    return after, actions, answer


def at(stage: Stage, agent: str = B, of: ServiceSpec | None = None) -> ServiceSpec:
    """The service, with that replica in a site of that stage."""
    base = of or spec()
    replicas = (replace(r, stage=stage) if r.agent == agent else r for r in base.replicas)
    return replace(base, replicas=tuple(replicas))


def moved(backup: str) -> ServiceSpec:
    """The service with another backup."""
    return replace(spec(), replicas=(spec().replicas[0], copy(backup)))


def copy(agent: str) -> ReplicaSpec:
    return ReplicaSpec(agent, agent.rpartition("-")[0], 2, "10.0.0.3:5432", "10.0.0.3:8701", "kc")


def other(**changes: object) -> ServiceSpec:
    return replace(spec(), name="pajak", uid="pajak", **changes)


@given(
    st.sampled_from([p for p in Phase if p is not Phase.HELD]),
    st.sampled_from([spec(), spec(terms=LONGER), spec(loss_bound_bytes=1), spec(tier="strategis")]),
)
def test_nothing_that_was_promised_or_heard_is_forgotten(phase: Phase, new: ServiceSpec) -> None:
    """Unlike a restart, after which all is counted anew from the longest lease."""
    before = Given(phase).seen(promise_end_ms=NOW + 7777, backup_promise_end_ms=NOW + 5555)
    after, _, answer = taken(before.state(), read_anew(new))
    assert answer.accepted
    service = after.services[UID]
    assert service.promise_end_ms >= NOW + 7777
    assert service.backup_promise_end_ms >= NOW + 5555
    assert service.reports == before.service.reports
    assert (service.proven_ms, service.proven_once) == (NOW - 100, True)
    assert service.entered_ms == (NOW - 1000 if service.record.phase is phase else NOW)


@given(st.sampled_from(list(Phase)), st.sampled_from([LONGER, LeaseTerms(1000, 200, 200, 500, 1)]))
def test_the_right_to_write_changes_by_a_row_of_the_table_or_not_at_all(
    phase: Phase, terms: LeaseTerms
) -> None:
    """What a record says under one revision stays so."""
    held = HeldFor.LOSS if phase is Phase.HELD else HeldFor.NOTHING
    before = Given(phase).held(held)
    after, actions, _ = taken(before.state(), read_anew(spec(terms=terms)))
    now = after.services[UID].record
    swaps = [a for a in actions if isinstance(a, Swap)]
    assert now == (swaps[-1].record if swaps else before.service.record)
    assert (now.primary, now.epoch) == (A, 1)
    settled = now.phase in (Phase.PROTECTED, Phase.ALONE)
    assert (now.terms == terms) is settled
    assert now.phase is phase or swaps
    assert now.ttl_ceiling_ms >= before.service.record.ttl_ceiling_ms


def test_a_new_service_is_founded_before_anything_is_said_of_it() -> None:
    before = Given(Phase.PROTECTED).state()
    after, actions, answer = taken(before, read_anew(spec(), other()))
    assert answer.accepted
    assert actions[0] == Found(found(other(), 1))
    assert list(after.services) == [UID, "pajak"]
    assert after.services["pajak"].record == found(other(), 1)
    assert decided(actions[:1]).actions[0].startswith("found pajak ")
    assert of_service(decided(actions), "pajak", "pajak").actions[0].startswith("found pajak ")


def test_a_new_service_that_the_store_knows_goes_on_with_its_record_and_the_longest_lease() -> None:
    stored = replace(found(other(), 1), revision=40, epoch=7, ttl_ceiling_ms=60_000)
    before = Given(Phase.PROTECTED).state()
    after, actions, _ = taken(before, read_anew(spec(), other(), stored={"pajak": stored}))
    assert not [a for a in actions if isinstance(a, Found)]
    service = after.services["pajak"]
    assert service.record.epoch == 7
    assert service.promise_end_ms > NOW + 60_000


def test_a_service_that_is_taken_out_and_not_retired_is_refused_and_nothing_of_the_rest_is_taken(
) -> None:  # fmt: skip
    before = Given(Phase.PROTECTED).state()
    after, actions, answer = taken(before, read_anew(other()))
    assert after == before
    assert len(actions) == 1
    assert not answer.accepted
    assert "a primary on jabodetabek-1" in answer.unmet[0]
    assert "`state: retired`" in answer.unmet[0]


def test_a_retired_service_is_let_go_where_it_stands_alone() -> None:
    before = Given(Phase.ALONE).state()
    after, _, answer = taken(before, read_anew(other(), retired=(UID,)))
    assert answer.accepted
    assert list(after.services) == ["pajak"]


@pytest.mark.parametrize(
    "phase", [p for p in Phase if p is not Phase.ALONE and p is not Phase.HELD]
)
def test_a_retired_service_whose_primary_needs_a_lease_is_kept(phase: Phase) -> None:
    before = Given(phase).state()
    _, _, answer = taken(before, read_anew(other(), retired=(UID,)))
    assert not answer.accepted
    assert "maintenance begin --service paspor" in answer.unmet[0]


def unheard(**heard: int) -> State:
    """Nobody says anything of the service; of four sites with two agents each so many are heard."""
    gone = Given(Phase.PROTECTED).primary(None).backup(None).seen(entered_ms=NOW - 60_000)
    names = ("jabodetabek", "batam", "ikn", "bali")
    specs = [SiteSpec(name, agents=(f"{name}-1", f"{name}-2")) for name in names]
    agents = {
        agent: AgentSeen(NOW)
        for spec in specs
        for agent in spec.agents[2 - heard.get(spec.name, 0) :]
    }
    nation = Nation(sites={one.name: SiteState(one) for one in specs}, agents=agents)
    return replace(gone.state(), nation=nation)


def test_a_retired_service_of_which_nobody_is_heard_is_let_go() -> None:
    before = unheard(jabodetabek=1, batam=1, ikn=2, bali=2)
    _, _, answer = taken(before, read_anew(other(), retired=(UID,)))
    assert answer.accepted


def test_a_retired_service_whose_sites_are_down_is_let_go() -> None:
    before = unheard(ikn=2, bali=2)
    sites = {n: replace(site, health=Health.DOWN) for n, site in before.nation.sites.items()}
    before = replace(before, nation=replace(before.nation, sites=sites))
    _, _, answer = taken(before, read_anew(other(), retired=(UID,)))
    assert answer.accepted


@pytest.mark.parametrize(
    ("before", "why"),
    [
        (unheard(), "the controller hears 0 of 8 agents"),
        (unheard(batam=1, ikn=2, bali=2), "nobody of jabodetabek is heard"),
    ],
)
def test_a_retired_service_that_a_deaf_controller_does_not_hear_is_kept(
    before: State, why: str
) -> None:
    """It serves, and would lose the controller as a grantor."""
    _, _, answer = taken(before, read_anew(other(), retired=(UID,)))
    assert not answer.accepted
    assert why in answer.unmet[0]


def test_a_controller_that_has_just_begun_retires_nothing_for_its_silence() -> None:
    before = unheard(jabodetabek=1, batam=1, ikn=2, bali=2)
    before = replace(before, nation=replace(before.nation, began_ms=NOW - 5000))
    _, _, answer = taken(before, read_anew(other(), retired=(UID,)))
    assert "has listened for 5.0 s only" in answer.unmet[0]


@pytest.mark.parametrize("phase", [Phase.PROTECTED, Phase.ALONE, Phase.COUNTDOWN, Phase.ARMING])
def test_no_configuration_takes_the_primarys_replica_away(phase: Phase) -> None:
    without = replace(spec(), replicas=(spec().replicas[1],))
    _, _, answer = taken(Given(phase).state(), read_anew(without))
    assert not answer.accepted
    assert "its primary is on the agent jabodetabek-1" in answer.unmet[0]


@pytest.mark.parametrize("phase", [p for p in Phase if p not in (Phase.ALONE, Phase.HELD)])
def test_a_backup_that_may_take_over_or_grants_leases_is_not_taken_away(phase: Phase) -> None:
    _, _, answer = taken(Given(phase).state(), read_anew(moved(C)))
    assert not answer.accepted
    assert "its backup is on the agent batam-1" in answer.unmet[0]


def test_alone_another_backup_is_taken_by_a_row_once_the_primary_knows_that_it_stands_alone(
) -> None:  # fmt: skip
    unaware = Given(Phase.ALONE).primary(primary_report(mode=Mode.LEASED))
    after, _, answer = taken(unaware.state(), read_anew(moved(C)))
    assert answer.accepted
    assert after.services[UID].record.backup == B
    aware = Given(Phase.ALONE).primary(primary_report(mode=Mode.ALONE))
    after, actions, _ = taken(aware.state(), read_anew(moved(C)))
    now = after.services[UID].record
    assert (now.phase, now.backup, now.revision, now.grantor_set) == (Phase.ALONE, C, 11, 2)
    (swap,) = (a for a in actions if isinstance(a, Swap))
    assert "changes the backup from batam-1 to ikn-1" in swap.transition.because
    told = [a.agent for a in actions if isinstance(a, SendOrder)]
    assert set(told) == {A, C}


def test_a_backup_that_is_declared_no_more_is_not_armed_on_its_last_report() -> None:
    ready = Given(Phase.ALONE).primary(primary_report(mode=Mode.ALONE))
    assert (
        step(ready.state(), Configured("r1", (spec(),), Nation()), NOW)[0]
        .services[UID]
        .record.phase
        is Phase.ARMING
    )
    after, _, _ = taken(ready.state(), read_anew(moved(C)))
    assert after.services[UID].record.phase is Phase.ALONE
    assert list(after.services[UID].reports) == [A]


def test_a_first_backup_is_added_to_a_service_that_had_none() -> None:
    lone = Given(Phase.ALONE, backup="").primary(primary_report(mode=Mode.ALONE)).backup(None)
    after, _, answer = taken(lone.state(), read_anew(spec()))
    assert answer.accepted
    assert after.services[UID].record.backup == B


def test_a_mended_address_is_told_under_the_same_revision() -> None:
    a, b = spec().replicas
    mended = replace(spec(), replicas=(a, replace(b, engine_address="10.9.9.9:5432")))
    before = Given(Phase.PROTECTED)
    after, actions, _ = taken(before.state(), read_anew(mended))
    assert after.services[UID].record == before.service.record
    orders = {x.agent: x.assignment for x in actions if isinstance(x, SendOrder)}
    partner = orders[A].partner
    assert partner is not None and partner.engine_address == "10.9.9.9:5432"
    assert orders[A].revision == before.service.record.revision


def test_a_uid_is_one_services_and_its_database_too() -> None:
    _, _, renamed = taken(Given(Phase.ALONE).state(), read_anew(replace(spec(), name="visa")))
    assert "has the uid paspor, which is that of paspor" in renamed.unmet[0]
    _, _, foreign = taken(Given(Phase.ALONE).state(), read_anew(spec(system_identifier="999")))
    assert "database 999" in foreign.unmet[0]


def test_a_dry_run_changes_nothing_and_says_whether_it_would_be_taken() -> None:
    before = Given(Phase.PROTECTED).state()
    after, actions, answer = taken(before, read_anew(spec(), other(), dry_run=True))
    assert (after, len(actions), answer.accepted) == (before, 1, True)
    _, _, answer = taken(before, read_anew(other(), dry_run=True))
    assert not answer.accepted


def test_no_site_is_taken_out_of_use_while_a_service_is_on_its_way_there() -> None:
    _, _, answer = taken(Given(Phase.COUNTDOWN).state(), read_anew(at(Stage.SUSPENDED)))
    assert "on its way to batam (COUNTDOWN)" in answer.unmet[0]
    _, _, answer = taken(Given(Phase.PROMOTING).state(), read_anew(at(Stage.SUSPENDED, A)))
    assert "on its way to jabodetabek (PROMOTING)" in answer.unmet[0]


def test_a_site_with_a_primary_is_suspended_but_not_called_planned() -> None:
    _, _, answer = taken(Given(Phase.PROTECTED).state(), read_anew(at(Stage.PLANNED, A)))
    assert "its primary stands in jabodetabek" in answer.unmet[0]
    _, _, answer = taken(Given(Phase.PROTECTED).state(), read_anew(at(Stage.SUSPENDED, A)))
    assert answer.accepted


def test_a_service_whose_sites_are_all_planned_waits_until_one_is_in_use() -> None:
    before = Given(Phase.ALONE).state()
    planned = at(Stage.PLANNED, A, at(Stage.PLANNED, B, other()))
    after, actions, answer = taken(before, read_anew(spec(), planned))
    assert answer.accepted
    assert list(after.services) == [UID]
    half = at(Stage.PLANNED, A, other())
    after, actions, _ = taken(after, read_anew(spec(), half))
    (founded,) = (a.record for a in actions if isinstance(a, Found))
    assert (founded.primary, founded.backup) == (B, A)


def test_what_was_heard_of_a_site_is_kept_and_what_is_new_begins_unknown() -> None:
    seen = AgentSeen(heard_ms=NOW)
    known = Nation(
        "arbiter",
        {"batam": SiteState(SiteSpec("batam", agents=(B,)), Health.DEGRADED, "hot", since_ms=5)},
        {B: seen, "gone-1": seen},
        began_ms=7,
        addresses={B: "10.0.0.2:8701", "gone-1": "10.0.0.9:8701"},
    )
    declared = Nation(
        "arbiter",
        {
            "batam": SiteState(SiteSpec("batam", Stage.SUSPENDED, (B,))),
            "ikn": SiteState(SiteSpec("ikn", agents=(C,))),
        },
        addresses={B: "10.0.0.2:8701", C: "10.0.0.3:8701"},
    )
    state = replace(Given(Phase.ALONE).state(), nation=known)
    after, _, _ = taken(state, read_anew(spec(), nation=declared))
    batam, ikn = after.nation.sites["batam"], after.nation.sites["ikn"]
    assert (batam.health, batam.because, batam.since_ms) == (Health.DEGRADED, "hot", 5)
    assert batam.spec.stage is Stage.SUSPENDED
    assert (ikn.health, ikn.since_ms) == (Health.UNKNOWN, NOW)
    assert after.nation.agents == {B: seen}
    assert after.nation.addresses == declared.addresses
    assert after.nation.began_ms == 7


def test_of_each_part_of_the_nation_it_is_known_whether_a_file_declares_it() -> None:
    """A new one must be put on one side, else a reload keeps the old or forgets what was heard."""
    heard = {"agents", "cautions", "began_ms", "links", "blind", "judged_ms"}
    assert {"sites", *DECLARED_OF_A_NATION, *heard} == set(Nation.__struct_fields__)


def test_the_event_is_read_from_a_journal_as_it_was_written() -> None:
    event = read_anew(spec(), other(), stored={"pajak": record(Phase.ALONE)}, retired=("visa",))
    raw = msgspec.json.encode(event)
    assert msgspec.json.decode(raw, type=Event) == event


def test_a_service_whose_backup_is_lost_meanwhile_is_judged_in_the_same_step() -> None:
    """Settled at once: nobody waits for the next report."""
    given_ = Given(Phase.PROTECTED, terms=LONGER).backup(backup_report())
    after, actions, _ = taken(given_.state(), read_anew(spec()))
    assert after.services[UID].record.terms == spec().terms
    assert [a.transition.because for a in actions if isinstance(a, Swap)] == [
        "the configuration has new lease times"
    ]


def test_a_removed_services_state_is_gone_with_its_record_kept_in_the_store() -> None:
    """Re-declared later it goes on with that record: an epoch never falls."""
    kept: Record = Given(Phase.ALONE, epoch=9).service.record
    state = State(1, "g", {})
    after, _, _ = taken(state, read_anew(spec(), stored={UID: kept}))
    service: ServiceState = after.services[UID]
    assert service.record.epoch == 9


def test_the_bounds_of_moving_sites_are_those_of_the_new_configuration() -> None:
    rules = MoveRules(dwell_ms=60_000, per_hour=9)
    after, _, answer = taken(Given(Phase.PROTECTED).state(), read_anew(spec(), move_rules=rules))
    assert answer.accepted
    assert after.move_rules == rules
