"""Cautions: what they are to a site while they last, and how they begin, end, and run out.

A caution takes planned moves away and asks a person instead. It moves nothing by itself, and no
row of the table reads it: an automatic failover of a dead primary goes on as if there were none.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from controller.core.actions import Action, Answer, KeepCautions, Note
from controller.core.events import Cautioned, CautionEnded, Kind, Requested
from controller.core.gates.maintenance import FOR_MOST_MS, span
from controller.core.happening import About, Happening
from controller.core.model import ServiceState, State
from controller.core.site_model import Caution, Nation

AT_A_SITE_AT_MOST = 16
"""So many are kept; of more, those of feeds that end first make room."""
REASON_AT_MOST = 500


def at(nation: Nation, site: str) -> tuple[Caution, ...]:
    """The cautions that are on at a site."""
    return tuple(c for c in nation.cautions if c.site == site and not c.ended)


def around(nation: Nation, service: ServiceState) -> tuple[Caution, ...]:
    """The cautions that are on where the primary or the backup of a service stands."""
    record, spec = service.record, service.spec
    copies = (spec.replica(agent) for agent in (record.primary, record.backup))
    sites = dict.fromkeys(copy.site for copy in copies if copy is not None)
    return tuple(caution for site in sites for caution in at(nation, site))


def left_ms(caution: Caution, now_ms: int) -> int:
    """What is left of it; 0 when it is over."""
    return max(0, caution.until_ms - now_ms)


def sentence(caution: Caution, now_ms: int) -> str:
    """`caution at batam, 5 h 10 min left: earthquake of M 6.2 ... (BMKG)`."""
    left = span(left_ms(caution, now_ms))
    return f"caution at {caution.site}, {left} left: {caution.text} ({caution.source})"


def resumed(nation: Nation, stored: Iterable[Caution], at_ms: int, now_ms: int) -> Nation:
    """With what an earlier life of the controller stored, as far as it is not over."""
    counted = (_counted(caution, at_ms, now_ms) for caution in stored)
    return replace(nation, cautions=tuple(c for c in counted if c.until_ms > now_ms))


def hear(state: State, event: Cautioned | CautionEnded, now_ms: int) -> tuple[State, list[Action]]:
    """Cautions begin, or a person ends some."""
    if isinstance(event, Cautioned):
        nation, actions = _take(state.nation, event, now_ms)
    else:
        nation, actions = _end(state.nation, event)
    return replace(state, nation=nation), actions


def run_out(state: State, now_ms: int) -> tuple[State, list[Action]]:
    """Forget those whose time is over. The store keeps them until it is next written: a later
    life of the controller finds them over by their own time."""
    known = state.nation.cautions
    if all(caution.until_ms > now_ms for caution in known):
        return state, []
    rest = tuple(c for c in known if c.until_ms > now_ms)
    notes: list[Action] = [_over(c) for c in known if c.until_ms <= now_ms and not c.ended]
    return replace(state, nation=replace(state.nation, cautions=rest)), notes


def objections(
    nation: Nation, service: ServiceState, event: Requested, now_ms: int
) -> tuple[str, ...]:
    """What is to be said against a planned move, for care is taken where it leads to."""
    if event.kind is not Kind.SWITCHOVER:
        return ()
    backup = service.spec.replica(service.record.backup)
    return tuple(sentence(c, now_ms) for c in at(nation, backup.site)) if backup else ()


def refusal(service: ServiceState, event: Requested, against: tuple[str, ...]) -> Answer:
    """The answer to who asks for a planned move without saying that it shall be despite it."""
    name = service.record.service
    text = f"switchover of {name} is refused: care is taken where it leads to"
    way = f"; `saling switchover {name} --despite-caution` moves it all the same"
    return Answer(event.id, False, text, tuple(one + way for one in against))


def noted(event: Requested, against: tuple[str, ...]) -> Requested:
    """The request, its reason saying what it was made in spite of."""
    despite = f"despite {'; '.join(against)}"
    reason = f"{event.reason}; {despite}" if event.reason else despite
    return replace(event, reason=reason[:REASON_AT_MOST])


def _take(nation: Nation, event: Cautioned, now_ms: int) -> tuple[Nation, list[Action]]:
    """Hear of what asks for care. What is known already, or over, changes nothing."""
    actions: list[Action] = []
    told = [_counted(caution, event.at_ms, now_ms) for caution in event.cautions]
    for caution in told:
        known = next((c for c in nation.cautions if _same(c, caution)), None)
        if caution.until_ms <= now_ms or not (caution.by or _says_more(known, caution)):
            continue
        others = tuple(c for c in nation.cautions if not _same(c, caution))
        kept = _bounded((*others, caution), caution.site)
        if caution not in kept:
            continue
        nation = replace(nation, cautions=kept)
        actions.append(_note(caution, "begins" if known is None else "goes on", caution.reason))
    if actions:
        actions.insert(0, KeepCautions(nation.cautions))
    if event.id:
        actions.append(Answer(event.id, True, _accepted(told, now_ms)))
    return nation, actions


def _end(nation: Nation, event: CautionEnded) -> tuple[Nation, list[Action]]:
    """A person ends them; one of a feed is remembered, so that the feed does not bring it back."""
    ended = [c for c in at(nation, event.site) if event.caution in ("", c.id)]
    if not ended:
        return nation, [Answer(event.id, True, f"no such caution is on at {event.site}")]
    who = f"{event.by}: {event.reason}" if event.reason else event.by
    cautions = tuple(replace(c, ended=who) if c in ended else c for c in nation.cautions)
    told = (replace(c, text=event.now or c.text) for c in ended)
    notes = [_note(c, "ends", event.reason, event.by) for c in told]
    count = "the caution" if len(ended) == 1 else f"{len(ended)} cautions"
    answer = Answer(event.id, True, f"{count} at {event.site} ended")
    return replace(nation, cautions=cautions), [KeepCautions(cautions), *notes, answer]


def _counted(caution: Caution, at_ms: int, now_ms: int) -> Caution:
    """With its end on the clock of the rules: never later than all of its time from now."""
    whole_ms = min(caution.for_ms, FOR_MOST_MS)
    rest_ms = min(whole_ms, caution.begun_at_ms + whole_ms - at_ms)
    return replace(caution, until_ms=now_ms + max(0, rest_ms))


def _same(one: Caution, other: Caution) -> bool:
    return (one.site, one.id) == (other.site, other.id)


def _says_more(known: Caution | None, told: Caution) -> bool:
    """Whether a feed's word changes anything: it shortens nothing, and revives nothing."""
    if known is None:
        return True
    later = told.begun_at_ms + told.for_ms >= known.begun_at_ms + known.for_ms
    return not known.ended and later and told.text != known.text


def _bounded(cautions: tuple[Caution, ...], site: str) -> tuple[Caution, ...]:
    at_site = (c for c in cautions if c.site == site)
    here = sorted(at_site, key=lambda c: (bool(c.by), c.until_ms))
    too_many = here[: max(0, len(here) - AT_A_SITE_AT_MOST)]
    return tuple(c for c in cautions if c not in too_many)


def _note(caution: Caution, what: str, reason: str, by: str = "") -> Note:
    because = f"{caution.text} ({caution.source})"
    site, by = caution.site, by or caution.by
    return Note(Happening(About.CAUTION, site, what, because, site, by=by, reason=reason))


def _over(caution: Caution) -> Note:
    because = f"its {span(caution.for_ms)} are over: {caution.text} ({caution.source})"
    return Note(Happening(About.CAUTION, caution.site, "is over", because, caution.site))


def _accepted(told: list[Caution], now_ms: int) -> str:
    return "; ".join(sentence(c, now_ms) for c in told if c.until_ms > now_ms) or "it is over"
