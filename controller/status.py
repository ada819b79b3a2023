"""One look at the whole controller: what the API shows and the metrics count.

It is made from memory alone, so that it can be shown when the store and all brokers are down.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from msgspec import structs

from config.topology import Agent, Pair, Topology
from controller.core.explanation.explain import Explanation, explain, protected
from controller.core.model import ServiceState, State
from controller.core.moment.others import Others
from controller.core.sites.policy import care
from controller.utc import utc_text

AGENT_PATIENCE_MS = 2000
"""An agent that is unheard for this long, or for three reports, counts as down."""


@dataclass(frozen=True)
class BrokerStatus:
    """One broker as the link sees it."""

    name: str
    connected: bool
    problem: str = ""
    dropped: int = 0
    """Messages to it that were given up, for it was not taking them."""


@dataclass(frozen=True)
class ConfigurationStatus:
    """What is in force, since when, and how the last reload ended."""

    file: str = ""
    sha256: str = ""
    in_force_since_ms: int = 0
    """Wall time."""
    waits_for_restart: tuple[str, ...] = ()
    tried_at_ms: int = 0
    """Wall time of the last reload; 0 where there was none since the start."""
    tried_by: str = ""
    failed: str = ""
    """Why the last reload changed nothing; empty when it did, or there was none."""


@dataclass(frozen=True)
class DrillStatus:
    """How drills of one site stand. Times are wall time, in milliseconds; 0 for never."""

    site: str
    schedule: str
    """Empty where none is configured."""
    next_at_ms: int
    last_id: str
    last: str
    """Passed or failed; empty where there was none."""
    passed_at_ms: int
    age_ms: int
    """Of the last one that passed; -1 where none did."""
    overdue: bool
    """It is scheduled, and none passed within `drill_max_age`."""
    skipped: str
    """Why the last one that was due was not begun; empty where it was."""

    @property
    def lacking(self) -> str:
        """Why nobody knows by trying that the site can be left; empty where that is known, or no
        drill is scheduled."""
        if not self.schedule:
            return ""
        if self.last == "failed":
            return f"the last drill of {self.site} failed: `saling drill --report {self.last_id}`"
        if not self.overdue:
            return ""
        passed = f"the last passed {utc_text(self.passed_at_ms)}"
        age = "none passed yet" if self.age_ms < 0 else passed
        return f"a drill of {self.site} is overdue: {age}; `saling drill {self.site}`"


@dataclass(frozen=True)
class Status:
    """Everything at one moment of the rules' clock."""

    topology: Topology
    state: State
    now_ms: int
    started_at_ms: int
    """Wall time, milliseconds since 1970."""
    heard_ms: dict[str, int]
    """When each agent was last heard by this life of the controller."""
    brokers: tuple[BrokerStatus, ...]
    store_kind: str
    store_problem: str
    """Empty while the store answers."""
    broken_records: dict[str, str]
    """Records that could not be read, by uid; their services are left alone."""
    journal_errors: int
    journal_problem: str
    waiting: int
    """Events that wait for the rules."""
    dropped: dict[str, int]
    """Events that were dropped because too many waited, by kind."""
    rule_errors: int
    """Events that the rules could not handle; they changed nothing."""
    configuration: ConfigurationStatus = ConfigurationStatus()
    drills: tuple[DrillStatus, ...] = ()

    @cached_property
    def others(self) -> Others:
        """What each service may ask of the others: worked out once for a look."""
        return Others(self.state.services, self.state.nation, self.now_ms)

    @cached_property
    def _lacking(self) -> dict[str, str]:
        """Of each site whose scheduled drill is overdue or failed, the sentence."""
        return {drill.site: drill.lacking for drill in self.drills if drill.lacking}

    def explained(self, service: ServiceState) -> Explanation:
        """One service as it is shown, with what the rules do not look at: whether it is drilled."""
        around = care(self.state.nation, service, self.now_ms)
        told, why = explain(service, self.now_ms, around, self.others), self.not_drilled(service)
        return structs.replace(told, drilled=False, not_drilled=why) if why else told

    def not_drilled(self, service: ServiceState) -> str:
        """Why nobody knows by trying that the service may leave its site and come back; empty
        where that is known, or no drill of its sites is scheduled."""
        sites = dict.fromkeys(replica.site for replica in service.spec.replicas)
        return "; ".join(self._lacking[site] for site in sites if site in self._lacking)

    def pair_drilled(self, pair: Pair) -> bool | None:
        """Whether no scheduled drill of its sites is overdue or failed; None where none is
        scheduled."""
        scheduled = [one for one in self.drills if one.schedule and one.site in pair.sites]
        return all(not one.lacking for one in scheduled) if scheduled else None

    @property
    def services(self) -> tuple[ServiceState, ...]:
        """In the order of the configuration."""
        return tuple(self.state.services.values())

    def heard_ago_ms(self, agent: str) -> int:
        """-1 when this life of the controller never heard it."""
        heard_ms = self.heard_ms.get(agent)
        return -1 if heard_ms is None else self.now_ms - heard_ms

    def agent_up(self, agent: str) -> bool:
        """Whether the agent is heard. A hint for people; nothing is decided by it."""
        patience_ms = max(3 * self.topology.controller.report_interval_ms, AGENT_PATIENCE_MS)
        return 0 <= self.heard_ago_ms(agent) <= patience_ms

    def agents_of(self, site: str) -> tuple[Agent, ...]:
        """The agents that stand in a site."""
        return tuple(agent for agent in self.topology.agents if agent.site == site)

    def site_up(self, site: str) -> bool:
        """Whether any agent of the site is heard."""
        return any(self.agent_up(agent.id) for agent in self.agents_of(site))

    def services_of(self, pair: Pair) -> tuple[ServiceState, ...]:
        """The services whose copies stand in a pair."""
        return tuple(
            service
            for service in self.services
            if {replica.site for replica in service.spec.replicas} <= set(pair.sites)
        )

    def pair_protected(self, pair: Pair) -> bool:
        """Whether every service of the pair could be taken over now."""
        return all(protected(service, self.now_ms) for service in self.services_of(pair))
