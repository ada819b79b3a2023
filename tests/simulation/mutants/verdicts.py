"""How the sites are: cut off and down told apart, and believed only when that lasts."""

from __future__ import annotations

from collections.abc import Sequence

from controller.core.site_model import Health, SiteState, Steady
from controller.core.sites import health, judge
from controller.core.sites.health import Verdict
from controller.core.sites.look import Answers, Look, Sight
from controller.core.sites.steady import settled
from simulator.strike import Strike
from tests.simulation.mutants.base import Mutant, Patch
from tests.simulation.night import Pairs


def silent_observers_are_not_counted(patch: Patch) -> None:
    """Who says nothing of a site is none of those who should reach it."""
    unreached = health._unreached

    def of_those_who_say(
        look: Look, site: SiteState, unheard: str, observers: list[str], sights: list[Sight]
    ) -> Verdict:
        saying = [s.observer for s in sights if s.is_heard and s.answers is not Answers.UNTOLD]
        return unreached(look, site, unheard, saying, sights)

    patch.setattr(health, "_unreached", of_those_who_say)


def cut_off_is_called_down(patch: Patch) -> None:
    """That somebody else reaches a site is not asked."""

    def down(unheard: str, _observers: list[str], _reaching: list[Sight]) -> Verdict:
        return Verdict(Health.DOWN, unheard)

    patch.setattr(health, "_cut_off", down)


def word_of_the_lost_is_forgotten(patch: Patch) -> None:
    """Who reached the site after the controller had lost it, and is lost since, said nothing."""
    patch.setattr(health, "_proof_of_life", lambda *_asked: None)


def verdict_is_believed_at_once(patch: Patch) -> None:
    """A site is what it looks like at this moment."""

    def at_once(
        steady: Steady, seen: str, order: Sequence[str], _dwell_ms: int, now_ms: int
    ) -> Steady:
        return settled(steady, seen, order, 0, now_ms)

    patch.setattr(judge, "settled", at_once)


def well_again_is_believed_soon(patch: Patch) -> None:
    """A site that was lost is well as soon as it is heard again."""
    patch.setattr(health, "BETTER_AFTER_MS", 1000)


FEW_SAY = Pairs(
    Strike(10_000, "crash-host", ("alpha",), 20_000),
    Strike(10_000, "cut", ("hub", "delta"), 20_000),
    *(Strike(at_ms, "kill-agent", ("charlie",), 500) for at_ms in (12_500, 15_500, 18_500)),
)
"""Only bravo says that it does not reach alpha; charlie has not tried for long enough."""
CUT_OFF = Pairs(Strike(10_000, "cut", ("hub", "alpha"), 6_000))
LAST_TO_REACH_IT = Pairs(
    *(Strike(10_000, "cut", ("alpha", place), 14_000) for place in ("bravo", "delta", "hub")),
    Strike(16_000, "cut", ("charlie", "hub"), 9_000),
)
"""charlie reaches alpha, and is lost itself."""

MUTANTS = (
    Mutant(
        silent_observers_are_not_counted, "sites", ("verdict",), "sites", seconds=18, night=FEW_SAY
    ),
    Mutant(cut_off_is_called_down, "sites", ("verdict",), "sites", night=CUT_OFF),
    Mutant(
        word_of_the_lost_is_forgotten, "sites", ("verdict",), "sites", seconds=20,
        night=LAST_TO_REACH_IT,
    ),
    Mutant(verdict_is_believed_at_once, "sites", ("verdict",), "sites", night=CUT_OFF),
    Mutant(well_again_is_believed_soon, "sites", ("verdict",), "sites", seconds=25, night=CUT_OFF),
)  # fmt: skip
