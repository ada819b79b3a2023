"""Takes documents of the feeds in, polled or posted, and keeps count of what becomes of them.

A document that is not understood, and an entry that is old, far, malformed or known already,
changes nothing and is counted. What leads to caution goes to the rules, which store it.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections import Counter, OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from enum import StrEnum

from msgspec import Struct
from msgspec.structs import replace

from config.hazards import Feed
from config.topology import Topology
from controller.core.actions import Answer
from controller.core.events import Cautioned
from controller.core.site_model import Caution
from controller.core.sites.cautions import AT_A_SITE_AT_MOST
from controller.hazards import bmkg, usgs
from controller.hazards.judge import Outcome, judge
from controller.hazards.quakes import Quake, Told, UnfitDocument

DOCUMENT_AT_MOST_BYTES = 4 * 2**20
"""A month of all earthquakes of the USGS is larger; a week of those that matter is not."""

KNOWN_AT_MOST = 20_000
READERS: dict[str, Callable[[bytes], Told]] = {"bmkg": bmkg.read, "usgs": usgs.read}
SOURCES = {"bmkg": bmkg.SOURCE, "usgs": usgs.SOURCE}

Submit = Callable[[Cautioned], Awaitable[Answer]]


class Arrival(StrEnum):
    """What becomes of a document, or of the question for one."""

    UNDERSTOOD = "understood"
    UNCHANGED = "unchanged"
    """The feed says that there is nothing new."""
    MALFORMED = "malformed"
    TOO_LARGE = "too_large"
    FAILED = "failed"
    """No document came."""


class NoSuchFeed(Exception):
    """The configuration declares no feed of that name."""


class Taken(Struct, frozen=True):
    """What came of one document."""

    feed: str
    source: str
    entries: dict[str, int]
    """How many, by what became of them."""
    cautions: tuple[Caution, ...]
    unfit: tuple[str, ...] = ()
    """Why entries were set aside, the first few."""
    refused: str = ""
    """Why some of the cautions find no place; empty when all do."""


@dataclass
class Heard:
    """What was heard of one feed in this life of the controller."""

    documents: Counter[str] = field(default_factory=Counter)
    entries: Counter[str] = field(default_factory=Counter)
    heard_ms: int | None = None
    """When a document was last understood, or nothing was new; on the controller's clock."""
    problem: str = ""
    """Why the last one was not; empty when it was."""


class FeedView(Struct, frozen=True):
    """One feed as it stands."""

    name: str
    format: str
    source: str
    url: str
    age_ms: int
    """Since it was last heard; -1 if it never was in this life of the controller."""
    silent_ms: int
    """Since it was last heard, or since this life of the controller began."""
    stale_after_ms: int
    """0: never."""
    stale: bool
    problem: str
    documents: dict[str, int]
    entries: dict[str, int]


def _bounded(cautions: list[Caution]) -> tuple[Caution, ...]:
    """Of more than a site keeps those that end last: each is stored and told of by itself."""
    by_site: dict[str, list[Caution]] = {}
    for caution in sorted(cautions, key=lambda c: c.begun_at_ms + c.for_ms, reverse=True):
        by_site.setdefault(caution.site, []).append(caution)
    return tuple(c for found in by_site.values() for c in found[:AT_A_SITE_AT_MOST])


class HazardDesk:
    """One for a controller. All calls come on its loop."""

    def __init__(
        self,
        topology: Callable[[], Topology],
        submit: Submit,
        clock: Callable[[], int],
        wall_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._topology = topology
        self._submit = submit
        self._clock = clock
        self._wall_ms = wall_ms
        self._began_ms = clock()
        self._heard: dict[str, Heard] = {}
        self._known: OrderedDict[Quake, None] = OrderedDict()
        self._judged_for: Topology | None = None

    def feed(self, name: str) -> Feed:
        """The declared feed of that name. Raises NoSuchFeed."""
        for feed in self._topology().hazards.feeds:
            if feed.name == name:
                return feed
        raise NoSuchFeed(name)

    async def take(self, name: str, raw: bytes) -> Taken:
        """Read a document, and let the rules know of what asks for caution.

        Raises NoSuchFeed, UnfitDocument, and what a request to the rules raises: then it may be
        sent again, for nothing of it is known yet.
        """
        feed = self.feed(name)
        heard = self._of(name)
        try:
            # A long document takes a tenth of a second, for which the rules must not wait.
            told = await asyncio.to_thread(READERS[feed.format], raw)
        except UnfitDocument as error:
            self.failed(name, Arrival.MALFORMED, str(error))
            raise
        topology = self._topology()
        taken, settled = await asyncio.to_thread(self._judged, feed, topology, told)
        if taken.cautions:
            event = Cautioned(taken.cautions, self._wall_ms(), uuid.uuid4().hex)
            answer = await self._submit(event)
            taken = replace(taken, refused="" if answer.accepted else answer.text)
        self._remember(topology, settled)
        heard.documents[Arrival.UNDERSTOOD] += 1
        heard.entries.update(taken.entries)
        heard.heard_ms, heard.problem = self._clock(), ""
        return taken

    def unchanged(self, name: str) -> None:
        """The feed says that there is nothing new."""
        heard = self._of(name)
        heard.documents[Arrival.UNCHANGED] += 1
        heard.heard_ms, heard.problem = self._clock(), ""

    def failed(self, name: str, arrival: Arrival, problem: str) -> None:
        """No document came, or none that can be read."""
        heard = self._of(name)
        heard.documents[arrival] += 1
        heard.problem = problem

    def feeds(self) -> tuple[FeedView, ...]:
        """All declared feeds, in the order of the file."""
        return tuple(self._view(feed) for feed in self._topology().hazards.feeds)

    def _judged(self, feed: Feed, topology: Topology, told: Told) -> tuple[Taken, list[Quake]]:
        """What comes of it, and what need not be judged again. Changes nothing here."""
        at_ms = self._wall_ms()
        counts: Counter[str] = Counter({outcome.value: 0 for outcome in Outcome})
        counts[Outcome.MALFORMED] = len(told.unfit)
        cautions: list[Caution] = []
        known = self._known if topology is self._judged_for else {}
        new = [quake for quake in dict.fromkeys(told.quakes) if quake not in known]
        counts[Outcome.KNOWN] = len(told.quakes) - len(new)
        settled = []
        for quake in new:
            judged = judge(quake, topology.sites, topology.hazards, at_ms)
            counts[judged.outcome] += 1
            cautions += judged.cautions
            # One of the future may be an honest one later, when our clock is right.
            if judged.outcome is not Outcome.FUTURE:
                settled.append(quake)
        source = SOURCES[feed.format]
        taken = Taken(feed.name, source, dict(counts), _bounded(cautions), told.unfit[:3])
        return taken, settled

    def _remember(self, topology: Topology, quakes: list[Quake]) -> None:
        """Not to be judged again, as long as sites and thresholds are the same."""
        if topology is not self._judged_for:
            self._judged_for = topology
            self._known.clear()
        self._known.update(dict.fromkeys(quakes))
        while len(self._known) > KNOWN_AT_MOST:
            self._known.popitem(last=False)

    def _of(self, name: str) -> Heard:
        self.feed(name)
        return self._heard.setdefault(name, Heard())

    def _view(self, feed: Feed) -> FeedView:
        heard = self._heard.get(feed.name, Heard())
        since_ms = self._began_ms if heard.heard_ms is None else heard.heard_ms
        silent_ms = self._clock() - since_ms
        return FeedView(
            name=feed.name,
            format=feed.format,
            source=SOURCES[feed.format],
            url=feed.url or "",
            age_ms=-1 if heard.heard_ms is None else silent_ms,
            silent_ms=silent_ms,
            stale_after_ms=feed.stale_ms,
            stale=0 < feed.stale_ms < silent_ms,
            problem=heard.problem,
            documents=dict(heard.documents),
            entries=dict(heard.entries),
        )
