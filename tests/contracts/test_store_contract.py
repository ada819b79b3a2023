"""What every store promises, over all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from config.leases import PROFILES
from controller.core.happening import About, Happening
from controller.core.model import Phase, Record, Transition
from controller.core.plan_model import Plan, PlanChange, PlanKind, PlanStatus
from controller.core.site_model import Caution
from controller.stores.base import Kept, LeaderReplaced, Store, StoreFailed
from controller.stores.sqlite import KEPT, SqliteStore
from lab.faults.small_disk import SmallDisk

Opener = Callable[[], Store]
FEW = Kept(changes=4, plans=3, by_policy=2, plan_lines=5, happenings=3)


def open_sqlite(directory: Path, kept: Kept = KEPT) -> Store:
    return SqliteStore(directory / "controller.db", "c1", kept)


STORES = {"sqlite": open_sqlite}


@pytest.fixture(params=sorted(STORES))
def opener(request: pytest.FixtureRequest, tmp_path: Path) -> Opener:
    """Opens the same store again and again; close it before."""
    return lambda: STORES[request.param](tmp_path)


@pytest.fixture
def store(opener: Opener) -> Iterator[Store]:
    one = opener()
    yield one
    one.close()


@pytest.fixture(params=sorted(STORES))
def small(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """One that keeps little."""
    one = STORES[request.param](tmp_path, FEW)
    yield one
    one.close()


def record(term: int, uid: str = "paspor", revision: int = 1) -> Record:
    terms = PROFILES["fast"]
    return Record(
        service=uid,
        service_uid=uid,
        revision=revision,
        term=term,
        phase=Phase.ALONE,
        epoch=1,
        primary="jabodetabek-1",
        backup="batam-1",
        terms=terms,
        ttl_ceiling_ms=terms.ttl_ms,
        primary_key="ka",
        backup_key="kb",
    )


def transition(new: Record) -> Transition:
    return Transition(
        service=new.service,
        service_uid=new.service_uid,
        revision=new.revision,
        term=new.term,
        epoch=new.epoch,
        from_phase="ALONE",
        to_phase=new.phase.value,
        because=f"revision {new.revision}",
        primary=new.primary,
        backup=new.backup,
    )


def swap(store: Store, new: Record, expected_revision: int, term: int) -> bool:
    return store.swap(new, expected_revision, term, transition(new))


def test_each_term_is_higher_than_all_before_it(opener: Opener) -> None:
    terms = []
    for _ in range(3):
        store = opener()
        terms += [store.begin_term(), store.begin_term()]
        store.close()
    assert terms == sorted(set(terms))
    assert terms[0] > 0


def test_the_generation_stays_as_long_as_the_store(opener: Opener) -> None:
    first = opener()
    first.close()
    second = opener()
    second.close()
    assert first.generation
    assert first.generation == second.generation


def test_a_record_comes_back_as_it_was_put_in(opener: Opener) -> None:
    store = opener()
    first = record(store.begin_term())
    assert store.insert(first)
    store.close()
    again = opener()
    assert again.records() == ({"paspor": first}, {})
    assert again.read("paspor", 1) == first
    assert again.read("unknown", 1) is None
    again.close()


def test_a_first_record_is_put_in_only_once(store: Store) -> None:
    first = record(store.begin_term())
    assert store.insert(first)
    assert not store.insert(replace(first, primary="other"))
    assert store.records().records["paspor"] == first


def test_a_swap_of_the_expected_revision_replaces_and_notes_it(store: Store) -> None:
    term = store.begin_term()
    store.insert(record(term))
    second = record(term, revision=2)
    assert swap(store, second, 1, term)
    assert store.read("paspor", term) == second
    (line,) = store.history("paspor", 10)
    assert line.transition == transition(second)
    assert line.at_ms > 0


def test_a_swap_of_another_revision_changes_nothing(store: Store) -> None:
    term = store.begin_term()
    first = record(term)
    store.insert(first)
    for expected in (0, 2, 3):
        assert not swap(store, record(term, revision=4), expected, term)
    assert store.read("paspor", term) == first
    assert store.history(None, 10) == []


def test_a_swap_without_a_record_changes_nothing(store: Store) -> None:
    term = store.begin_term()
    assert not swap(store, record(term, revision=2), 1, term)
    assert store.records().records == {}
    assert store.history(None, 10) == []


def test_a_replaced_leader_can_neither_swap_nor_insert_nor_read(store: Store) -> None:
    old = store.begin_term()
    first = record(old)
    store.insert(first)
    new = store.begin_term()
    assert not swap(store, record(old, revision=2), 1, old)
    with pytest.raises(LeaderReplaced):
        store.insert(record(old, uid="pajak"))
    with pytest.raises(LeaderReplaced):
        store.read("paspor", old)
    assert store.records().records == {"paspor": first}
    assert store.history(None, 10) == []
    assert swap(store, record(new, revision=2), 1, new)


def test_history_comes_newest_first_and_by_service(store: Store) -> None:
    term = store.begin_term()
    for uid in ("paspor", "pajak"):
        store.insert(record(term, uid))
    for revision in (2, 3):
        for uid in ("paspor", "pajak"):
            assert swap(store, record(term, uid, revision), revision - 1, term)
    everything = [(x.transition.service_uid, x.transition.revision) for x in store.history(None, 9)]
    assert everything == [("pajak", 3), ("paspor", 3), ("pajak", 2), ("paspor", 2)]
    assert [x.transition.revision for x in store.history("paspor", 9)] == [3, 2]
    assert len(store.history(None, 3)) == 3


def test_a_claimed_request_is_known_afterwards(opener: Opener) -> None:
    store = opener()
    assert store.claim_request("k", "digest") is None
    assert store.claim_request("k", "other") == ("digest", b"")
    store.settle_request("k", b"answer")
    store.close()
    again = opener()
    assert again.claim_request("k", "digest") == ("digest", b"answer")
    again.close()


def test_a_claim_that_was_given_up_is_forgotten(store: Store) -> None:
    store.claim_request("k", "digest")
    store.settle_request("k", b"")
    assert store.claim_request("k", "other") is None


def test_closing_twice_is_harmless(opener: Opener) -> None:
    store = opener()
    store.close()
    store.close()


def last_kept(store: Store, term: int) -> int:
    """The revision after which the store was full: what it had set aside may be enough for some."""
    known = 1
    try:
        while swap(store, record(term, revision=known + 1), known, term):
            known += 1
    except StoreFailed as error:
        assert "full" in str(error)
    return known


@pytest.mark.parametrize("kind", sorted(STORES))
def test_on_a_disk_that_is_really_full_a_change_is_refused_whole_and_works_with_room_again(
    kind: str, small_disk: SmallDisk
) -> None:
    store = STORES[kind](small_disk.path)
    term = store.begin_term()
    store.insert(record(term))
    small_disk.fill()
    known = last_kept(store, term)
    assert store.read("paspor", term) == record(term, revision=known)
    assert len(store.history("paspor", 10_000)) == known - 1
    with pytest.raises(StoreFailed):
        store.begin_term()
    small_disk.make_room()
    assert swap(store, record(term, revision=known + 1), known, term)
    store.close()
    again = STORES[kind](small_disk.path)
    assert again.read("paspor", term) == record(term, revision=known + 1)
    again.close()


def plan(number: int, revision: int = 1, status: PlanStatus = PlanStatus.RUNNING) -> Plan:
    return Plan(
        f"evacuate-batam-{number}", PlanKind.EVACUATE, "batam", "siti", "patches", status,
        revision=revision, number=number,
    )  # fmt: skip


def change(of: Plan, because: str = "it begins") -> PlanChange:
    return PlanChange(of.id, of.kind, of.site, of.revision, of.status, because)


def test_a_plan_comes_back_as_it_was_saved_last(opener: Opener) -> None:
    store = opener()
    term = store.begin_term()
    first, second = plan(1), plan(1, 2, PlanStatus.PAUSED)
    assert store.plans(5) == ([], 0, {})
    assert store.save_plan(first, 0, term, (change(first),))
    assert store.save_plan(second, 1, term, (change(second, "paused"), change(second, "again")))
    store.close()
    again = opener()
    (stored,), made, broken = again.plans(5)
    assert (stored.plan, made, broken) == (second, 1, {})
    assert 0 < stored.begun_at_ms <= stored.changed_at_ms
    assert [line.change.because for line in again.plan_history("evacuate-batam-1", 9)] == [
        "again", "paused", "it begins",
    ]  # fmt: skip
    assert again.plan_history("evacuate-batam-2", 9) == []
    again.close()


def test_a_plan_of_another_revision_or_term_is_not_saved(store: Store) -> None:
    term = store.begin_term()
    first = plan(1)
    assert not store.save_plan(plan(1, 2), 1, term, ())
    assert store.save_plan(first, 0, term, (change(first),))
    assert not store.save_plan(first, 0, term, (change(first),))
    assert not store.save_plan(plan(1, 3), 2, term, ())
    store.begin_term()
    assert not store.save_plan(plan(1, 2), 1, term, (change(first),))
    assert not store.save_plan(plan(2), 0, term, (change(first),))
    assert [one.plan for one in store.plans(5).plans] == [first]
    assert len(store.plan_history(None, 9)) == 1


def test_the_newest_plans_stand_first(store: Store) -> None:
    term = store.begin_term()
    for number in (1, 2, 3):
        one = plan(number, status=PlanStatus.DONE)
        assert store.save_plan(one, 0, term, (change(one, f"{number}"),))
    told = store.plans(2)
    assert [one.plan.number for one in told.plans] == [3, 2]
    assert told.made == 3
    assert [line.change.because for line in store.plan_history(None, 2)] == ["3", "2"]


LINE = Happening(About.CAUTION, "batam", "begins", "earthquake of M 6.2", "batam")
CAUTION = Caution("batam", "bmkg:1", "BMKG", "earthquake of M 6.2", 1, 2, ended="siti: looked")


def test_cautions_come_back_as_they_were_kept_last(opener: Opener) -> None:
    store = opener()
    term = store.begin_term()
    assert store.cautions() == ()
    store.keep_cautions((CAUTION, replace(CAUTION, site="ikn")), term)
    store.keep_cautions((CAUTION,), term)
    store.close()
    again = opener()
    assert again.cautions() == (CAUTION,)
    again.close()


def test_a_replaced_leader_keeps_no_caution_and_notes_nothing(store: Store) -> None:
    old = store.begin_term()
    store.begin_term()
    with pytest.raises(LeaderReplaced):
        store.keep_cautions((CAUTION,), old)
    with pytest.raises(LeaderReplaced):
        store.note((LINE,), old)
    assert store.cautions() == ()
    assert store.happenings(10) == []


def test_what_else_happened_comes_back_newest_first(store: Store) -> None:
    term = store.begin_term()
    for number in (2, 3, 4):
        store.note((replace(LINE, what=f"{number}"),), term)
    assert [line.happening.what for line in store.happenings(10)] == ["4", "3", "2"]
    assert [line.happening.what for line in store.happenings(2)] == ["4", "3"]
    assert store.happenings(1)[0].at_ms > 0


def test_of_what_grows_for_ever_the_newest_lines_are_kept(small: Store) -> None:
    term = small.begin_term()
    small.insert(record(term))
    for revision in range(2, 12):
        assert swap(small, record(term, revision=revision), revision - 1, term)
        small.note((replace(LINE, what=f"{revision}"), LINE), term)
    running = plan(1)
    assert small.save_plan(running, 0, term, (change(running),))
    for revision in range(2, 12):
        running = plan(1, revision)
        assert small.save_plan(running, revision - 1, term, (change(running, f"{revision}"),) * 2)
    assert [x.transition.revision for x in small.history(None, 99)] == [11, 10, 9, 8]
    assert [x.happening.what for x in small.happenings(99)] == ["begins", "11", "begins"]
    assert [x.change.revision for x in small.plan_history(None, 99)] == [11, 11, 10, 10, 9]
    assert small.records().records == {"paspor": record(term, revision=11)}


def many_plans(store: Store, *chosen: tuple[PlanKind, str, bool]) -> list[int]:
    """The numbers that are kept of these, which are over, and begun in this order."""
    term = store.begin_term()
    for number, (kind, site, by_policy) in enumerate(chosen, 1):
        one = replace(
            plan(number, status=PlanStatus.DONE), id=f"{kind.value}-{site}-{number}", kind=kind,
            site=site, by_policy=by_policy,
        )  # fmt: skip
        assert store.save_plan(one, 0, term, (change(one),))
    assert store.plans(1).made == len(chosen)
    return [one.plan.number for one in store.plans().plans]


LEAVE = (PlanKind.EVACUATE, "batam", False)
SMALL = (PlanKind.FAILBACK, "ikn", False)
BY_POLICY = (PlanKind.FAILBACK, "ikn", True)


def test_of_plans_the_newest_are_kept(small: Store) -> None:
    assert many_plans(small, *[SMALL] * 10) == [10, 9, 8]


def test_many_small_plans_push_out_no_leave_from_which_a_dwell_time_counts(small: Store) -> None:
    other = (PlanKind.FAILOVER, "batam", False)
    assert many_plans(small, LEAVE, LEAVE, other, *[SMALL] * 9) == [12, 11, 10, 3, 2]


def test_many_small_plans_push_out_no_plan_by_policy_that_an_hour_counts(small: Store) -> None:
    assert many_plans(small, *[BY_POLICY] * 3, *[SMALL] * 9) == [12, 11, 10, 3, 2]


def test_plans_of_one_kind_come_back_however_many_others_there_are(small: Store) -> None:
    drill = (PlanKind.DRILL, "batam", False)
    many_plans(small, drill, *[SMALL] * 9)
    assert [one.plan.number for one in small.plans(5, PlanKind.DRILL).plans] == [1]
    assert small.plans(5, PlanKind.DRILL).made == 10
    assert small.plans(5, PlanKind.FAILOVER).plans == []


def test_one_plan_comes_back_by_its_id(store: Store) -> None:
    term = store.begin_term()
    for number in (1, 2):
        one = plan(number, status=PlanStatus.DONE)
        assert store.save_plan(one, 0, term, (change(one),))
    found = store.plan("evacuate-batam-1")
    assert found is not None and found in store.plans().plans
    assert found.plan == plan(1, status=PlanStatus.DONE)
    assert store.plan("evacuate-batam-9") is None
