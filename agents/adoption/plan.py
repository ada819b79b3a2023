"""What the topology and the agent's file say of the copy that is to be adopted."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from agents.engines.pg_settings import PostgresConfig
from agents.replica.jobs import slot_name
from config.agent import AgentConfig, LocalService
from config.topology import Protection, Topology


class Part(StrEnum):
    """Which copy of the pair stands on this host."""

    PRIMARY = "primary"
    STANDBY = "standby"


class Step(StrEnum):
    """How far it shall go. PREPARE: the primary gets roles, slot and rules; nothing restarts."""

    PREPARE = "prepare"
    TAKE_OVER = "take_over"


class Unplanned(Exception):
    """The files do not fit each other; the text says which line to mend."""


class Plan(Struct, frozen=True, kw_only=True):
    """One adoption. `partner` is empty when the service has a single copy.

    `part` and `system_identifier` come from the topology: None and empty where there is none.
    """

    cluster: str
    agent: str
    service: LocalService
    engine: PostgresConfig
    state_directory: Path
    superuser: str = "postgres"
    consent: bool = False
    step: Step = Step.TAKE_OVER
    part: Part | None = None
    system_identifier: str = ""
    partner: str = ""
    primary_address: str = ""
    """Of the primary's engine, as it is reached from here; for a standby."""
    sync: bool = False

    @property
    def slot(self) -> str:
        """The slot on the primary that the standby reads from."""
        return slot_name(self.agent if self.part is Part.STANDBY else self.partner)

    @property
    def marker(self) -> Path:
        """Stands while a server is being taken over: it was checked and is being stopped."""
        return self.state_directory / f"{self.service.name}.adopting"


def with_topology(plan: Plan, config: AgentConfig, topology: Topology) -> Plan:
    """The plan with what the topology says. Raises Unplanned."""
    name = plan.service.name
    try:
        service = topology.service(name)
    except KeyError:
        raise Unplanned(
            f"the topology declares no service {name}: add it, or correct --service"
        ) from None
    if topology.cluster.uid != config.cluster:
        raise Unplanned(
            f"the topology is of cluster {topology.cluster.uid}, the agent's file says "
            f"{config.cluster}: take the right file, or correct `cluster`"
        )
    ours = (plan.service.uid or name, service.uid)
    if ours[0] != ours[1]:
        raise Unplanned(f"service {name}: uid is {ours[1]} in the topology, {ours[0]} here")
    first, *others = service.by_priority
    pair = [first, *others[:1]]
    if config.agent not in [replica.agent for replica in pair]:
        raise Unplanned(
            f"service {name}: the topology has no replica of priority 1 or 2 on agent "
            f"{config.agent}: declare it, or correct `agent` in the agent's file"
        )
    is_first = first.agent == config.agent
    partner = next((replica.agent for replica in pair if replica.agent != config.agent), "")
    return replace(
        plan,
        part=Part.PRIMARY if is_first else Part.STANDBY,
        partner=partner,
        primary_address=config.reached(first.address),
        system_identifier=service.system_identifier or "",
        sync=service.protection is Protection.SYNC,
    )
