"""Where the records of the services are kept: the interface of every store.

A call returns when what it changed would survive a loss of power. Calls come one at a
time, in order. All raise StoreFailed when the store cannot answer.

    StoreError
      StoreLocked      another process has the store open
      StoreUnusable    what is there cannot be read: corrupt, foreign or of a newer schema
      StoreFailed      it could not answer now: disk full, I/O error, no answer in time
      LeaderReplaced   a later term has begun; this leader may do nothing any more
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

from msgspec import Struct

from controller.core.happening import Happening
from controller.core.model import Record, Transition
from controller.core.plan_model import BY_POLICY_AT_MOST, Plan, PlanChange, PlanKind
from controller.core.site_model import Caution


class StoreError(Exception):
    """The store cannot do what was asked; the text says why and how to mend it."""


class StoreLocked(StoreError):
    """Another process has the store open."""


class StoreUnusable(StoreError):
    """What is there is no store that this version can use."""


class StoreFailed(StoreError):
    """The store could not answer now."""


class LeaderReplaced(StoreError):
    """A later term than this leader's has begun."""


class Stored(NamedTuple):
    """All records, by uid of the service; those that cannot be read, with the reason."""

    records: dict[str, Record]
    broken: dict[str, str]


class HistoryLine(Struct, frozen=True):
    """One change of a record, stamped by the store."""

    number: int
    at_ms: int
    """Wall time, milliseconds since 1970: for people, nothing is decided by it."""
    transition: Transition


class StoredPlan(Struct, frozen=True):
    """A plan as it is now, with the store's wall times, milliseconds since 1970."""

    plan: Plan
    begun_at_ms: int
    changed_at_ms: int


class Plans(NamedTuple):
    """The newest plans, newest first; those that cannot be read, by id, with the reason."""

    plans: list[StoredPlan]
    made: int
    """The number of the last plan, 0 before the first."""
    broken: dict[str, str]


class PlanLine(Struct, frozen=True):
    """One change of a plan, stamped by the store."""

    number: int
    at_ms: int
    change: PlanChange


class HappeningLine(Struct, frozen=True):
    """One line of the history that is no change of a record, stamped by the store."""

    number: int
    at_ms: int
    """Wall time, milliseconds since 1970: for people, nothing is decided by it."""
    happening: Happening


class Kept(NamedTuple):
    """How much a store keeps of what would else grow for ever; the oldest goes first."""

    changes: int = 1_000_000
    """Of services: 250 of them, ten times a day, for a year, in about 500 MB."""
    plans: int = 400
    """A drill of each of four sites every week, for two years. Beside these it keeps the newest
    of each kind and site, for the dwell time and the age of a drill are counted from it."""
    by_policy: int = BY_POLICY_AT_MOST
    """The newest that nobody asked for, beside all these: the budget of an hour counts them."""
    plan_lines: int = 100_000
    """Eight times what a drill of 500 services writes that asks a dozen times for each."""
    happenings: int = 100_000
    """Four sites and six links that change as often as they may, for two months."""


class Claim(NamedTuple):
    """A request that was seen before; `answer` is empty while its end is unknown."""

    digest: str
    answer: bytes


class Store(Protocol):
    """The records, their history, the term, and the requests that were answered.

    It keeps no more than `Kept` says of what would else grow for ever.
    """

    kind: str
    generation: str
    """A random name made with the store; a store made anew has another."""

    def begin_term(self) -> int:
        """Begin to lead: raise the term, and return the new one."""

    def records(self) -> Stored:
        """All records."""

    def read(self, service_uid: str, term: int) -> Record | None:
        """One record as it is now. Raises LeaderReplaced unless `term` is the present one."""

    def insert(self, record: Record) -> bool:
        """Keep the first record of a service; False when it has one. Raises LeaderReplaced."""

    def swap(
        self, record: Record, expected_revision: int, term: int, transition: Transition
    ) -> bool:
        """Replace a record and note the change, as one: both or neither.

        False, and nothing changed, unless the record has the expected revision and `term`
        is the present one.
        """

    def history(self, service_uid: str | None, limit: int) -> list[HistoryLine]:
        """The newest changes, newest first; of all services when no uid is given."""

    def save_plan(
        self, plan: Plan, expected_revision: int, term: int, changes: tuple[PlanChange, ...]
    ) -> bool:
        """Replace a plan, or keep its first revision where 0 is expected, and note the changes, as
        one: all or nothing.

        False, and nothing changed, unless the plan has the expected revision and `term` is the
        present one.
        """

    def plans(self, limit: int | None = None, kind: PlanKind | None = None) -> Plans:
        """The newest plans, all that are kept where no limit is given, or those of one kind; at
        most one of all, the newest, is not over."""

    def plan(self, plan_id: str) -> StoredPlan | None:
        """One plan; None where it is not kept, or cannot be read."""

    def plan_history(self, plan_id: str | None, limit: int) -> list[PlanLine]:
        """The newest changes, newest first; of all plans when none is named."""

    def happenings(self, limit: int) -> list[HappeningLine]:
        """What else happened, newest first."""

    def note(self, told: tuple[Happening, ...], term: int) -> None:
        """Write lines into the history, all or none. Raises LeaderReplaced."""

    def keep_cautions(self, cautions: tuple[Caution, ...], term: int) -> None:
        """Keep these, in the place of those that were kept before. Raises LeaderReplaced."""

    def cautions(self) -> tuple[Caution, ...]:
        """Those that were kept last; none where they cannot be read."""

    def claim_request(self, key: str, digest: str) -> Claim | None:
        """Note that a request with this key begins; what was noted before, if it was."""

    def settle_request(self, key: str, answer: bytes) -> None:
        """Note what became of a claimed request; an empty answer gives the claim up."""

    def close(self) -> None:
        """Let go of the store. Harmless when it is closed."""
