"""How one site looks at one moment, before it is known whether that lasts.

    healthy    some agent is heard, and nothing is the matter
    degraded   some agent is heard, and something lasts that is not as it should be
    cut off    nobody there is heard, and somebody else reaches it
    down       nobody there is heard, and most of all who should reach it say that they do not
    unknown    too few say anything; the controller may be the blind one

Losing observers never leads to `down`: those that are not heard count as not having said it, and
one that reached the site after the controller lost it counts as if it still did.
"""

from __future__ import annotations

from typing import NamedTuple

from controller.core.site_model import Health, Sign, SiteState, Stage
from controller.core.sites.look import STARTUP_MS, Answers, Look, Sight, ago, named
from controller.core.sites.signs import is_believed

BEST_FIRST = (Health.HEALTHY, Health.DEGRADED, Health.UNKNOWN, Health.CUT_OFF, Health.DOWN)
WORSE_AFTER_MS = 3000
BETTER_AFTER_MS = 15_000
REMEMBERED_MS = 600_000
"""The word of an observer that is lost itself is remembered for so long."""


class Verdict(NamedTuple):
    """How a site looks, and the operator's sentence for it."""

    health: Health
    because: str
    says_nothing: bool = False
    """Nothing can be said of the site: nobody can tell, or nothing is expected of it."""


def verdict(look: Look, site: SiteState, signs: tuple[Sign, ...], blind: str) -> Verdict:
    """How a site looks."""
    unjudged = _unjudged(look, site, blind)
    if unjudged:
        return Verdict(Health.UNKNOWN, unjudged, says_nothing=True)
    if look.heard_of(site):
        return _heard(look, site, signs)
    unheard = f"not heard for {ago(look.unheard_ms(site))}"
    observers, sights = look.observers(site), look.sights_of(site)
    reaching = [s for s in sights if s.is_heard and s.answers is Answers.YES]
    if reaching:
        return _cut_off(unheard, observers, reaching)
    return _unreached(look, site, unheard, observers, sights)


def dwell_ms(believed: Health, seen: Health) -> int:
    """For how long something must be seen before it is believed. Signs have lasted already."""
    if {believed, seen} == {Health.HEALTHY, Health.DEGRADED}:
        return 0
    better = BEST_FIRST.index(seen) < BEST_FIRST.index(believed)
    return BETTER_AFTER_MS if better and believed is not Health.UNKNOWN else WORSE_AFTER_MS


def _unjudged(look: Look, site: SiteState, blind: str) -> str:
    """Why nothing can be said of a site at all."""
    if site.spec.stage is not Stage.ACTIVE:
        return f"the site is {site.spec.stage.value}: nothing is expected of it"
    if not site.spec.agents:
        return "no agent is declared there: nobody speaks for it"
    expected_ms = look.expected_ms(site)
    if expected_ms < STARTUP_MS and not look.heard_of(site):
        return f"not heard in the {ago(expected_ms)} since the controller began to expect it"
    if blind and look.listening_ms >= STARTUP_MS:
        return f"{blind}, so it calls no site down"
    return ""


def _heard(look: Look, site: SiteState, signs: tuple[Sign, ...]) -> Verdict:
    believed = [sign for sign in signs if is_believed(sign, look.now_ms)]
    if believed:
        told = (f"{sign.kind}: {sign.text}{_last_seen(look, sign)}" for sign in believed)
        return Verdict(Health.DEGRADED, "; ".join(told))
    heard, sights = look.heard_of(site), look.sights_of(site)
    reaching = [s for s in sights if s.is_heard and s.answers is Answers.YES]
    return Verdict(
        Health.HEALTHY,
        f"{len(heard)} of {len(site.spec.agents)} agents heard; {len(reaching)} of "
        f"{len(look.observers(site))} agents of other sites reach it",
    )


def _last_seen(look: Look, sign: Sign) -> str:
    ago_ms = look.now_ms - sign.last_ms
    return f" (last seen {ago(ago_ms)} ago)" if ago_ms else ""


def _cut_off(unheard: str, observers: list[str], reaching: list[Sight]) -> Verdict:
    newest_ms = min(sight.age_ms for sight in reaching)
    return Verdict(
        Health.CUT_OFF,
        f"{unheard}, but {named(s.observer for s in reaching)} ({len(reaching)} of "
        f"{len(observers)} who should reach it) got an answer {ago(newest_ms)} ago: it lives, and "
        "does not reach the controller",
    )


def _unreached(
    look: Look, site: SiteState, unheard: str, observers: list[str], sights: list[Sight]
) -> Verdict:
    """Down, if most of those who should reach it say that they do not; else nobody knows."""
    denying = [s for s in sights if s.is_heard and s.answers is Answers.NO]
    lost = [agent for agent in observers if agent not in look.heard]
    text = f"{unheard}, and {len(denying)} of {len(observers)} who should reach it do not"
    if lost:
        text += f"; not heard themselves: {named(lost)}"
    proof = _proof_of_life(look, site, sights)
    if proof is not None:
        since = ago(proof.age_ms)
        return Verdict(
            Health.UNKNOWN, f"{text}; {proof.observer} reached it {since} ago, before it was lost"
        )
    if 2 * len(denying) <= len(observers):
        return Verdict(Health.UNKNOWN, f"{text}: too few to call it down")
    places = {sight.from_site for sight in denying}
    if len(places) == 1:
        text += f"; only {denying[0].from_site} looks, which may itself be cut off from it"
    return Verdict(Health.DOWN, text)


def _proof_of_life(look: Look, site: SiteState, sights: list[Sight]) -> Sight | None:
    """Who reached the site after the controller lost it, and is lost itself since."""
    for sight in sights:
        # What was answered before its last Report was missed proves nothing.
        margin_ms = 2 * look.nation.report_interval_ms
        later = sight.age_ms + margin_ms < look.unheard_ms(site) and sight.lost < sight.asked
        if not sight.is_heard and later and sight.age_ms <= REMEMBERED_MS:
            return sight
    return None
