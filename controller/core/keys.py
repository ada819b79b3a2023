"""Which machines the leases of a record bind: another public key is another machine.

A new machine under the name of the backup knows nothing of what the old one promised, and one under
the name of the primary nothing of what the old one writes (docs/decisions/0021-reload.md).
"""

from __future__ import annotations

from msgspec.structs import replace

from controller.core.model import Phase, Record, ServiceSpec

UNLEASED = (Phase.ALONE, Phase.PROMOTING, Phase.ROUTING)
"""Where nobody can be promoted because a lease ran out: on the way on the pair is armed anew."""


def with_keys(old: Record, new: Record, spec: ServiceSpec) -> Record:
    """The record that follows, with the keys of its two agents while leases of theirs count."""
    primary_key, backup_key = keys_in_force(old, spec)
    if new.phase in UNLEASED:
        primary_key = backup_key = ""
    else:
        if new.primary != old.primary or not primary_key:
            primary_key = declared_key(spec, new.primary)
        if new.backup != old.backup or not backup_key:
            backup_key = declared_key(spec, new.backup)
    return replace(new, primary_key=primary_key, backup_key=backup_key)


def keys_in_force(record: Record, spec: ServiceSpec) -> tuple[str, str]:
    """Of the primary and of the backup, under which leases count now; empty where none do."""
    if record.phase in UNLEASED:
        return "", ""
    primary_key = record.primary_key or declared_key(spec, record.primary)
    return primary_key, record.backup_key or declared_key(spec, record.backup)


def another_machine(
    spec: ServiceSpec, record: Record, known: ServiceSpec | None = None
) -> tuple[str, ...]:
    """Why keys that are declared now cannot be taken, a sentence each. `known` is the declaration
    in force, for a record that has no keys yet."""
    primary_key, backup_key = keys_in_force(record, known or spec)
    found = []
    if primary_key and (declared := declared_key(spec, record.primary)) not in ("", primary_key):
        found.append(
            f"{_told(spec, record.primary, primary_key, declared)}: the one with the old key may "
            "write under a lease that the new one knows nothing of; put the old key back, move the "
            f"service away first (`saling switchover {spec.name}`), and give {record.primary} its "
            f"new key while its partner stands alone ({_alone(spec)})"
        )
    if backup_key and (declared := declared_key(spec, record.backup)) not in ("", backup_key):
        found.append(
            f"{_told(spec, record.backup, backup_key, declared)}: leases of the one with the old "
            f"key may count ({record.phase.value}), and the new one knows nothing of them; put the "
            f"old key back, let {record.primary} stand alone ({_alone(spec)}), then declare the "
            "new key, reload, and `saling maintenance end`: the pair is armed anew"
        )
    return tuple(found)


def declared_key(spec: ServiceSpec, agent: str) -> str:
    """The public key that is declared of an agent; empty where it has no copy."""
    replica = spec.replica(agent)
    return replica.public_key if replica else ""


def _told(spec: ServiceSpec, agent: str, known: str, declared: str) -> str:
    return (
        f"service {spec.name}: {agent} has the public key {known}, and the configuration says "
        f"{declared}, which is another machine"
    )


def _alone(spec: ServiceSpec) -> str:
    return f"`saling maintenance begin --service {spec.name} --for 1h --reason TEXT`"
