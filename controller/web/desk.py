"""What the API needs of the controller behind it, and how it says no."""

from __future__ import annotations

from typing import Protocol

from msgspec import Struct

from controller.core.actions import Answer
from controller.core.events import Ask
from controller.core.plan_model import PlanKind
from controller.status import Status
from controller.stores.base import (
    Claim,
    HappeningLine,
    HistoryLine,
    PlanLine,
    Plans,
    StoredPlan,
)


class Problem(Exception):
    """A request that is not served: the HTTP status, what is wrong, where, and the mend; for a
    while only, if it says after how many seconds to ask again."""

    def __init__(
        self, status: int, error: str, where: str, mend: str, retry_after_s: int = 0
    ) -> None:
        super().__init__(error)
        self.status = status
        self.retry_after_s = retry_after_s
        self.body = ProblemBody(error, where, mend)


class ProblemBody(Struct, frozen=True):
    """The JSON of every answer that is no success."""

    error: str
    where: str
    """The header, the key of the body, or the part of the path that is wrong."""
    mend: str


class Desk(Protocol):
    """The controller as the API sees it."""

    @property
    def status(self) -> Status:
        """Everything, as it is now; from memory alone."""

    @property
    def turning(self) -> bool:
        """Whether events are handled."""

    async def submit(
        self, event: Ask, revision: int | None = None, epoch: int | None = None
    ) -> Answer:
        """Ask the rules for something. Raises inbox.Busy, Conflict, RulesFailed."""

    async def history(self, service_uid: str | None, limit: int) -> list[HistoryLine]:
        """The newest changes, newest first. Raises StoreError."""

    async def lines(
        self, limit: int
    ) -> tuple[list[HistoryLine], list[PlanLine], list[HappeningLine]]:
        """The changes of all services and plans, and what else happened, each newest first.

        Raises StoreError.
        """

    async def plans(self, limit: int, kind: PlanKind | None = None) -> Plans:
        """The newest plans, or those of one kind, newest first. Raises StoreError."""

    async def plan(self, plan_id: str) -> StoredPlan | None:
        """One plan; None where it is not kept. Raises StoreError."""

    async def plan_history(self, plan_id: str | None, limit: int) -> list[PlanLine]:
        """The newest changes of plans, newest first. Raises StoreError."""

    async def claim(self, key: str, digest: str) -> Claim | None:
        """Note in the store that a request begins. Raises StoreError."""

    async def settle(self, key: str, answer: bytes) -> None:
        """Note in the store what became of a request. Raises StoreError."""
