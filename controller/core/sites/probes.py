"""Whom each agent probes: the agents of every other active site, so that somebody can tell a
site that is cut off from one that is down. In a large country not everybody probes every site: an
agent's port has room for so many connections, and its partners' renewals need some.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from zlib import crc32

import msgspec
from msgspec.structs import replace

from controller.core.site_model import Nation, SiteSpec, Stage
from protocol.messages import Probe

PROBES_AT_MOST = 64
"""As many as an Order takes."""
OBSERVERS_AT_MOST = 256
"""Of one site, and so of each of its agents: half of what its port takes."""

ENCODER = msgspec.json.Encoder()


Observers = Mapping[str, Container[str]]
"""Of each site."""


def with_probe_lists(nation: Nation) -> Nation:
    """The same sites, with the name of the list that each of their agents should follow."""
    active = _active(nation)
    observers = {site.name: frozenset(observers_of(nation, site.name)) for site in active}
    names = {
        agent: list_name(_probes(nation, active, site, agent, observers))
        for site in active
        for agent in site.agents
    }
    return replace(nation, probe_lists=names)


def probes_of(nation: Nation, agent: str) -> tuple[Probe, ...]:
    """Whom this agent probes. Where there are too many, every site that it observes gets its
    share, and the agents of one site begin at different places, so that together they reach more.
    """
    active = _active(nation)
    home = next((site for site in active if agent in site.agents), None)
    if home is None:
        return ()
    observers = {site.name: observers_of(nation, site.name) for site in active}
    return _probes(nation, active, home, agent, observers)


def observers_of(nation: Nation, name: str) -> tuple[str, ...]:
    """Who should see a site: the agents of the other active ones. Of too many as many of each
    site (all of a small one), and not the same for every site that is seen.
    """
    active = _active(nation)
    turn = next((index for index, site in enumerate(active) if site.name == name), 0)
    others = [site for site in active if site.name != name]
    left, chosen = OBSERVERS_AT_MOST, set[str]()
    by_size = sorted(others, key=lambda site: len(site.agents))
    for index, site in enumerate(by_size):
        share = min(len(site.agents), left // (len(by_size) - index))
        left -= share
        chosen.update(_from(site.agents, turn * share)[:share])
    return tuple(agent for site in others for agent in site.agents if agent in chosen)


def _active(nation: Nation) -> list[SiteSpec]:
    return [site.spec for site in nation.sites.values() if site.spec.stage is Stage.ACTIVE]


def _probes(
    nation: Nation, active: list[SiteSpec], home: SiteSpec, agent: str, observers: Observers
) -> tuple[Probe, ...]:
    start = home.agents.index(agent) * PROBES_AT_MOST
    observed = [site for site in active if site is not home and agent in observers[site.name]]
    lists = [[(site.name, asked) for asked in _from(site.agents, start)] for site in observed]
    taken: list[Probe] = []
    for turn in range(max((len(each) for each in lists), default=0)):
        for each in lists:
            if turn < len(each) and len(taken) < PROBES_AT_MOST:
                site, asked = each[turn]
                taken.append(Probe(asked, site, nation.addresses[asked]))
    return tuple(taken)


def list_name(probes: tuple[Probe, ...]) -> str:
    """Two lists with one name are the same; empty for nobody to probe."""
    return f"p-{len(probes)}-{crc32(ENCODER.encode(probes)):08x}" if probes else ""


def _from(agents: tuple[str, ...], start: int) -> tuple[str, ...]:
    """All of them, beginning at another one."""
    start %= max(1, len(agents))
    return (*agents[start:], *agents[:start])
