"""I11: after the last fault healed, every service is PROTECTED with one writable primary."""

from __future__ import annotations

from controller.core.model import Phase, Record
from protocol.messages import Role
from simulator.parts.service import Service
from simulator.watch import Broken

PATIENCE_MS = 120_000
CALM_MS = 1500
"""For how long all must be well before it counts."""


def unwell(service: Service, record: Record) -> str:
    """What is not as it should be; empty when all is well."""
    writers = [agent for agent, engine in service.engines.items() if engine.writable]
    roles = [f"{agent} {engine.role.value}" for agent, engine in service.engines.items()]
    if record.phase is Phase.PROTECTED and writers == [record.primary]:
        backup = service.engines[record.backup]
        if backup.role is Role.STANDBY:
            return ""
    return f"{service.name} is {record.phase.value} ({record.because}); {', '.join(roles)}"


def must_be_well(service: Service, record: Record) -> None:
    """Raise Broken unless the service is well."""
    text = unwell(service, record)
    if text:
        raise Broken("I11", f"{PATIENCE_MS // 1000} s after the last fault {text}")
