"""The MQTT topics: four an agent, named after what is said on them.

    saling/<cluster>/<agent>/report    agent to controller
    saling/<cluster>/<agent>/renew     agent to controller
    saling/<cluster>/<agent>/order     controller to agent
    saling/<cluster>/<agent>/grant     controller to agent

Broker rules follow from the names: an agent may write the first two of its own and read
the last two of its own, and nothing else.
"""

from __future__ import annotations

from typing import NamedTuple

from protocol.messages import Grant, Message, Order, Renew, Report

ROOT = "saling"
FROM_AGENT: dict[str, type[Message]] = {"report": Report, "renew": Renew}
TO_AGENT: dict[str, type[Message]] = {"order": Order, "grant": Grant}
KIND_OF: dict[type[Message], str] = {v: k for k, v in (FROM_AGENT | TO_AGENT).items()}


class Topic(NamedTuple):
    """A parsed topic."""

    cluster: str
    agent: str
    kind: str


def topic(cluster: str, agent: str, message: type[Message]) -> str:
    """The topic on which a message of this type goes to or comes from that agent."""
    return f"{ROOT}/{cluster}/{agent}/{KIND_OF[message]}"


def parse(text: str) -> Topic | None:
    """Take a topic apart; None for one that is not Saling's."""
    parts = text.split("/")
    if len(parts) != 4 or parts[0] != ROOT or parts[3] not in FROM_AGENT | TO_AGENT:
        return None
    return Topic(*parts[1:])


def written_by(cluster: str, agent: str) -> list[str]:
    """What an agent may publish."""
    return [f"{ROOT}/{cluster}/{agent}/{kind}" for kind in FROM_AGENT]


def read_by(cluster: str, agent: str) -> list[str]:
    """What an agent subscribes to."""
    return [f"{ROOT}/{cluster}/{agent}/{kind}" for kind in TO_AGENT]


def written_by_controller(cluster: str) -> list[str]:
    """What the controller may publish, as MQTT filters."""
    return [f"{ROOT}/{cluster}/+/{kind}" for kind in TO_AGENT]


def read_by_controller(cluster: str) -> list[str]:
    """What the controller subscribes to, as MQTT filters."""
    return [f"{ROOT}/{cluster}/+/{kind}" for kind in FROM_AGENT]
