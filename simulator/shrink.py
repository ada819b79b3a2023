"""Makes a failing run as small as it can, as a scenario that breaks the same rule.

Strikes go first, by halves and then one by one; then services and sites that are not needed,
bad weather, wrong clocks; then faults become shorter and times rounder. Each smaller scenario
is played, and kept only when the same rule breaks in it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from msgspec import Struct
from msgspec.structs import replace

from controller.core.model import Phase
from simulator.ending import TAKEOVER_SLACK_MS
from simulator.parts.network import HUB
from simulator.profiles import PROFILES
from simulator.run import Script
from simulator.scenarios.playing import FENCED, Played, play
from simulator.scenarios.script import Aim, Expectation, Scenario, Want
from simulator.setting import ServiceSetting, Setting
from simulator.strike import Strike, seconds
from simulator.world import World

TRIES_MOST = 600
ROUNDS_MOST = 4
SEEDS_TRIED = 4
"""How many other worlds are tried where one that is smaller throws its dice otherwise."""
ROUND_MS = (1000, 500, 100, 10)
SAME_RULE = {"I6": FENCED, "I7": FENCED, "takeover": "expect"}
"""What a broken rule is called in a scenario."""

Say = Callable[[str], None]


class Shrunk(Struct, frozen=True):
    """The smallest that was found, and how it breaks."""

    scenario: Scenario
    played: Played
    tries: int


def scenario_of(script: Script, broken: str) -> Scenario:
    """The same run as a scenario: its strikes, the healing, and what its profile demands."""
    profile = PROFILES[script.profile]
    heal_ms = World.begin_ms + script.seconds * 1000
    expectations: tuple[Expectation, ...] = ()
    if profile.must_not_fence:
        expectations = (Expectation(Want.FENCES_FOR_NOTHING, "nobody fenced for nothing"),)
    strikes, end_ms = script.strikes, 0
    if script.death:
        well, takeover = _takeover(script.setting, script.death, heal_ms)
        strikes, end_ms = (*strikes, script.death), takeover.until_ms
        expectations = (well, takeover)
    return Scenario(
        name=f"seed {script.seed}",
        story=(
            f"Shrunk from profile {script.profile}, seed {script.seed}, {script.seconds} seconds. "
            f"It broke:\n{broken}"
        ),
        seed=script.seed,
        setting=script.setting,
        strikes=strikes,
        heals_ms=(heal_ms,),
        expectations=expectations,
        end_ms=end_ms,
    )


def _takeover(setting: Setting, death: Strike, heal_ms: int) -> tuple[Expectation, Expectation]:
    """All is well when a site dies for good, and its partner serves in time."""
    dead = death.on[0]
    service = next(s for s in setting.services if dead in (s.primary, s.backup))
    partner = service.backup if dead == service.primary else service.primary
    until_ms = death.at_ms + service.terms.ttl_ms * 102 // 100 + TAKEOVER_SLACK_MS
    text = f"{service.name} writable at {partner} by {seconds(until_ms)}"
    well = f"{service.name} PROTECTED at {dead} by {seconds(death.at_ms)}"
    pair = Aim(phase=Phase.PROTECTED.value, primary=dead)
    return (
        Expectation(Want.REACHES, well, 0, heal_ms, death.at_ms, service.name, pair),
        Expectation(
            Want.REACHES, text, 0, death.at_ms, until_ms, service.name, Aim(writer=partner)
        ),
    )


def shrink(script: Script, broken: str, rule: str, say: Say) -> Shrunk | None:
    """The smallest that could be found; None when the scenario does not break as the run did.

    Who interrupts it gets the smallest so far.
    """
    start = scenario_of(script, broken)
    search = _Search(start, SAME_RULE.get(rule, rule), say, script.death)
    if not search.keeps(start):
        return None
    try:
        _search_on(search)
    except KeyboardInterrupt:
        say("interrupted: this is the smallest so far")
    return Shrunk(search.best, search.played, search.tries)


def _search_on(search: _Search) -> None:
    for _ in range(ROUNDS_MOST):
        before = search.best
        search.drop_strikes()
        for smaller in (_fewer_services, _fewer_sites, _plainer, _sooner, _shorter, _rounder):
            search.follow(smaller)
        if search.best == before:
            break


class _Search:
    """The best so far, and the way to a better one."""

    def __init__(
        self, scenario: Scenario, rule: str, say: Say, death: Strike | None = None
    ) -> None:
        self.best = scenario
        self.played = Played("", "", "", 0)
        self.tries = 0
        self._rule = rule
        self._say = say
        self._death = death
        """What must not be left out: without it nobody has to take over."""
        self._unmet = scenario.expectations[-1].text.partition(" by ")[0] if death else ""

    def keeps(self, candidate: Scenario) -> bool:
        """Whether the rule breaks in this one too: then it is the best one."""
        if self.tries >= TRIES_MOST or not self._dies(candidate):
            return False
        self.tries += 1
        played = play(candidate)
        if played.rule != self._rule or self._unmet not in played.broken:
            return False
        self.best, self.played = candidate, played
        setting = candidate.setting
        self._say(
            f"{self.tries} tries: {len(candidate.strikes)} strikes, {len(setting.services)} "
            f"services, {len(setting.sites)} sites, broken at {played.end_ms / 1000:.1f} s"
        )
        return True

    def _dies(self, candidate: Scenario) -> bool:
        death = self._death
        return death is None or any(
            (strike.verb, strike.on) == (death.verb, death.on) for strike in candidate.strikes
        )

    def drop_strikes(self) -> None:
        """Leave out as many as possible at once, then fewer, then each."""
        size = len(self.best.strikes)
        while size:
            start = 0
            while start < len(self.best.strikes):
                strikes = self.best.strikes
                rest = strikes[:start] + strikes[start + size :]
                if not self.keeps(replace(self.best, strikes=rest)):
                    start += size
            size //= 2

    def follow(self, smaller: Callable[[Scenario, Played], Iterator[Scenario]]) -> None:
        """Take the first that breaks too, and look from there again, until none does."""
        while any(self._keeps_somehow(c) for c in smaller(self.best, self.played)):
            pass

    def _keeps_somehow(self, candidate: Scenario) -> bool:
        """With the same dice, or with others where the world is another."""
        if candidate == self.best:
            return False
        other_world = candidate.setting != self.best.setting
        seeds = range(SEEDS_TRIED) if other_world else ()
        return self.keeps(candidate) or any(
            self.keeps(replace(candidate, seed=seed)) for seed in seeds
        )


def _fewer_services(scenario: Scenario, _: Played) -> Iterator[Scenario]:
    services = scenario.setting.services
    for gone in services if len(services) > 1 else ():
        left = tuple(service for service in services if service is not gone)
        yield _without(scenario, gone.name, replace(scenario.setting, services=left))


def _fewer_sites(scenario: Scenario, _: Played) -> Iterator[Scenario]:
    setting = scenario.setting
    used = {site for service in setting.services for site in (service.primary, service.backup)}
    for gone in setting.sites:
        if gone not in used:
            left = tuple(site for site in setting.sites if site != gone)
            rates = dict(zip((HUB, *setting.sites), setting.rates_ppm, strict=False))
            clocks = tuple(rates.get(place, 0) for place in (HUB, *left)) if rates else ()
            fences = tuple(map(setting.layers, left)) if setting.fences else ()
            pairs = tuple(pair for pair in setting.pairs if gone not in pair)
            limits = tuple(limit for limit in setting.capacities if limit[0] != gone)
            smaller = replace(
                setting, sites=left, rates_ppm=clocks, fences=fences, pairs=pairs, capacities=limits
            )
            yield _without(scenario, gone, smaller)


def _without(scenario: Scenario, name: str, setting: Setting) -> Scenario:
    strikes = tuple(strike for strike in scenario.strikes if name not in strike.on)
    expectations = tuple(e for e in scenario.expectations if e.service != name)
    return replace(scenario, setting=setting, strikes=strikes, expectations=expectations)


def _plainer(scenario: Scenario, _: Played) -> Iterator[Scenario]:
    setting = scenario.setting
    plain = {
        "rates_ppm": (),
        "weather": "calm",
        "ordered": True,
        "fences": (),
        "pairs": (),
        "goes_home": False,
        "capacities": (),
    }
    settings = [replace(setting, **{name: value}) for name, value in plain.items()]
    for place, ppm in enumerate(setting.rates_ppm):
        if ppm:
            rates = (*setting.rates_ppm[:place], 0, *setting.rates_ppm[place + 1 :])
            settings.append(replace(setting, rates_ppm=rates))
    for number, service in enumerate(setting.services):
        for changed in _plainer_service(service):
            services = (*setting.services[:number], changed, *setting.services[number + 1 :])
            settings.append(replace(setting, services=services))
    for changed_setting in settings:
        if changed_setting != setting:
            yield replace(scenario, setting=changed_setting)


def _plainer_service(service: ServiceSetting) -> list[ServiceSetting]:
    usual = ServiceSetting(service.name, service.primary, service.backup)
    return [
        replace(service, lease=usual.lease),
        replace(service, protection=usual.protection, backup_loss=usual.backup_loss),
        replace(service, backup_loss=usual.backup_loss),
        replace(service, local_clients=usual.local_clients),
        replace(service, loss_bound_bytes=usual.loss_bound_bytes),
        replace(service, write_bytes=usual.write_bytes, write_every_ms=usual.write_every_ms),
    ]


def _sooner(scenario: Scenario, played: Played) -> Iterator[Scenario]:
    """Heal as soon as the rule is broken, or, where that comes later, after the last strike."""
    if len(scenario.heals_ms) != 1 or not scenario.must_end_well:
        return
    (heal_ms,) = scenario.heals_ms
    least_ms = max((strike.at_ms for strike in scenario.strikes), default=0)
    broken_ms = max(least_ms, -(-played.end_ms // 1000) * 1000)
    for sooner_ms in (broken_ms, least_ms + 1000, (least_ms + heal_ms) // 2000 * 1000):
        if least_ms <= sooner_ms < heal_ms:
            yield replace(scenario, heals_ms=(sooner_ms,))


def _shorter(scenario: Scenario, _: Played) -> Iterator[Scenario]:
    for number, strike in enumerate(scenario.strikes):
        for for_ms in (strike.for_ms // 4, strike.for_ms // 2, strike.for_ms * 3 // 4):
            if for_ms >= 100:
                yield _with(scenario, number, replace(strike, for_ms=for_ms))


def _rounder(scenario: Scenario, _: Played) -> Iterator[Scenario]:
    for number, strike in enumerate(scenario.strikes):
        for grain_ms in ROUND_MS:
            for_ms = max(grain_ms, _round(strike.for_ms, grain_ms)) if strike.for_ms else 0
            if strike.for_ms % grain_ms:
                yield _with(scenario, number, replace(strike, for_ms=for_ms))
            if strike.at_ms % grain_ms:
                at_ms = _round(strike.at_ms, grain_ms)
                yield _with(scenario, number, replace(strike, at_ms=at_ms))


def _round(ms: int, grain_ms: int) -> int:
    return (ms + grain_ms // 2) // grain_ms * grain_ms


def _with(scenario: Scenario, number: int, strike: Strike) -> Scenario:
    """With another strike in place of one, and all of them in the order of their time."""
    strikes = (*scenario.strikes[:number], strike, *scenario.strikes[number + 1 :])
    in_order = tuple(sorted(strikes, key=lambda struck: struck.at_ms))
    return replace(scenario, strikes=in_order)
