"""What the rules decided is in the store before anything is said of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import structlog

from controller.core.actions import Action, Found, KeepCautions, Note, SavePlan, Swap
from controller.core.model import Record, Transition
from controller.core.step import LeadershipLost
from controller.stores.base import StoreFailed
from controller.stores.worker import StoreWorker

log = structlog.get_logger("controller")


class Keeper:
    """Writes for one term."""

    def __init__(
        self, worker: StoreWorker, term: int, on_transition: Callable[[Transition], None]
    ) -> None:
        self._worker = worker
        self._term = term
        self._on_transition = on_transition

    async def persist(self, actions: Iterable[Action]) -> None:
        """All changes, in their order. Raises LeadershipLost, StoreError."""
        for action in actions:
            if isinstance(action, Found):
                await self._found(action.record)
            elif isinstance(action, Swap):
                await self._swap(action)
            elif isinstance(action, SavePlan):
                await self._save_plan(action)

    async def keep_cautions(self, actions: Iterable[Action]) -> None:
        """Cautions, which hold once they are stored. Raises LeaderReplaced, StoreError."""
        for action in actions:
            if isinstance(action, KeepCautions):
                await self._worker.call(
                    self._worker.store.keep_cautions, action.cautions, self._term
                )

    async def note(self, actions: Iterable[Action]) -> None:
        """Lines for people, all at once: when they are written what they tell of was done already,
        and no Order has waited for it. Raises LeaderReplaced, StoreUnusable.
        """
        told = tuple(action.happening for action in actions if isinstance(action, Note))
        if not told:
            return
        try:
            await self._worker.call(self._worker.store.note, told, self._term)
        except StoreFailed as error:
            log.error("lines of the history are lost", lines=len(told), problem=str(error))

    async def _found(self, record: Record) -> None:
        if not await self._worker.call(self._worker.store.insert, record):
            raise LeadershipLost(
                f"{record.service}: the store holds a record of this new service: another "
                "controller leads"
            )
        log.info(record.because, service=record.service, primary=record.primary)

    async def _swap(self, action: Swap) -> None:
        done = await self._worker.call(
            self._worker.store.swap,
            action.record,
            action.expected_revision,
            self._term,
            action.transition,
        )
        if not done:
            raise self._replaced(action.record.service, action.expected_revision)
        self._on_transition(action.transition)
        _tell(action.transition)

    async def _save_plan(self, action: SavePlan) -> None:
        done = await self._worker.call(
            self._worker.store.save_plan,
            action.plan,
            action.expected_revision,
            self._term,
            action.changes,
        )
        if not done:
            raise self._replaced(action.plan.id, action.expected_revision)
        for change in action.changes:
            log.info(
                change.because,
                plan=change.plan_id,
                status=change.status.value,
                service=change.service,
                step=change.step,
                revision=change.revision,
            )

    def _replaced(self, what: str, revision: int) -> LeadershipLost:
        return LeadershipLost(
            f"{what}: the store no longer holds revision {revision} under term "
            f"{self._term}: another controller leads"
        )


def _tell(transition: Transition) -> None:
    log.info(
        transition.because,
        service=transition.service,
        was=transition.from_phase,
        phase=transition.to_phase,
        epoch=transition.epoch,
        revision=transition.revision,
        primary=transition.primary,
        operation=transition.operation.id if transition.operation else "",
    )
