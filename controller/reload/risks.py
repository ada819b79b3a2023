"""What a reload would break that works now: warned of, and done all the same."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from config.problems import Problem, Severity
from config.topology import Topology
from controller.status import Status


def risks(file: Path, old: Topology, new: Topology, status: Status) -> tuple[Problem, ...]:
    """A warning for each key of an agent that is heard, and each address of a primary."""
    return (*_keys(file, old, new, status), *_addresses(file, old, new, status))


def _keys(file: Path, old: Topology, new: Topology, status: Status) -> Iterator[Problem]:
    known = {agent.id: agent.public_key for agent in old.agents}
    for number, agent in enumerate(new.agents):
        was = known.get(agent.id, agent.public_key)
        if was != agent.public_key and status.agent_up(agent.id):
            yield Problem(
                file, f"agents[{number}].public_key", "",
                f"{agent.id} is heard now, and has the key that this replaces: its partners "
                "believe only the new one from now on",
                "give the agent its new key in the same minute, or leave the old one in the file",
                Severity.WARNING, subject=f"agent {agent.id}",
            )  # fmt: skip


def _addresses(file: Path, old: Topology, new: Topology, status: Status) -> Iterator[Problem]:
    known = {(s.uid, r.agent): r.address for s in old.services for r in s.replicas}
    for place, service in enumerate(new.services):
        stored = status.state.services.get(service.uid)
        primary = stored.record.primary if stored else ""
        for number, replica in enumerate(service.replicas):
            was = known.get((service.uid, replica.agent), replica.address)
            if replica.agent == primary and was != replica.address:
                yield Problem(
                    file, f"services[{place}].replicas[{number}].address", replica.address,
                    f"{primary} is the primary of {service.name}: its backup follows it at this "
                    f"address from now on, and no more at {was}",
                    "see that its engine listens there already",
                    Severity.WARNING, subject=f"service {service.name}",
                )  # fmt: skip
