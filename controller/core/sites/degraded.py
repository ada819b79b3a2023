"""What is not as it should be at a site that is heard: what its agents say, how its copies do,
and how it is reached.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from controller.core.conditions.facts import megabytes
from controller.core.moment.view import View
from controller.core.site_model import Sign, SiteState
from controller.core.sites.look import Answers, Copy, Look, Sight, ago, named, overall

ASKED_AT_LEAST = 10
"""Of fewer probes no share that is lost is told."""
TEXT_AT_MOST = 200
"""Of an agent's own words: they stand in a sentence with others."""
LOST_PERCENT = 5
OF_ONE_HOST = ("agents", "certificate", "clock", "disk", "latency", "replication")
"""What concerns the services of the agents that say so; all else concerns the whole site."""

Told = tuple[str, str, str]
"""Kind, agent, text."""


def seen_at(look: Look, site: SiteState) -> list[Sign]:
    """All signs at a site now, one a kind."""
    told = [*_silent_agents(look, site), *_symptoms(look, site)]
    for copy in look.copies[site.spec.name]:
        if copy.agent in look.heard:
            told += [*_low_disk(copy), *_replication(look, copy)]
    return [*_by_kind(told), *_unreached(look, site), *_losses(look, site)]


def _by_kind(told: list[Told]) -> Iterator[Sign]:
    grouped: dict[str, dict[tuple[str, str], None]] = defaultdict(dict)
    for kind, agent, text in told:
        grouped[kind][(agent, text)] = None
    for kind in sorted(grouped):
        said = named(f"{agent}: {text}" for agent, text in grouped[kind])
        agents = tuple(dict.fromkeys(agent for agent, _ in grouped[kind]))
        yield Sign(kind, said, agents if kind in OF_ONE_HOST else ())


def _silent_agents(look: Look, site: SiteState) -> Iterator[Told]:
    if not look.heard_of(site):
        return
    away = [s.record.maintenance.agent for s in look.services if s.record.maintenance]
    for agent in site.spec.agents:
        if agent not in look.heard and agent not in away:
            seen = look.nation.agents.get(agent)
            since_ms = seen.heard_ms if seen else look.nation.began_ms
            yield "agents", agent, f"not heard for {ago(look.now_ms - since_ms)}"


def _symptoms(look: Look, site: SiteState) -> Iterator[Told]:
    for agent in look.heard_of(site):
        for symptom in look.heard[agent].symptoms:
            yield symptom.kind, agent, symptom.text[:TEXT_AT_MOST]


def _low_disk(copy: Copy) -> Iterator[Told]:
    seen = copy.service.reports.get(copy.agent)
    if seen is not None and seen.report.disk_low:
        yield "disk", copy.agent, seen.report.disk_low[:TEXT_AT_MOST]


def _replication(look: Look, copy: Copy) -> Iterator[Told]:
    """A backup that does not follow, or follows from too far. Not where that is announced, and not
    where its primary is not heard, or not reached from here: that is another's fault.
    """
    service, record = copy.service, copy.service.record
    primary, backup = service.spec.replica(record.primary), service.spec.replica(record.backup)
    if backup is None or backup.agent != copy.agent or record.maintenance is not None:
        return
    if primary and overall(look.sights(backup.site, primary.site)) is Answers.NO:
        return
    view = View(service, look.now_ms)
    if view.primary is None:
        return
    ailing_ms, lag = service.ailing_since_ms, view.lag_bytes
    if ailing_ms >= 0:
        text = f"{record.service} is not followed for {ago(look.now_ms - ailing_ms)}"
        yield "replication", backup.agent, text
    elif lag is not None and lag > service.spec.loss_bound_bytes:
        bound = megabytes(service.spec.loss_bound_bytes)
        text = f"{record.service} is {megabytes(lag)} behind, the bound is {bound}"
        yield "replication", backup.agent, text


def _unreached(look: Look, site: SiteState) -> Iterator[Sign]:
    """Heard, and reached by nobody. Of two sites alone nobody knows whose fault that is."""
    others = look.others(site) if look.heard_of(site) else []
    said = {o.spec.name: overall(look.sights(o.spec.name, site.spec.name)) for o in others}
    denying = [name for name, answers in said.items() if answers is Answers.NO]
    if len(denying) >= 2 and Answers.YES not in said.values():
        yield Sign("paths", f"the controller hears it, and none of {named(denying)} reaches it")


def _losses(look: Look, site: SiteState) -> Iterator[Sign]:
    """Losses on most of its ways, so that it is no other site's fault."""
    percents = {}
    for other in look.others(site):
        percent = _lost_percent(look, site.spec.name, other.spec.name)
        if percent is not None:
            percents[other.spec.name] = percent
    lossy = {name: lost for name, lost in percents.items() if lost >= LOST_PERCENT}
    if len(lossy) >= 2 and 2 * len(lossy) > len(percents):
        told = named(f"{lost} % with {name}" for name, lost in lossy.items())
        yield Sign(
            "packet-loss", f"probes are lost on {len(lossy)} of {len(percents)} ways: {told}"
        )


def _lost_percent(look: Look, one: str, other: str) -> int | None:
    """Both ways together; None where nobody asked often enough, or a way is cut: it says so."""
    sights: list[Sight] = [*look.sights(one, other), *look.sights(other, one)]
    told = [sight for sight in sights if sight.is_heard and sight.answers is Answers.YES]
    asked = sum(sight.asked for sight in told)
    return 100 * sum(sight.lost for sight in told) // asked if asked >= ASKED_AT_LEAST else None
