"""How this agent names itself in every message, and what it says of all its replicas at once."""

from __future__ import annotations

import itertools
from pathlib import Path

from protocol.messages import CONTROLLER, Ask, Grant, Granted, Header, Renew, ReplicaReport, Report
from protocol.sealing import Signer

BOOT_ID_FILE = Path("/proc/sys/kernel/random/boot_id")


def boot_id() -> str:
    """Which start of this host it is. Raises OSError."""
    return BOOT_ID_FILE.read_text().strip()


class Voice:
    """Numbers what this life of the agent says, and signs its Grants."""

    def __init__(self, cluster: str, agent: str, life: str, boot: str, signer: Signer) -> None:
        self.cluster = cluster
        self.agent = agent
        self._life = life
        self._boot = boot
        self._signer = signer
        self._numbers = itertools.count(1)

    def report(self, replicas: tuple[ReplicaReport, ...]) -> Report:
        """What the controller hears."""
        return Report(self._header(), replicas)

    def renew(self, asks: tuple[Ask, ...]) -> Renew:
        """What a grantor is asked."""
        return Renew(self._header(), asks)

    def grant(self, grants: tuple[Granted, ...], audience: str) -> bytes:
        """What a holder is answered, signed for it alone."""
        return self._signer.seal(Grant(self._header(), audience, grants), audience)

    def _header(self) -> Header:
        return Header(
            cluster=self.cluster,
            sender=self.agent,
            boot_id=self._boot,
            incarnation=self._life,
            sequence=next(self._numbers),
        )


def is_controller(grantor: str) -> bool:
    """Whether this grantor is asked over the brokers."""
    return grantor == CONTROLLER
