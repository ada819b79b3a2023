"""A rough reading of a topology that survives its mistakes.

The checks between entries must run even where one entry is malformed, so that all errors
come at once. A field that is absent or of the wrong kind is None, and is not checked.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from config.problems import Loc


@dataclass(frozen=True)
class SiteSketch:
    """A site, as far as it can be read."""

    loc: Loc
    id: str | None
    state: str | None


@dataclass(frozen=True)
class PairSketch:
    """A pair: its two sites, None where unreadable."""

    loc: Loc
    sites: tuple[str | None, ...]


@dataclass(frozen=True)
class AgentSketch:
    """An agent, as far as it can be read."""

    loc: Loc
    id: str | None
    site: str | None
    address: str | None
    public_key: str | None


@dataclass(frozen=True)
class ReplicaSketch:
    """A replica, as far as it can be read."""

    loc: Loc
    site: str | None
    agent: str | None
    priority: int | None
    address: str | None


@dataclass(frozen=True)
class ServiceSketch:
    """A service, as far as it can be read."""

    loc: Loc
    name: str | None
    uid: str | None
    system_identifier: str | None
    lease_profile: str | None
    replicas: tuple[ReplicaSketch, ...]


@dataclass(frozen=True)
class Sketch:
    """A topology, as far as it can be read."""

    failure_domain: str | None
    controller_key: str | None
    lease_profiles: tuple[str, ...]
    sites: tuple[SiteSketch, ...]
    pairs: tuple[PairSketch, ...]
    agents: tuple[AgentSketch, ...]
    services: tuple[ServiceSketch, ...]


def text(entry: Any, key: str) -> str | None:
    """The text under a key."""
    value = entry.get(key) if isinstance(entry, dict) else None
    return value if isinstance(value, str) and value else None


def entries(parent: Any, key: str) -> list[tuple[int, Any]]:
    """The entries of the list under a key, numbered; none if it is no list."""
    value = parent.get(key) if isinstance(parent, dict) else None
    return list(enumerate(value)) if isinstance(value, list) else []


def sketch(data: dict[str, Any]) -> Sketch:
    """Reads what can be read of a topology's plain values."""
    profiles = data.get("lease_profiles")
    controller = data.get("controller")
    return Sketch(
        failure_domain=text(controller, "failure_domain"),
        controller_key=text(controller, "public_key"),
        lease_profiles=tuple(profiles) if isinstance(profiles, dict) else (),
        sites=tuple(
            SiteSketch(("sites", i), text(site, "id"), text(site, "state"))
            for i, site in entries(data, "sites")
        ),
        pairs=tuple(
            PairSketch(
                ("pairs", i),
                tuple(s if isinstance(s, str) else None for _, s in entries(pair, "sites")),
            )
            for i, pair in entries(data, "pairs")
        ),
        agents=tuple(
            AgentSketch(
                ("agents", i),
                text(agent, "id"),
                text(agent, "site"),
                text(agent, "address"),
                text(agent, "public_key"),
            )
            for i, agent in entries(data, "agents")
        ),
        services=tuple(sketch_service(i, entry) for i, entry in entries(data, "services")),
    )


def sketch_service(index: int, entry: Any) -> ServiceSketch:
    """Reads what can be read of one service."""
    loc: Loc = ("services", index)
    return ServiceSketch(
        loc=loc,
        name=text(entry, "name"),
        uid=text(entry, "uid") or text(entry, "name"),
        system_identifier=text(entry, "system_identifier"),
        lease_profile=text(entry, "lease_profile"),
        replicas=tuple(
            sketch_replica((*loc, "replicas", i), replica)
            for i, replica in entries(entry, "replicas")
        ),
    )


def sketch_replica(loc: Loc, entry: Any) -> ReplicaSketch:
    """Reads what can be read of one replica."""
    priority = entry.get("priority") if isinstance(entry, dict) else None
    return ReplicaSketch(
        loc=loc,
        site=text(entry, "site"),
        agent=text(entry, "agent"),
        priority=priority if type(priority) is int else None,
        address=text(entry, "address"),
    )
