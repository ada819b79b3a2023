"""A sync service whose commits wait for a lost backup (`backup_loss: block`): what the table of
phases asks about it.

Such a service is bound when its pair is armed. From then on no row relaxes its engine, but a
takeover, an announced maintenance, or a configuration that says otherwise.
"""

from __future__ import annotations

from controller.core.conditions.condition import Condition
from controller.core.conditions.pair import backup_follows, backup_stands
from controller.core.model import BackupLoss, Phase, Protection
from controller.core.moment.view import View, cannot_take_over
from protocol.messages import Role


def is_wanted(view: View) -> bool:
    """Whether commits shall wait for a lost backup, as far as the protection in force allows it."""
    sync = view.record.protection is Protection.SYNC
    return sync and view.spec.backup_loss is BackupLoss.BLOCK


def in_force(view: View) -> str:
    """What a sync service does now when its backup is lost; empty for an async one."""
    if view.record.protection is not Protection.SYNC:
        return ""
    return (BackupLoss.BLOCK if view.record.blocks else BackupLoss.ALONE).value


def weakened(view: View) -> str:
    """What the primary of a sync service reports of settings that weaken it."""
    sync = view.record.protection is Protection.SYNC
    return view.primary.weakened if sync and view.primary is not None else ""


def warnings(view: View) -> tuple[str, ...]:
    """What lets commits of a sync service through that no backup has."""
    primary, weak = view.primary, weakened(view)
    if view.record.protection is not Protection.SYNC or primary is None:
        return ()
    unable = could_not_take_over(view) if view.record.blocks else ""
    cancelled = (
        f"{primary.cancelled_waits} commits stopped waiting for the backup since the agent of "
        f"{view.record.primary} began: their clients got a warning, or no answer, and they may "
        "stand at one site only; see docs/runbooks/sync-service.md"
    )
    return (
        f"commits at {view.record.primary} need not wait for the backup: {weak}" if weak else "",
        cancelled if primary.cancelled_waits else "",
        f"{view.record.backup} could not take over: {unable}; commits go on, for it gets them all"
        if unable
        else "",
    )


def could_not_take_over(view: View) -> str:
    """Why a backup that gets every commit could not take over; empty when it could."""
    return cannot_take_over(view.backup) if view.backup and _streams(view) else ""


def _streams(view: View) -> bool:
    backup = view.backup
    return backup is not None and backup.role is Role.STANDBY and backup.streaming


def _is_back(view: View) -> bool:
    """One that could not take over gets every commit all the same."""
    if could_not_take_over(view):
        return view.backup_now is not None and view.is_copy(view.backup_now)
    return backup_stands(view) and backup_follows(view)


def _has_changed(view: View) -> bool:
    """A pair that is being armed is bound once it is, not before."""
    blocks, wanted = view.record.blocks, is_wanted(view)
    return blocks is not wanted and (blocks or view.record.phase is Phase.PROTECTED)


may_stand_alone = Condition(
    "may_stand_alone",
    lambda v: not v.record.blocks,
    "{primary} may stand alone without {backup}",
    "commits of {service} wait for {backup} (`backup_loss: block`)",
)
must_wait = Condition(
    "must_wait",
    lambda v: v.record.blocks,
    may_stand_alone.no,
    may_stand_alone.yes,
)
may_be_forced = Condition(
    "may_be_forced",
    may_stand_alone.test,
    may_stand_alone.yes,
    may_stand_alone.no + "; `backup_loss: alone` in the controller's file and `saling reload` end "
    "that",
)
is_waiting = Condition(
    "is_waiting",
    lambda v: v.record.wait is not None,
    "commits wait for {backup}",
    "no commit is said to wait for {backup}",
)
not_waiting = Condition(
    "not_waiting", lambda v: v.record.wait is None, is_waiting.no, is_waiting.yes
)
backup_streams_not = Condition(
    "backup_streams_not",
    lambda v: not _streams(v),
    "{backup} does not stream",
    "{backup} streams, so that no commit waits for it",
)
backup_is_back = Condition(
    "backup_is_back",
    _is_back,
    "{backup} follows",
    "{backup} does not follow ({backup_doing})",
)
backup_is_sync = Condition(
    "backup_is_sync",
    lambda v: v.primary_now is not None and v.primary_now.sync_active,
    "the engine of {primary} counts {backup} in",
    "the engine of {primary} does not count {backup} in yet",
)
backup_has_all = Condition(
    "backup_has_all",
    lambda v: v.record.protection is Protection.SYNC and v.loss_bytes == 0,
    "{backup} has all that it ever had, and so all that was acknowledged",
    "{backup} is not known to have all that was acknowledged: a takeover loses {estimated_loss}",
)
backup_does_not_stand = Condition(
    "backup_does_not_stand",
    lambda v: not backup_stands(v),
    backup_stands.no,
    backup_stands.yes,
)
backup_loss_changed = Condition(
    "backup_loss_changed",
    _has_changed,
    "the configuration has another `backup_loss`",
    "`backup_loss` is that of the configuration",
)
