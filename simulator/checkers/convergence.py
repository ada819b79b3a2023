"""I11: after the last fault healed, every service is PROTECTED as declared, with one writer and a
backup that streams and is near."""

from __future__ import annotations

from controller.core.model import BackupLoss, Phase, Protection, Record, ServiceSpec
from protocol.messages import Role
from simulator.checkers.distance import lag_bytes, near_bytes
from simulator.parts.service import Service
from simulator.watch import Broken

PATIENCE_MS = 120_000
CALM_MS = 1500
"""For how long all must be well before it counts."""


def unwell(service: Service, record: Record, declared: ServiceSpec) -> str:
    """What is not as it should be; empty when all is well."""
    writers = [agent for agent, engine in service.engines.items() if engine.writable]
    roles = [f"{agent} {engine.role.value}" for agent, engine in service.engines.items()]
    if (record.protection, record.terms) != (declared.protection, declared.terms):
        return f"{service.name} is {record.protection.value} under {record.terms}, not as declared"
    sync = declared.protection is Protection.SYNC
    blocks = sync and declared.backup_loss is BackupLoss.BLOCK
    if record.blocks is not blocks or record.wait is not None:
        return f"{service.name} blocks: {record.blocks}, waits: {record.wait}, not as declared"
    if record.phase is Phase.PROTECTED and writers == [record.primary]:
        backup = service.engines[record.backup]
        serves = service.engines[record.primary].serves
        far = lag_bytes(service, record) > near_bytes(declared)
        if backup.role is Role.STANDBY and backup.streams and serves and not far:
            return ""
    return f"{service.name} is {record.phase.value} ({record.because}); {', '.join(roles)}"


def must_be_well(service: Service, record: Record, declared: ServiceSpec) -> None:
    """Raise Broken unless the service is well."""
    text = unwell(service, record, declared)
    if text:
        raise Broken("I11", f"{PATIENCE_MS // 1000} s after the last fault {text}")
