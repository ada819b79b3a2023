"""Whom each agent probes: the agents of every other active site, so that somebody can tell a
site that is cut off from one that is down.
"""

from __future__ import annotations

from zlib import crc32

import msgspec
from msgspec.structs import replace

from controller.core.sites.model import Nation, SiteSpec, Stage
from protocol.messages import Probe

PROBES_AT_MOST = 64
"""As many as an Order takes."""

ENCODER = msgspec.json.Encoder()


def with_probe_lists(nation: Nation) -> Nation:
    """The same sites, with the name of the list that each of their agents should follow."""
    active = [site.spec for site in nation.sites.values() if site.spec.stage is Stage.ACTIVE]
    names = {agent: list_name(probes_of(nation, agent)) for site in active for agent in site.agents}
    return replace(nation, probe_lists=names)


def probes_of(nation: Nation, agent: str) -> tuple[Probe, ...]:
    """Whom this agent probes. Where there are too many, every other site gets its share, and the
    agents of one site begin at different places, so that together they reach more of them.
    """
    active = [site.spec for site in nation.sites.values() if site.spec.stage is Stage.ACTIVE]
    home = next((site for site in active if agent in site.agents), None)
    if home is None:
        return ()
    place = home.agents.index(agent)
    others = [_rotated(site, place) for site in active if site is not home and site.agents]
    taken: list[Probe] = []
    for turn in range(max((len(each) for each in others), default=0)):
        for each in others:
            if turn < len(each) and len(taken) < PROBES_AT_MOST:
                site, asked = each[turn]
                taken.append(Probe(asked, site, nation.addresses[asked]))
    return tuple(taken)


def list_name(probes: tuple[Probe, ...]) -> str:
    """Two lists with one name are the same; empty for nobody to probe."""
    return f"p-{len(probes)}-{crc32(ENCODER.encode(probes)):08x}" if probes else ""


def _rotated(site: SiteSpec, place: int) -> list[tuple[str, str]]:
    start = place * PROBES_AT_MOST % len(site.agents)
    agents = (*site.agents[start:], *site.agents[:start])
    return [(site.name, agent) for agent in agents]
