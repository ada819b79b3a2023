"""Nations for the tests of verdicts: who is heard, and who reaches whom."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from msgspec.structs import replace

from controller.core.actions import Note
from controller.core.model import ServiceState
from controller.core.site_model import AgentSeen, Nation, SiteSpec, SiteState
from controller.core.sites.hearing import attentive
from controller.core.sites.judge import EVERY_MS, judged
from protocol.messages import Path, Symptom

BEGAN = 1_000_000
CALM_MS = 60_000


class Country:
    """Sites whose agents report and probe once a turn, with faults that a test sets.

    `Country(a=1, b=2)` has an agent `a-0` in a, and `b-0` and `b-1` in b. The controller stands
    in `arbiter` unless told otherwise.
    """

    def __init__(self, home: str = "arbiter", **sizes: int) -> None:
        self.specs = {
            name: SiteSpec(name, agents=tuple(f"{name}-{i}" for i in range(size)))
            for name, size in sizes.items()
        }
        addresses = {
            agent: f"{agent}:8701" for spec in self.specs.values() for agent in spec.agents
        }
        sites = {name: SiteState(spec) for name, spec in self.specs.items()}
        self.now_ms = BEGAN
        self.nation = attentive(Nation(home=home, sites=sites, addresses=addresses), BEGAN)
        self.services: tuple[ServiceState, ...] = ()
        self.silent: set[str] = set()
        """Agents that the controller does not hear."""
        self.dead: set[str] = set()
        """Agents that are not there at all."""
        self.mute: set[str] = set()
        """Agents that report and do not probe, as older ones do."""
        self.cut: set[tuple[str, str]] = set()
        """Site to site: probes on this way are not answered."""
        self.lossy: dict[tuple[str, str], int] = {}
        """Site to site: so many of 20 probes are lost."""
        self.symptoms: dict[str, tuple[Symptom, ...]] = {}
        self.notes: list[Note] = []
        self._answered: dict[tuple[str, str], int] = {}

    @property
    def agents(self) -> list[str]:
        return list(self.nation.addresses)

    def declare(self, site: str, **changes: Any) -> Country:
        """Change what is declared of a site."""
        state = self.nation.sites[site]
        changed = replace(state, spec=replace(state.spec, **changes))
        self.nation = replace(self.nation, sites={**self.nation.sites, site: changed})
        return self

    def kill(self, *sites: str) -> Country:
        for site in sites:
            self.dead.update(self.specs[site].agents)
        return self

    def silence(self, *sites: str) -> Country:
        for site in sites:
            self.silent.update(self.specs[site].agents)
        return self

    def heal(self) -> Country:
        self.silent, self.dead, self.cut = set(), set(), set()
        return self

    def cut_link(self, one: str, other: str) -> Country:
        self.cut |= {(one, other), (other, one)}
        return self

    def turn(self) -> None:
        """A moment goes by; everybody probes and reports, and the sites are judged."""
        agents = {**self.nation.agents, **self.heard()}
        self.nation, notes = judged(replace(self.nation, agents=agents), self.services, self.now_ms)
        self.notes += notes

    def heard(self) -> dict[str, AgentSeen]:
        """A moment goes by; what those say that the controller hears."""
        self.now_ms += EVERY_MS + 50
        agents = {}
        for agent in self.agents:
            if agent in self.dead:
                continue
            paths = tuple(
                self._path(agent, to) for to in self._others(agent) if agent not in self.mute
            )
            if agent not in self.silent:
                agents[agent] = AgentSeen(
                    self.now_ms, paths=paths, symptoms=self.symptoms.get(agent, ())
                )
        return agents

    def run(self, for_ms: int = CALM_MS) -> Country:
        end_ms = self.now_ms + for_ms
        while self.now_ms < end_ms:
            self.turn()
        return self

    def health(self, site: str) -> str:
        return self.nation.sites[site].health.value

    def because(self, site: str) -> str:
        return self.nation.sites[site].because

    def healths(self) -> dict[str, str]:
        return {name: site.health.value for name, site in self.nation.sites.items()}

    def links(self) -> dict[tuple[str, str], str]:
        return {link.sites: link.health.value for link in self.nation.links}

    def told(self) -> list[str]:
        """What the history says, in short."""
        return [f"{note.happening.subject}: {note.happening.what}" for note in self.notes]

    def _path(self, agent: str, to: str) -> Path:
        way, ends = (self._site(agent), self._site(to)), (agent, to)
        if way not in self.cut and to not in self.dead:
            self._answered[ends] = self.now_ms
        age_ms = self.now_ms - self._answered.get(ends, BEGAN)
        lost = 20 if ends not in self._answered else self.lossy.get(way, min(20, age_ms // 1000))
        return Path(to, 20, lost, 0 if lost == 20 else 18_000, age_ms)

    def _others(self, agent: str) -> Iterable[str]:
        return [to for to in self.agents if self._site(to) != self._site(agent)]

    def _site(self, agent: str) -> str:
        return agent.rpartition("-")[0]


def four(home: str = "arbiter") -> Country:
    """Four sites with an agent each, of which all is well."""
    return Country(home, a=1, b=1, c=1, d=1).run(20_000)
