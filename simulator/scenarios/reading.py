"""Reads a scenario: lines of plain words, each checked against the world that it makes.

The grammar is told in docs/simulator.md. What stands below a line of dashes is what was
recorded when it was last played, and no part of the scenario.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from msgspec.structs import replace

from config.tiers import TIERS
from controller.core.model import BackupLoss, DiskFilling, Protection
from controller.core.plan_model import Failback
from controller.core.site_model import Stage
from simulator.faults.base import Takes
from simulator.faults.catalogue import VERBS
from simulator.parts.clock import RATE_MOST_PPM
from simulator.parts.fence import LAYERS
from simulator.parts.network import HUB
from simulator.scenarios.expecting import read_expectation
from simulator.scenarios.script import REQUESTS, Expectation, Scenario
from simulator.scenarios.words import ScenarioError, Words
from simulator.setting import AILMENTS, LEASES, WEATHERS, ServiceSetting, Setting
from simulator.strike import Strike, seconds

DASHES = "----"
MOVES = "moves-when-filling"
"""The service is to be moved when the disk of its primary fills."""


@dataclass
class Draft:
    """What has been read so far."""

    file: str
    story: list[str] = field(default_factory=list)
    seed: int | None = None
    sites: tuple[str, ...] = ()
    services: dict[str, ServiceSetting] = field(default_factory=dict)
    weather: str = "calm"
    ordered: bool = True
    clocks: dict[str, int] = field(default_factory=dict)
    fences: dict[str, tuple[str, ...]] = field(default_factory=dict)
    planned: tuple[str, ...] = ()
    pairs: list[tuple[str, str]] = field(default_factory=list)
    goes_home: bool = False
    capacities: dict[str, int] = field(default_factory=dict)
    strikes: list[Strike] = field(default_factory=list)
    heals_ms: list[int] = field(default_factory=list)
    expectations: list[Expectation] = field(default_factory=list)
    now_ms: int = 0
    """The time of the last `at`."""
    ended_ms: int = 0
    """When `at ... end` stands; 0 before."""

    @property
    def places(self) -> tuple[str, ...]:
        return (HUB, *self.sites)


def split(text: str) -> tuple[str, str]:
    """The scenario itself, and what was recorded of it."""
    head: list[str] = []
    lines = text.splitlines(keepends=True)
    for number, line in enumerate(lines):
        if line.strip() == DASHES:
            return "".join(head), "".join(lines[number + 1 :])
        head.append(line)
    return text, ""


def read(text: str, file: str) -> Scenario:
    """The scenario that a text tells. Raises ScenarioError."""
    draft = Draft(file)
    for number, line in enumerate(split(text)[0].splitlines(), 1):
        stripped = line.strip()
        if stripped.startswith("#"):
            if not draft.services:
                draft.story.append(stripped.lstrip("# "))
        elif stripped:
            _read_line(draft, Words(file, number, stripped.partition(" #")[0]))
    return _finish(draft)


def _read_line(draft: Draft, words: Words) -> None:
    command = words.one_of(COMMANDS, "what a line may begin with")
    if command in ("at", "expect") and not draft.services:
        raise words.error(command, "comes too early", "declare sites and services first")
    COMMANDS[command](draft, words)
    words.end()


def _seed(draft: Draft, words: Words) -> None:
    if draft.seed is not None:
        raise words.error("seed", "stands here for the second time", "leave one of them out")
    draft.seed = words.number_of("a seed")


def _sites(draft: Draft, words: Words) -> None:
    if draft.sites:
        raise words.error("sites", "stands here for the second time", "name all sites in one line")
    while words:
        site = words.next("a site")
        if site in draft.places:
            raise words.error(site, "is a place already", "give each site a name of its own")
        draft.sites = (*draft.sites, site)


def _pair(draft: Draft, words: Words) -> None:
    paired = [site for pair in draft.pairs for site in pair]
    one = words.one_of([s for s in draft.sites if s not in paired], "a site without a partner")
    left = [s for s in draft.sites if s not in (one, *paired)]
    draft.pairs.append((one, words.one_of(left, "another site without a partner")))


def _capacity(draft: Draft, words: Words) -> None:
    site = words.one_of([s for s in draft.sites if s not in draft.capacities], "another site")
    draft.capacities[site] = words.number_of("how many cores it has")


def _service(draft: Draft, words: Words) -> None:
    name = words.next("the service's name")
    if name in draft.services or name in draft.places:
        raise words.error(name, "is the name of something else", "give it a name of its own")
    words.need("at")
    primary = words.one_of(draft.sites, "a site")
    words.need("backed", "by")
    backup = words.one_of([s for s in draft.sites if s != primary], "another site")
    service = ServiceSetting(name=name, primary=primary, backup=backup)
    while words:
        service = _property(service, words)
    draft.services[name] = service


def _property(service: ServiceSetting, words: Words) -> ServiceSetting:
    known = (*LEASES, *TIERS, "async", "sync", "block", "bound", "writes", "local", "group",
             "demands", MOVES)  # fmt: skip
    word = words.one_of(known, "what a service may have")
    if word in LEASES:
        return replace(service, lease=word)
    if word in TIERS:
        return replace(service, tier=word)
    if word == "local":
        words.need("clients")
        return replace(service, local_clients=True)
    if word == "group":
        group = words.next("the name of a group")
        return replace(service, group=group, order=words.number_of("its place in the group"))
    if word == "demands":
        return replace(service, demand=words.number_of("how many cores it needs"))
    if word == "block":
        return replace(service, protection=Protection.SYNC, backup_loss=BackupLoss.BLOCK)
    if word == MOVES:
        return replace(service, disk_filling=DiskFilling.SWITCHOVER)
    if word == "bound":
        return replace(service, loss_bound_bytes=words.size_bytes())
    if word == "writes":
        size_bytes = words.size_bytes()
        words.need("every")
        every_ms = max(1, words.duration_ms())
        return replace(service, write_bytes=size_bytes, write_every_ms=every_ms)
    return replace(service, protection=Protection(word))


def _weather(draft: Draft, words: Words) -> None:
    draft.weather = words.one_of(WEATHERS, "a weather")


def _messages(draft: Draft, words: Words) -> None:
    draft.ordered = words.one_of(("ordered", "unordered"), "an order of messages") == "ordered"


def _clock(draft: Draft, words: Words) -> None:
    place = words.one_of(draft.places, "a site or hub")
    way = words.one_of(("fast", "slow"), "how a clock runs")
    words.need("by")
    ppm = words.number_of("parts in a million")
    words.need("ppm")
    if not 0 <= ppm <= RATE_MOST_PPM:
        most = f"write 0 to {RATE_MOST_PPM}: the rules are made for clocks that are no worse"
        raise words.error(str(ppm), "is out of range", most)
    draft.clocks[place] = ppm if way == "fast" else -ppm


def _fence(draft: Draft, words: Words) -> None:
    site = words.one_of(draft.sites, "a site")
    layers: tuple[str, ...] = ()
    while words or not layers:
        layers = (*layers, words.one_of(LAYERS, "a layer outside of the guard"))
    draft.fences[site] = layers


def _failback(draft: Draft, words: Words) -> None:
    ways = [failback.value for failback in Failback]
    draft.goes_home = words.one_of(ways, "how services go back") == Failback.AFTER_DWELL


def _planned(draft: Draft, words: Words) -> None:
    while words or not draft.planned:
        draft.planned = (*draft.planned, words.one_of(draft.sites, "a site"))


def _at(draft: Draft, words: Words) -> None:
    at_ms = words.duration_ms()
    if at_ms < draft.now_ms:
        now = seconds(draft.now_ms)
        raise words.error(seconds(at_ms), f"comes after {now}", "write what happens in its order")
    if draft.ended_ms:
        raise words.error("at", "comes after the end", "write `at ... end` last")
    draft.now_ms = at_ms
    if words.take("heal"):
        draft.heals_ms.append(at_ms)
    elif words.take("end"):
        draft.ended_ms = at_ms
    else:
        draft.strikes.append(_strike(draft, words))


def _strike(draft: Draft, words: Words) -> Strike:
    name = words.one_of((*VERBS, "heal", "end"), "what may happen")
    verb = VERBS["isolate"] if name == "cut" and _is_alone(words) else VERBS[name]
    on = [_victim(draft, takes, words) for takes in verb.takes]
    if verb.optional and words and not words.rest.startswith("for "):
        on += [_victim(draft, takes, words) for takes in verb.optional]
    if len(set(on[:2])) < len(on[:2]) and Takes.PLACE in verb.takes:
        raise words.error(on[1], "is named twice", "name another place")
    for_ms = words.duration_ms() if words.take("for") else 0
    if verb.must_end and not for_ms:
        mend = "write `for` and a time, for it cannot be healed"
        raise words.error(name, "must come to an end by itself", mend)
    return Strike(draft.now_ms, verb.name, tuple(on), for_ms)


def _is_alone(words: Words) -> bool:
    """Whether `cut` names one place only: it is cut off from all others."""
    return len(words.rest.partition(" for ")[0].split()) == 1


def _victim(draft: Draft, takes: Takes, words: Words) -> str:
    if takes is Takes.NUMBER:
        return str(words.number_of(takes.value))
    among: dict[Takes, Iterable[str]] = {
        Takes.PLACE: draft.places,
        Takes.SITE: draft.sites,
        Takes.SERVICE: draft.services,
        Takes.LEASE: LEASES,
        Takes.PROTECTION: [protection.value for protection in Protection],
        Takes.BACKUP_LOSS: [policy.value for policy in BackupLoss],
        Takes.AILMENT: AILMENTS,
        Takes.STAGE: [stage.value for stage in Stage if stage is not Stage.RETIRED],
    }
    return words.one_of(among[takes], takes.value)


def _expect(draft: Draft, words: Words) -> None:
    expectation = read_expectation(words, draft.sites, draft.services, draft.now_ms)
    if expectation.request == "?":
        expectation = _answer(draft, words, expectation)
    draft.expectations.append(expectation)


def _answer(draft: Draft, words: Words, expectation: Expectation) -> Expectation:
    asked = sum(strike.verb in REQUESTS for strike in draft.strikes)
    if not asked:
        mend = f"ask for something above it: {', '.join(REQUESTS)}"
        raise words.error(expectation.want.value, "answers nothing", mend)
    return replace(expectation, request=f"request-{asked}")


def _finish(draft: Draft) -> Scenario:
    if not draft.services:
        raise ScenarioError(f"{draft.file}: it has no service; write sites and services")
    named = [draft.now_ms, *(e.until_ms for e in draft.expectations)]
    end_ms = draft.ended_ms or max(named)
    if end_ms < max(named):
        raise ScenarioError(
            f"{draft.file}: it ends at {seconds(end_ms)}, before {seconds(max(named))} which it "
            "expects; move the end"
        )
    rates = tuple(draft.clocks.get(place, 0) for place in draft.places) if draft.clocks else ()
    fences = tuple(draft.fences.get(site, ()) for site in draft.sites) if draft.fences else ()
    services = tuple(draft.services.values())
    setting = Setting(
        draft.sites, services, draft.weather, draft.ordered, rates, fences, tuple(draft.pairs),
        tuple(draft.capacities.items()), draft.goes_home, draft.planned,
    )  # fmt: skip
    return Scenario(
        name=draft.file,
        story="\n".join(draft.story),
        seed=draft.seed or 0,
        setting=setting,
        strikes=tuple(draft.strikes),
        heals_ms=tuple(draft.heals_ms),
        expectations=tuple(draft.expectations),
        end_ms=end_ms,
    )


COMMANDS: dict[str, Callable[[Draft, Words], None]] = {
    "seed": _seed,
    "sites": _sites,
    "pair": _pair,
    "capacity": _capacity,
    "service": _service,
    "weather": _weather,
    "messages": _messages,
    "clock": _clock,
    "fence": _fence,
    "failback": _failback,
    "planned": _planned,
    "at": _at,
    "expect": _expect,
}
