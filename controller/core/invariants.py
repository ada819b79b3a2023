"""What every change of a record must satisfy, checked in production too.

A broken invariant is a bug in the rules: the change is refused, and the controller stops
rather than act on it.
"""

from __future__ import annotations

from controller.core.model import LEASED_PHASES, HeldFor, Phase, Record

NO_WAY_BACK = (Phase.PROMOTING, Phase.ROUTING)


class InvariantBroken(AssertionError):
    """The rules tried a change that the safety rule forbids."""


def check_change(old: Record, new: Record) -> None:
    """Raise InvariantBroken unless `new` may follow `old`."""
    _demand(new.revision > old.revision, old, new, "the revision must grow")
    _demand(new.term >= old.term, old, new, "the term must not fall")
    _demand(new.epoch >= old.epoch, old, new, "the epoch must not fall")
    _demand(new.primary != new.backup, old, new, "primary and backup must differ")
    promotes = new.phase is Phase.PROMOTING and old.phase is not Phase.PROMOTING
    if promotes:
        _demand(_may_promote(old), old, new, "only where no lease is granted may one promote")
        _demand(new.epoch == old.epoch + 1, old, new, "a promotion takes the next epoch")
        _demand(new.primary == old.backup, old, new, "only the backup may be promoted")
    elif old.phase is not Phase.HELD:
        same_reign = (new.epoch, new.primary) == (old.epoch, old.primary)
        _demand(same_reign, old, new, "only a promotion begins a new reign")
    if old.phase in NO_WAY_BACK:
        forward = new.phase in (*NO_WAY_BACK, Phase.ALONE, Phase.HELD)
        _demand(forward, old, new, "after the swap there is no way back")
    if new.maintenance is not None:
        of_backup = new.phase is Phase.ALONE and new.maintenance.agent == new.backup
        _demand(of_backup, old, new, "only a backup whose primary stands alone is in maintenance")
    _check_force(old, new)
    if new.blocks:
        waits = new.phase not in (*NO_WAY_BACK, Phase.ALONE)
        _demand(waits, old, new, "a service that blocks does not stand alone")
    if new.wait is not None:
        _demand(new.blocks, old, new, "only a service that blocks waits for its backup")
    if new.phase in LEASED_PHASES and old.phase in LEASED_PHASES:
        kept = new.backup_had_bytes >= old.backup_had_bytes
        _demand(kept, old, new, "what a sync backup had is not forgotten while it may take over")
        same = old.primary_key in ("", new.primary_key) and old.backup_key in ("", new.backup_key)
        _demand(same, old, new, "no machine is replaced while leases of it may count")
    if old.hold is not None:
        begins = new.phase in (Phase.DRAINING, Phase.COUNTDOWN) and new.phase is not old.phase
        _demand(not (promotes or begins), old, new, "under an integrity hold nobody is moved")
    if new.phase is Phase.PROTECTED:
        leased = old.phase in (*LEASED_PHASES, Phase.ARMING)
        _demand(leased, old, new, "only a primary that wants a lease becomes PROTECTED")


def _check_force(old: Record, new: Record) -> None:
    """A primary that is held for a force may be writing without a lease all the time."""
    was, is_forced = (r.held_for is HeldFor.FORCED for r in (old, new))
    if is_forced and not was:
        alone = old.phase in (Phase.ALONE, Phase.ARMING) or old.held_for is HeldFor.ILLNESS
        _demand(alone, old, new, "only a primary without a lease is failed over by force")
    if is_forced:
        asked = new.phase is Phase.HELD and new.approval is not None
        _demand(asked, old, new, "a force is held, and somebody asked for it")
        _demand(not new.blocks, old, new, "nobody is forced whose commits wait for the backup")
    if was:
        leads = new.phase in (Phase.HELD, Phase.ALONE, Phase.PROMOTING)
        _demand(leads, old, new, "from a force only a promotion or the way back to ALONE leads")


def _may_promote(old: Record) -> bool:
    """In DRAINING leases are granted, but the primary gave its own back before. Held for a force,
    the primary has none: its host is off, as two people say."""
    if old.phase is Phase.HELD:
        forced = old.held_for is HeldFor.FORCED and old.approval is not None
        return forced or old.held_for in (HeldFor.LOSS, HeldFor.CAPACITY)
    return old.phase in (Phase.COUNTDOWN, Phase.DRAINING)


def _demand(holds: bool, old: Record, new: Record, rule: str) -> None:
    if not holds:
        raise InvariantBroken(
            f"{old.service}: {rule}; from {old.phase.value} revision {old.revision} epoch "
            f"{old.epoch} to {new.phase.value} revision {new.revision} epoch {new.epoch}"
        )
