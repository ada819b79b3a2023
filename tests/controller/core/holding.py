"""For every row of a hold or a veto a situation in which it is the first that fires."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from msgspec.structs import replace

from controller.core.events import Kind
from controller.core.model import Hold, Phase, Protection
from controller.core.rows.hold import WAITING
from controller.core.site_model import Stage
from protocol.messages import Mode, Role
from tests.controller.core.given import NOW, B, Given, backup_report, primary_report

HOUR_MS = 3_600_000


def on_hold(phase: Phase, spent_ms: int = 0) -> Given:
    """An integrity hold of four hours that was placed so long ago, and nothing else to do."""
    hold = Hold("siti", "files are encrypted", "service", 4 * HOUR_MS)
    given = Given(phase, hold=hold).seen(hold_ms=NOW - spent_ms, following_since_ms=-1)
    given = given.silent() if phase is Phase.COUNTDOWN else given
    return given.primary(primary_report(mode=Mode.NONE, writable=False, role=Role.DOWN))


def _asked(phase: Phase, kind: Kind) -> Given:
    return on_hold(phase).asked(kind, for_ms=HOUR_MS)


HOLD_SITUATIONS: dict[tuple[str, Phase], Callable[[], Given]] = {
    **{("integrity_hold", phase): partial(_asked, phase, Kind.HOLD) for phase in Phase},
    **{
        ("hold_released", phase): partial(_asked, phase, Kind.RELEASE)
        for phase in Phase
        if phase is not Phase.DRAINING
    },
    **{("hold_over", phase): partial(on_hold, phase, 4 * HOUR_MS) for phase in WAITING},
    **{("hold_counted", phase): partial(on_hold, phase, HOUR_MS) for phase in WAITING},
}


def unwilling(phase: Phase, **changes: Any) -> Given:
    """A service whose backup's operator forbids to change its role."""
    given = Given(phase, **changes)
    told = backup_report(veto="siti: a new disk", veto_left_ms=HOUR_MS)
    if phase is Phase.COUNTDOWN:
        standing = primary_report(role=Role.STANDBY, writable=False, fenced=True)
        stopped = {"primary_heard": False, "stopped": True, "promise_left_ms": 0}
        return given.stopped().primary(standing).backup(replace(told, **stopped))
    if phase is Phase.ARMING:
        given.primary(primary_report(mode=Mode.ALONE))
    # It proved a commit after this was said.
    return given.backup(told, 200)


VETO_SITUATIONS: dict[tuple[str, Phase], Callable[[], Given]] = {
    ("backup_vetoes", Phase.PROTECTED): partial(unwilling, Phase.PROTECTED),
    ("backup_vetoes_in_arming", Phase.ARMING): partial(unwilling, Phase.ARMING),
    ("backup_vetoes_in_countdown", Phase.COUNTDOWN): partial(unwilling, Phase.COUNTDOWN),
    ("backup_vetoes_in_block", Phase.COUNTDOWN): partial(
        unwilling, Phase.COUNTDOWN, blocks=True, protection=Protection.SYNC
    ),
    ("backup_vetoes_in_drain", Phase.DRAINING): partial(unwilling, Phase.DRAINING),
}


def unused(phase: Phase, stage: Stage = Stage.SUSPENDED, **changes: Any) -> Given:
    """The backup stands in a site that is not active."""
    given = Given(phase, **changes)
    replicas = (replace(r, stage=stage) if r.agent == B else r for r in given.spec.replicas)
    if phase is Phase.COUNTDOWN:
        standing = primary_report(role=Role.STANDBY, writable=False, fenced=True)
        given.stopped().primary(standing)
    return given.seen(spec=replace(given.spec, replicas=tuple(replicas)))


STAGE_SITUATIONS: dict[tuple[str, Phase], Callable[[], Given]] = {
    ("backup_out_of_use", Phase.PROTECTED): partial(unused, Phase.PROTECTED),
    ("backup_out_of_use_in_arming", Phase.ARMING): partial(unused, Phase.ARMING),
    ("backup_out_of_use_in_countdown", Phase.COUNTDOWN): partial(unused, Phase.COUNTDOWN),
    ("backup_out_of_use_in_block", Phase.COUNTDOWN): partial(
        unused, Phase.COUNTDOWN, blocks=True, protection=Protection.SYNC
    ),
    ("backup_out_of_use_in_drain", Phase.DRAINING): partial(unused, Phase.DRAINING),
}
