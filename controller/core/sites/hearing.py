"""What an agent's Report says of itself and of the others is remembered; whether it follows the
right list of probes.
"""

from __future__ import annotations

from msgspec.structs import replace

from controller.core.actions import Action, SendProbes
from controller.core.site_model import AgentSeen, Nation
from controller.core.sites.probes import probes_of
from protocol.messages import Report

TELL_AGAIN_MS = 2000
"""An agent of an older version never follows a list: it is not told with every Report."""


def attentive(nation: Nation, now_ms: int) -> Nation:
    """A life of the controller begins to listen now: what it heard before is not known."""
    sites = {name: replace(site, since_ms=now_ms) for name, site in nation.sites.items()}
    return replace(nation, sites=sites, agents={}, began_ms=now_ms)


def hear(nation: Nation, report: Report, now_ms: int) -> Nation:
    """Remember what an agent says. One that is not declared says nothing."""
    agent = report.header.sender
    if agent not in nation.addresses:
        return nation
    before = nation.agents.get(agent)
    seen = AgentSeen(
        heard_ms=now_ms,
        told_ms=before.told_ms if before else -1,
        probe_list=report.probe_list,
        paths=report.paths,
        symptoms=report.symptoms,
        usage=report.usage,
    )
    return replace(nation, agents={**nation.agents, agent: seen})


def probes_due(nation: Nation, agent: str, now_ms: int) -> tuple[Nation, list[Action]]:
    """Answer a Report that follows another list than it should."""
    seen, wanted = nation.agents.get(agent), nation.probe_lists.get(agent, "")
    if seen is None or seen.probe_list == wanted or not wanted:
        return nation, []
    if seen.told_ms >= 0 and now_ms - seen.told_ms < TELL_AGAIN_MS:
        return nation, []
    told = replace(seen, told_ms=now_ms)
    action = SendProbes(agent, wanted, probes_of(nation, agent))
    return replace(nation, agents={**nation.agents, agent: told}), [action]
