"""Loads a topology or an agent's file: the whole of it, or every error at once.

Relative paths come out as starting at the file's directory, and each replica with its
agent. Warnings are returned beside what was loaded.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Generic, NoReturn, TypeVar

from config import crosscheck, links, policies, room
from config.agent import AgentConfig
from config.agentcheck import check_agent, check_settings
from config.model import SCHEMA_VERSION
from config.problems import ConfigError, Problem, Severity
from config.reader import Document, read
from config.shape import build
from config.sketch import sketch
from config.topology import Service, Topology

Value = TypeVar("Value")

ONLY_TOPOLOGY = frozenset({"controller", "sites", "pairs", "agents"})
"""Keys that no agent's file has."""


@dataclass(frozen=True)
class Loaded(Generic[Value]):
    """What was loaded, where from, and what weakens it."""

    value: Value
    file: Path
    warnings: tuple[Problem, ...]

    @property
    def base(self) -> Path:
        """The directory at which relative paths started."""
        return self.file.absolute().parent


def load_topology(path: Path | str) -> Loaded[Topology]:
    """The topology in a file. Raises ConfigError with everything that is wrong."""
    return topology_of(read(Path(path)))


def load_agent(path: Path | str) -> Loaded[AgentConfig]:
    """The agent's configuration in a file. Raises ConfigError with everything that is wrong."""
    return agent_of(read(Path(path)))


def topology_of(document: Document) -> Loaded[Topology]:
    """The topology in a document that was read before. Raises ConfigError."""
    check_version(document)
    if "agent" in document.data and not ONLY_TOPOLOGY & set(document.data):
        refuse_kind(
            document,
            "this is an agent's file, not a topology",
            "name the file with sites, pairs, agents and services, such as "
            "config/example/four-sites.yaml",
        )
    topology = build(document, Topology)
    rough = sketch(document.data)
    crosscheck.check_entries(document, rough)
    links.check(document, rough)
    if topology is None or has_errors(document):
        raise ConfigError(in_order(document))
    topology = with_agents(topology)
    room.check(document, topology)
    policies.check(document, topology)
    if has_errors(document):
        raise ConfigError(in_order(document))
    crosscheck.weaknesses(document, topology)
    room.weaknesses(document, topology)
    return Loaded(topology, document.file, in_order(document))


def agent_of(document: Document) -> Loaded[AgentConfig]:
    """The agent's configuration in a document that was read before. Raises ConfigError."""
    check_version(document)
    if "agent" not in document.data and ONLY_TOPOLOGY & set(document.data):
        refuse_kind(
            document,
            "this is a topology, the controller's file, not an agent's",
            "name the agent's own file, such as config/example/agent.yaml",
        )
    config = build(document, AgentConfig)
    check_settings(document)
    if config is not None:
        check_agent(document, config)
    if config is None or has_errors(document):
        raise ConfigError(in_order(document))
    return Loaded(config, document.file, in_order(document))


def refuse_kind(document: Document, message: str, mend: str) -> NoReturn:
    """The other kind of file: naming each of its keys as wrong would help nobody."""
    document.add((), "", message, mend)
    raise ConfigError(in_order(document))


def check_version(document: Document) -> None:
    """A file of a later schema is not judged by this one's rules."""
    version = document.data.get("version")
    if type(version) is int and version > SCHEMA_VERSION:
        document.add(
            ("version",),
            version,
            f"written for a newer Saling; this one reads version {SCHEMA_VERSION}",
            "upgrade Saling, or write the file for this version",
        )
        raise ConfigError(in_order(document))


def has_errors(document: Document) -> bool:
    """Whether something was found that stops the loading."""
    return any(problem.severity is Severity.ERROR for problem in document.problems)


def in_order(document: Document) -> tuple[Problem, ...]:
    """The findings by line, those without a line first."""
    return tuple(sorted(document.problems, key=lambda problem: (problem.line, problem.path)))


def with_agents(topology: Topology) -> Topology:
    """The topology with the only agent of its site in each replica that names none."""
    by_site = {agent.site: agent.id for agent in topology.agents}

    def complete(service: Service) -> Service:
        replicas = tuple(
            replica
            if replica.agent
            else replica.model_copy(update={"agent": by_site[replica.site]})
            for replica in service.replicas
        )
        return service.model_copy(update={"replicas": replicas})

    services = tuple(complete(service) for service in topology.services)
    return topology.model_copy(update={"services": services})
