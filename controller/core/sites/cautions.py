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
"""So many are kept. One more takes the place of a feed's that ends before it, or is refused; a
person's word takes that of any feed's, and gives its own up to nobody."""
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
    refused: list[Caution] = []
    told = [_counted(caution, event.at_ms, now_ms) for caution in event.cautions]
    for caution in told:
        known = next((c for c in nation.cautions if _same(c, caution)), None)
        if caution.until_ms <= now_ms or not (caution.by or _says_more(known, caution)):
            continue
        others = tuple(c for c in nation.cautions if not _same(c, caution))
        stay = _beside(others, caution)
        if stay is None:
            refused.append(caution)
            continue
        nation = replace(nation, cautions=(*stay, caution))
        actions.append(_note(caution, "begins" if known is None else "goes on", caution.reason))
        actions += [_made_room(c, caution) for c in others if c not in stay and not c.ended]
    if actions:
        actions.insert(0, KeepCautions(nation.cautions))
    if event.id:
        on = [c for c in nation.cautions if not c.ended and any(_same(c, one) for one in told)]
        taken = "; ".join(sentence(caution, now_ms) for caution in on)
        actions.append(_answer(event.id, refused, taken))
    return nation, actions


def _end(nation: Nation, event: CautionEnded) -> tuple[Nation, list[Action]]:
    """A person ends them; those of feeds are remembered, so that no feed brings them back."""
    ended = [c for c in at(nation, event.site) if event.caution in ("", c.id)]
    if not ended:
        return nation, [Answer(event.id, True, f"no such caution is on at {event.site}")]
    who = f"{event.by}: {event.reason}" if event.reason else event.by
    rest = (c for c in nation.cautions if c not in ended or not c.by)
    cautions = tuple(replace(c, ended=who) if c in ended else c for c in rest)
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


def _beside(others: tuple[Caution, ...], caution: Caution) -> tuple[Caution, ...] | None:
    """Which others stay beside one that is new; None where it finds no place."""
    here = [c for c in others if c.site == caution.site]
    if len(here) < AT_A_SITE_AT_MOST:
        return others
    first = min((c for c in here if not c.by), key=lambda c: c.until_ms, default=None)
    if first is None or not (caution.by or first.until_ms < caution.until_ms):
        return None
    return tuple(c for c in others if c is not first)


def _note(caution: Caution, what: str, reason: str, by: str = "") -> Note:
    because = f"{caution.text} ({caution.source})"
    site, by = caution.site, by or caution.by
    return Note(Happening(About.CAUTION, site, what, because, site, by=by, reason=reason))


def _made_room(caution: Caution, new: Caution) -> Note:
    because = f"it makes room for another one, {new.id}: {caution.text} ({caution.source})"
    return Note(Happening(About.CAUTION, caution.site, "makes room", because, caution.site))


def _over(caution: Caution) -> Note:
    because = f"its {span(caution.for_ms)} are over: {caution.text} ({caution.source})"
    return Note(Happening(About.CAUTION, caution.site, "is over", because, caution.site))


def _answer(request_id: str, refused: list[Caution], taken: str) -> Answer:
    """What became of all that was said: `taken` are the sentences of what is on."""
    if not refused:
        return Answer(request_id, True, taken or "it is over, or a person ended it before")
    sites = dict.fromkeys(caution.site for caution in refused)
    text = (
        f"no more cautions are kept at {' and '.join(sites)}: {AT_A_SITE_AT_MOST} are, each of "
        "them a person's, or a feed's that ends later"
    )
    mends = tuple(
        f"end one first: `saling caution list` names them, `saling caution end {site} --id ID` "
        "ends it"
        for site in sites
    )
    return Answer(request_id, False, f"{text}; taken: {taken}" if taken else text, mends)
