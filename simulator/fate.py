"""Decides which faults strike whom and when: at random, and right after things change."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import TYPE_CHECKING, TypeVar

from controller.core.model import Record
from controller.core.plan_model import Plan
from simulator.faults.catalogue import DRAWS
from simulator.parts.service import Service
from simulator.profiles import Profile
from simulator.strike import Strike
from simulator.watch import Watch

if TYPE_CHECKING:
    from simulator.world import World

T = TypeVar("T")
SOON_MS = (30, 400)
"""How soon after a change a strike may follow: before its Orders are there, or a while after."""


class Fate(Watch):
    """One seed's faults. Its dice are its own, so that the world's fall the same without it."""

    def __init__(self, world: World, profile: Profile, dice: Random, end_ms: int) -> None:
        self.world = world
        self._profile = profile
        self._dice = dice
        self._begin_ms = world.begin_ms
        self._end_ms = end_ms
        kinds = [k for k in profile.kinds if not profile.swarm or self.chance(0.6)]
        self._kinds = kinds or list(profile.kinds)
        self._weights = [profile.kinds[k] for k in self._kinds]
        self._gap_ms = self.choice((400, 1000, 2500, 6000))
        self._reactive = self.choice((0.0, 0.15, 0.4))
        self._soon_ms = self.choice(SOON_MS)
        self._long = self.choice((0.1, 0.3, 0.6))
        self._only_site = self.choice(world.setting.sites)
        world.kernel.first_at(self._begin_ms, self._strike_again)

    def swapped(self, now_ms: int, old: Record | None, new: Record) -> None:
        """A bad moment: something changed just now."""
        if self._begin_ms <= now_ms < self._end_ms and self.chance(self._reactive):
            self.world.kernel.first_at(now_ms + self.between(1, self._soon_ms), self._strike)

    def planned(self, now_ms: int, old: Plan | None, new: Plan) -> None:
        """Likewise."""
        if self._begin_ms <= now_ms < self._end_ms and self.chance(self._reactive):
            self.world.kernel.first_at(now_ms + self.between(1, self._soon_ms), self._strike)

    def _strike_again(self) -> None:
        self._strike()
        kernel = self.world.kernel
        gap_ms = 1 + int(self._dice.expovariate(1 / self._gap_ms))
        if kernel.now_ms + gap_ms < self._end_ms:
            kernel.first_at(kernel.now_ms + gap_ms, self._strike_again)

    def _strike(self) -> None:
        kind = self._dice.choices(self._kinds, self._weights)[0]
        for strike in DRAWS[kind](self):
            if strike.at_ms < self._end_ms:
                self.world.strike(strike)

    # What a drawing asks.

    def strike(self, verb: str, *on: str, for_ms: int = 0, after_ms: int = 0) -> Strike:
        """One from now on, or after a while."""
        return Strike(self.world.kernel.now_ms + after_ms, verb, on, for_ms)

    def chance(self, probability: float) -> bool:
        return self._dice.random() < probability

    def between(self, low: int, high: int) -> int:
        """A whole number from low to high, both included."""
        return self._dice.randint(low, high)

    def choice(self, among: Sequence[T]) -> T:
        return self._dice.choice(among)

    def shuffled(self, among: Sequence[T]) -> list[T]:
        return self._dice.sample(among, len(among))

    def duration_ms(self) -> int:
        """Long or short, as this seed likes it."""
        return self.between(2000, 12_000) if self.chance(self._long) else self.between(20, 2000)

    def service(self) -> Service:
        """Any service."""
        return self.choice(self.world.services)

    def record(self, service: Service) -> Record | None:
        """What the store says of it; None before there is a record."""
        return self.world.controller.store.records.get(service.uid)

    def may_strike(self, site: str) -> bool:
        """Whether a site is one whose hosts may be struck."""
        return not self._profile.one_site or site == self._only_site

    def two_places(self) -> tuple[str, str]:
        """Any two of the sites and the hub."""
        one, other = self._dice.sample(self.world.places, 2)
        return one, other

    def site(self) -> str:
        """One to strike: a primary's more often than not, where any will do."""
        if self._profile.one_site:
            return self._only_site
        record = self.record(self.service())
        if record is None:
            return self.choice(self.world.setting.sites)
        return (self.chance(0.4) and record.backup) or record.primary

    def copy(self) -> tuple[str, str]:
        """A site, and a service that has a copy there."""
        site = self.site()
        names = [s.name for s in self.world.services if site in s.engines]
        return (site, self.choice(names)) if names else self._any_copy()

    def _any_copy(self) -> tuple[str, str]:
        service = self.service()
        return self.choice(list(service.engines)), service.name
