"""For every row of an approval by two, or of a force, a situation in which it fires first."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from msgspec.structs import replace

from controller.core.events import Kind
from controller.core.model import Approval, HeldFor, LastWord, Phase
from tests.controller.core.given import NOW, Given

P = Phase
ASKED_LESS = Approval("siti", 1, 10)


def strategic(given: Given) -> Given:
    """It takes two people to accept its loss."""
    return given.seen(spec=replace(given.spec, tier="strategis"))


def force_asked(phase: Phase, held_for: HeldFor) -> Given:
    """The primary stood alone, and nothing is heard of it any more."""
    given = Given(phase, held_for=held_for).stopped(stopped=False)
    return given.seen(entered_ms=NOW - 9000).asked(Kind.FORCE, epoch=1)


def forced() -> Given:
    """One person asked for the force, and every promise has run out under it."""
    given = Given(P.HELD, held_for=HeldFor.FORCED, approval=Approval("siti", 1, -1)).stopped()
    return given.seen(approved_ms=NOW - 1000, primary_heard_ms=NOW - 9000, caught_up_ms=NOW - 9000)


def proved(**changes: Any) -> Given:
    """Another one states that the host is off."""
    proof = {"by": "budi", "epoch": 1, "proof": "the rack has no power, seen at 14:02"}
    return forced().asked(Kind.PROVE, **(proof | changes))


FORCE_SITUATIONS: dict[tuple[str, Phase], Callable[[], Given]] = {
    ("loss_approved_by_one", P.HELD): lambda: (
        strategic(Given(P.HELD, held_for=HeldFor.LOSS, last_word=LastWord(10**9, 0, 0)))
        .stopped()
        .asked(Kind.APPROVE, epoch=1, loss_bytes=10**9)
    ),
    ("approval_ended", P.HELD): lambda: Given(
        P.HELD, held_for=HeldFor.LOSS, approval=ASKED_LESS
    ).silent(),
    ("approval_ended", P.COUNTDOWN): lambda: Given(P.COUNTDOWN, approval=ASKED_LESS).silent(),
    **{
        ("force_asked", phase): partial(force_asked, phase, held_for=reason)
        for phase, reason in (
            (P.ALONE, HeldFor.NOTHING),
            (P.ARMING, HeldFor.NOTHING),
            (P.HELD, HeldFor.ILLNESS),
        )
    },
    ("primary_heard_in_force", P.HELD): lambda: forced().seen(primary_heard_ms=NOW - 5),
    ("backup_hears_in_force", P.HELD): lambda: forced().stopped(primary_heard=True),
    ("force_given_up", P.HELD): lambda: forced().asked(Kind.END_FORCE),
    ("force_ran_out", P.HELD): lambda: forced().seen(approved_ms=-1, primary_heard_ms=-1),
    ("force_proved", P.HELD): proved,
}
