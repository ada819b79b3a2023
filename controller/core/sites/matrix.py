"""The path matrix as people look at it: one line for each way from a site to another."""

from __future__ import annotations

from msgspec import Struct

from controller.core.sites.look import Answers, Look, overall


class Way(Struct, frozen=True):
    """What the agents of one site find of another."""

    from_site: str
    to_site: str
    answers: str
    """`reaches`, `does not reach`, or `not told`."""
    observers: int
    """Agents of the first that are heard and say anything of the other."""
    reaching: int
    """How many of them reach it."""
    asked: int
    lost: int
    round_trip_us: int
    """The median; 0 where nobody was answered."""
    age_ms: int
    """How long ago the last answer came; -1 where nobody says."""


SAID = {Answers.YES: "reaches", Answers.NO: "does not reach", Answers.UNTOLD: "not told"}


def matrix(look: Look) -> tuple[Way, ...]:
    """All ways between active sites, in the order of the configuration."""
    names = [site.spec.name for site in look.active]
    return tuple(_way(look, one, other) for one in names for other in names if one != other)


def _way(look: Look, one: str, other: str) -> Way:
    sights = [sight for sight in look.sights(one, other) if sight.is_heard]
    times_us = sorted(sight.round_trip_us for sight in sights if sight.round_trip_us)
    return Way(
        from_site=one,
        to_site=other,
        answers=SAID[overall(sights)],
        observers=len(sights),
        reaching=sum(sight.answers is Answers.YES for sight in sights),
        asked=sum(sight.asked for sight in sights),
        lost=sum(sight.lost for sight in sights),
        round_trip_us=times_us[(len(times_us) - 1) // 2] if times_us else 0,
        age_ms=min((sight.age_ms for sight in sights), default=-1),
    )
