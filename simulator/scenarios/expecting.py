"""Reads what a scenario expects: a state, a bound on loss, no fence, or an answer."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from controller.core.model import Phase
from simulator.scenarios.script import Aim, Expectation, Want
from simulator.scenarios.words import Words
from simulator.strike import seconds

PHASES = tuple(phase.value for phase in Phase)


def read_expectation(
    words: Words, sites: tuple[str, ...], services: Iterable[str], now_ms: int
) -> Expectation:
    """What stands after `expect`. An answer's request is `?`: the reader knows which it is."""
    text, names = words.rest, tuple(services)
    known = (*names, "no", "at", "nobody", "accepted", "refused")
    first = words.one_of(known, "a service, nor no, at most, nobody, accepted, refused")
    if first in names:
        expectation = _read_state(words, sites, first, now_ms)
    elif first == "no":
        expectation = _read_no_loss(words, names)
    elif first == "at":
        expectation = _read_loss(words, names)
    elif first == "nobody":
        words.need("fenced")
        nothing = words.take("for")
        if nothing:
            words.need("nothing")
        want = Want.FENCES_FOR_NOTHING if nothing else Want.FENCES_NOBODY
        expectation = Expectation(want, "")
    else:
        said = words.quoted() if words else ""
        expectation = Expectation(Want(first), "", words=said, request="?")
    return replace(expectation, text=text, line=words.number, from_ms=now_ms)


def _read_state(words: Words, sites: tuple[str, ...], name: str, now_ms: int) -> Expectation:
    stays = words.take("stays")
    aim = _read_aim(words, sites)
    said = words.quoted() if words.take("because") else ""
    words.need("until" if stays else "by")
    until_ms = words.duration_ms()
    if until_ms <= now_ms:
        now = seconds(now_ms)
        raise words.error(seconds(until_ms), f"is not after {now}", f"write more than {now}")
    want = Want.STAYS if stays else Want.REACHES
    return Expectation(want, "", until_ms=until_ms, service=name, aim=aim, words=said)


def _read_aim(words: Words, sites: tuple[str, ...]) -> Aim:
    first = words.one_of((*PHASES, "at", "writable"), "a phase, nor at, writable")
    if first == "at":
        return Aim(primary=words.one_of(sites, "a site"))
    if first == "writable":
        where = words.one_of(("at", "nowhere"), "where it is writable")
        return Aim(writer=words.one_of(sites, "a site") if where == "at" else "")
    primary = words.one_of(sites, "a site") if words.take("at") else None
    return Aim(phase=first, primary=primary)


def _read_no_loss(words: Words, names: tuple[str, ...]) -> Expectation:
    words.need("write")
    service = words.one_of(names, "a service") if words.take("of") else ""
    words.need("lost")
    return Expectation(Want.LOSES, "", service=service)


def _read_loss(words: Words, names: tuple[str, ...]) -> Expectation:
    words.need("most")
    most_bytes = words.size_bytes()
    words.need("of")
    service = words.one_of(names, "a service")
    words.need("lost")
    return Expectation(Want.LOSES, "", service=service, most_bytes=most_bytes)
