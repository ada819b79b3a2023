"""What the controller says: Orders and Grants, numbered and signed, one message an agent."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable
from pathlib import Path

from msgspec.structs import replace

from controller.core.actions import Action, SendGrant, SendOrder, SendProbes
from protocol.messages import CONTROLLER, Assignment, Grant, Granted, Header, Message, Order
from protocol.sealing import Signer

ITEMS_A_MESSAGE = 256
"""As many as the messages' own bound allows."""

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")

Publish = Callable[[str, type[Message], bytes], None]
"""Agent, kind of message, sealed bytes. Never waits."""


class Voice:
    """Speaks for one life of the controller, in one term."""

    def __init__(
        self, signer: Signer, cluster: str, term: int, generation: str, publish: Publish
    ) -> None:
        self._signer = signer
        self._cluster = cluster
        self._term = term
        self._generation = generation
        self._publish = publish
        self._boot_id = BOOT_ID.read_text().strip()
        self._incarnation = uuid.uuid4().hex
        self._sequence = 0

    def speak(self, actions: Iterable[Action]) -> None:
        """Say everything that is to be said, gathered by agent; of two Orders the last counts."""
        orders: dict[str, dict[str, Assignment]] = {}
        grants: dict[str, list[Granted]] = {}
        probes: dict[str, SendProbes] = {}
        for action in actions:
            if isinstance(action, SendOrder):
                assignment = action.assignment
                orders.setdefault(action.agent, {})[assignment.service_uid] = assignment
            elif isinstance(action, SendGrant):
                grants.setdefault(action.agent, []).extend(action.grants)
            elif isinstance(action, SendProbes):
                orders.setdefault(action.agent, {})
                probes[action.agent] = action
        for agent, by_service in orders.items():
            self._order(agent, tuple(by_service.values()), probes.get(agent))
        for agent, granted in grants.items():
            self._grant(agent, tuple(granted))

    def _order(
        self, agent: str, assignments: tuple[Assignment, ...], probes: SendProbes | None
    ) -> None:
        """One that only says whom to probe assigns nothing."""
        for start in range(0, max(1, len(assignments)), ITEMS_A_MESSAGE):
            part = assignments[start : start + ITEMS_A_MESSAGE]
            order = Order(self._header(), agent, self._term, self._generation, part)
            if probes is not None:
                order = replace(order, probe_list=probes.probe_list, probes=probes.probes)
            self._say(agent, order)

    def _grant(self, agent: str, grants: tuple[Granted, ...]) -> None:
        for start in range(0, len(grants), ITEMS_A_MESSAGE):
            part = grants[start : start + ITEMS_A_MESSAGE]
            self._say(agent, Grant(self._header(), agent, part))

    def _say(self, agent: str, message: Order | Grant) -> None:
        self._publish(agent, type(message), self._signer.seal(message, agent))

    def _header(self) -> Header:
        self._sequence += 1
        return Header(
            cluster=self._cluster,
            sender=CONTROLLER,
            boot_id=self._boot_id,
            incarnation=self._incarnation,
            sequence=self._sequence,
        )
