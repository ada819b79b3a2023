"""A sync service whose commits wait for a lost backup, and where each row of that fires."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from msgspec.structs import replace

from controller.core.model import BackupLoss, HeldFor, Phase, Protection, Wait
from protocol.messages import Mode
from tests.controller.core.given import NOW, Given, backup_report, primary_report

P = Phase


def bound(phase: Phase, **changes: Any) -> Given:
    """Sync, and its commits wait for a lost backup."""
    given = Given(phase, blocks=True, protection=Protection.SYNC, **changes)
    wanted = replace(given.spec, protection=Protection.SYNC, backup_loss=BackupLoss.BLOCK)
    return given.seen(spec=wanted)


def bound_no_more(phase: Phase) -> Given:
    reason = HeldFor.ILLNESS if phase is P.HELD else HeldFor.NOTHING
    told = primary_report(mode=Mode.NONE, illness="shared" if reason else "")
    given = bound(phase, held_for=reason).primary(told)
    return given.seen(spec=replace(given.service.spec, backup_loss=BackupLoss.ALONE))


BLOCK_SITUATIONS: dict[tuple[str, Phase], Callable[[], Given]] = {
    ("commits_wait", P.PROTECTED): lambda: bound(P.PROTECTED).backup(backup_report(), 9000),
    ("commits_wait", P.ARMING): lambda: bound(P.ARMING).backup(None).seen(entered_ms=NOW - 9000),
    ("commits_go_on", P.PROTECTED): lambda: bound(P.PROTECTED, wait=Wait(5000)).primary(
        primary_report(sync_active=True)
    ),
    ("backup_away_in_countdown", P.COUNTDOWN): lambda: (
        bound(P.COUNTDOWN).backup(None).seen(entered_ms=NOW - 9000, proven_ms=NOW - 9500)
    ),
    ("well_again_bound", P.HELD): lambda: bound(P.HELD, held_for=HeldFor.ILLNESS),
    ("backup_caught_up", P.HELD): lambda: bound(P.HELD, held_for=HeldFor.LOSS).stopped(),
    **{
        ("new_backup_loss", phase): partial(bound_no_more, phase)
        for phase in (P.PROTECTED, P.ARMING, P.HELD)
    },
}
