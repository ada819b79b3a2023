"""What the controller sees of all sites at one moment: whom it hears, and who reaches whom.

Ages of answers are on the observer's clock; how long ago its word came is added on the
controller's. So nobody's clock is compared with another's.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from enum import Enum
from typing import Final, NamedTuple

from controller.core.gates.maintenance import span
from controller.core.model import ServiceState
from controller.core.site_model import AgentSeen, Nation, SiteState, Stage
from controller.core.sites.probes import observers_of
from protocol.messages import Path

HEARD_WITHIN_MS = 2000
"""An agent that is unheard for this long, or for three reports, is not heard."""
REACHED_WITHIN_MS = 5000
"""A way on which no answer came for this long is cut: five probes in a row were lost."""
STARTUP_MS = 8000
"""A controller that has listened for less than this has not heard everybody yet."""
NAMED_AT_MOST = 3


class Answers(Enum):
    """What an observer says of a site."""

    YES = "reaches it"
    NO = "does not reach it"
    UNTOLD = "has not tried for long enough"


class Sight(NamedTuple):
    """One observer's word of one other site."""

    observer: str
    from_site: str
    to_site: str
    is_heard: bool
    """Whether the controller hears the observer itself now."""
    answers: Answers
    age_ms: int
    """Since the last answer of any of its agents, or since they are asked, if none ever came."""
    asked: int
    lost: int
    """Of those agents that answer lately; of all where none does."""
    round_trip_us: int
    """The median way's; 0 where nobody answered."""


class Copy(NamedTuple):
    """One copy of a service, by its agent."""

    service: ServiceState
    agent: str


class Look:
    """Made once for a judgement; whoever is judged asks it."""

    def __init__(self, nation: Nation, services: Iterable[ServiceState], now_ms: int) -> None:
        self.nation: Final = nation
        self.services: Final = tuple(services)
        self.now_ms: Final = now_ms
        self.active: Final[tuple[SiteState, ...]] = tuple(
            site for site in nation.sites.values() if site.spec.stage is Stage.ACTIVE
        )
        patience_ms = max(3 * nation.report_interval_ms, HEARD_WITHIN_MS)
        self.heard: Final = {
            agent: seen
            for agent, seen in nation.agents.items()
            if now_ms - seen.heard_ms <= patience_ms
        }
        self._place = {agent: site.spec.name for site in self.active for agent in site.spec.agents}
        self.copies: Final[dict[str, list[Copy]]] = defaultdict(list)
        """By site: the copies that stand there."""
        self._between: dict[tuple[str, ...], list[str]] = defaultdict(list)
        for service in self.services:
            self._note_copies(service)
        self._sights: dict[tuple[str, str], list[Sight]] = defaultdict(list)
        for agent, seen in nation.agents.items():
            if agent in self._place:
                self._note_sights(agent, seen)

    @property
    def listening_ms(self) -> int:
        """For how long this life of the controller has listened."""
        return self.now_ms - self.nation.began_ms

    def expected_ms(self, site: SiteState) -> int:
        """For how long it has expected to hear of a site: one that was activated is new to it."""
        return self.now_ms - max(self.nation.began_ms, site.expected_since_ms)

    @property
    def blind(self) -> str:
        """Why the controller is probably the one that is cut off; empty when it is not."""
        home = self.nation.home
        expected = [site for site in self.active if site.spec.agents and not self._is_new(site)]
        heard = [site for site in expected if self.heard_of(site)]
        agents = [agent for agent in self._place if agent in self.heard]
        text = (
            f"the controller hears {len(agents)} of {len(self._place)} agents, at {len(heard)} of "
            f"{len(expected)} sites"
        )
        # Sites and not agents: else the death of one with most of the agents were its own.
        if 2 * len(heard) < len(expected):
            return f"{text}: it is probably the blind one itself; it stands in {home}"
        away = [site for site in expected if site.spec.name != home]
        if away and not any(site in heard for site in away):
            return f"{text}, and nobody outside of {home}, where it stands: it is probably cut off"
        return ""

    def _is_new(self, site: SiteState) -> bool:
        """Whether it may well be that it was not heard yet."""
        return self.expected_ms(site) < STARTUP_MS and not self.heard_of(site)

    def heard_of(self, site: SiteState) -> list[str]:
        """The agents of a site that are heard."""
        return [agent for agent in site.spec.agents if agent in self.heard]

    def unheard_ms(self, site: SiteState) -> int:
        """For how long nobody of a site was heard, by this life of the controller."""
        seen = (self.nation.agents.get(agent) for agent in site.spec.agents)
        last_ms = max((one.heard_ms for one in seen if one), default=self.nation.began_ms)
        return min(self.now_ms - last_ms, self.expected_ms(site))

    def observers(self, site: SiteState) -> list[str]:
        """Who should see a site: agents of all other active ones, heard or not."""
        return list(observers_of(self.nation, site.spec.name))

    def others(self, site: SiteState) -> list[SiteState]:
        """All other active sites. Told apart by name: a site that is judged is a newer copy."""
        return [one for one in self.active if one.spec.name != site.spec.name]

    def sights(self, from_site: str, to_site: str) -> list[Sight]:
        """What the agents of one site say of another."""
        return self._sights[(from_site, to_site)]

    def sights_of(self, site: SiteState) -> list[Sight]:
        """What all others say of a site."""
        name = site.spec.name
        return [sight for one in self.others(site) for sight in self.sights(one.spec.name, name)]

    def between(self, one: str, other: str) -> tuple[str, ...]:
        """Services whose primary stands at one of two sites, and whose backup at the other."""
        return tuple(self._between.get(tuple(sorted((one, other))), ()))

    def _note_copies(self, service: ServiceState) -> None:
        record, places = service.record, []
        for replica in service.spec.replicas:
            self.copies[replica.site].append(Copy(service, replica.agent))
            if replica.agent in (record.primary, record.backup):
                places.append(replica.site)
        if len(places) == 2:
            self._between[tuple(sorted(places))].append(record.service)

    def _note_sights(self, observer: str, seen: AgentSeen) -> None:
        ago_ms, from_site = self.now_ms - seen.heard_ms, self._place[observer]
        by_site: dict[str, list[Path]] = defaultdict(list)
        for path in seen.paths:
            to_site = self._place.get(path.to, from_site)
            if to_site != from_site and path.asked:
                by_site[to_site].append(path)
        for to_site, paths in by_site.items():
            # An agent that is away is no loss of the way to the others.
            answered = [path for path in paths if not _is_late(path, ago_ms)] or paths
            sight = Sight(
                observer=observer,
                from_site=from_site,
                to_site=to_site,
                is_heard=observer in self.heard,
                answers=_answers(paths, ago_ms),
                age_ms=ago_ms + min(path.answer_age_ms for path in paths),
                asked=sum(path.asked for path in answered),
                lost=sum(path.lost for path in answered),
                round_trip_us=_median([p.round_trip_us for p in paths if p.round_trip_us]),
            )
            self._sights[(from_site, to_site)].append(sight)


def overall(sights: Iterable[Sight]) -> Answers:
    """What those who are heard say together: one who reaches it is enough."""
    told = [sight.answers for sight in sights if sight.is_heard]
    if Answers.YES in told:
        return Answers.YES
    return Answers.NO if Answers.NO in told else Answers.UNTOLD


def ago(duration_ms: int) -> str:
    """`4.2 s`, `45 s`, `40 min`."""
    return f"{duration_ms / 1000:.1f} s" if duration_ms < 30_000 else span(duration_ms)


def named(names: Iterable[str]) -> str:
    """`a, b, c and 4 more`."""
    listed = list(dict.fromkeys(names))
    rest = len(listed) - NAMED_AT_MOST
    shown = ", ".join(listed[:NAMED_AT_MOST])
    return f"{shown} and {rest} more" if rest > 0 else shown


def _answers(paths: list[Path], ago_ms: int) -> Answers:
    in_time = [path for path in paths if not _is_late(path, ago_ms)]
    if any(path.asked > path.lost for path in in_time):
        return Answers.YES
    return Answers.UNTOLD if in_time else Answers.NO


def _is_late(path: Path, ago_ms: int) -> bool:
    return ago_ms + path.answer_age_ms > REACHED_WITHIN_MS


def _median(values: list[int]) -> int:
    return sorted(values)[(len(values) - 1) // 2] if values else 0
