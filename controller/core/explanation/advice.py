"""What whoever looks at a service at 3 a.m. should do now: the words for `explain` and status."""

from __future__ import annotations

from controller.core.conditions import stage as s
from controller.core.conditions import veto as v
from controller.core.conditions.disk import primary_disk_low
from controller.core.conditions.facts import told
from controller.core.conditions.pair import loss_unbearable, primary_proves
from controller.core.explanation.refusal import doing, force_refused
from controller.core.gates import approvals, maintenance, turns
from controller.core.model import HeldFor, Phase
from controller.core.moment.view import View, cannot_take_over

ADVICE = {
    Phase.PROTECTED: "Nothing to do. If {primary} falls silent, {backup} takes over.",
    Phase.ALONE: "{primary} writes, but nobody could take over: see to {backup} ({backup_doing}).",
    Phase.ARMING: "{primary} writes; it is about to take a lease from {backup}.",
    Phase.DRAINING: "A planned move is under way; it goes on or back by itself.",
    Phase.COUNTDOWN: "The lease of {primary} runs out; then {backup} takes over by itself.",
    Phase.PROMOTING: "{primary} is becoming primary; if it cannot, mend its engine: there is no "
    "way back.",
    Phase.ROUTING: "Traffic is moving to {primary}.",
}
TURN_ADVICE = (
    "{ahead} of the group {group} goes first, and is on its way to {backup_site}; then {backup} "
    "takes over by itself. If that takes long, `saling explain` of it says what it waits for."
)
PAUSED_ADVICE = (
    "Automatic failover is paused ({paused}): if {primary} falls silent, nothing is moved until "
    "`saling resume {service}` or `saling failover {service}`."
)
UNFIT_ADVICE = (
    "If {primary} falls silent, {backup} takes over all the same, but it is not fit: {unfit}. Mend "
    "this first; until then no switchover is done."
)
FILLING_ADVICE = (
    "The disk of {primary} fills ({primary_disk}): free space there, or move the service before it "
    "stops: `saling switchover {service}` (its policy is `disk_filling: {disk_filling}`)."
)
FORGETFUL_ADVICE = (
    "{backup} cannot take over, for {cannot_take_over}. Once that is mended it goes on by itself "
    "({backup_doing})."
)
SILENT_ADVICE = (
    "{primary} has proved no commit for {silence}: its lease runs out, or has, and then nobody "
    "writes. {paused_advice}"
)
UNKNOWN_ADVICE = (
    "The controller hears too little to know how it stands now: look at the brokers and the "
    "agents. The replicas go on by their leases, but nothing can be ordered."
)
UNHEARD_ADVICE = (
    "{primary} is not heard, and nobody may take over: bring its site back. It is not known "
    "whether it writes. Only if its host is off for good: `saling failover {service} --force "
    "--epoch {epoch} --reason TEXT`, which takes two people and loses {estimated_loss}."
)
DEAD_ADVICE = (
    "The agent {primary} is heard, but its engine proves no commit ({primary_doing}): mend it "
    "there. Nobody else has all that was committed, so nobody else may take over."
)
FORSAKEN_ADVICE = (
    "{primary} is not heard, and nobody may take over: bring its site back. It is not known "
    "whether it writes. A force would be refused ({force_refused}): where that cannot be mended "
    "without {primary}, only its site or a restore from a backup helps."
)
WAITING_ADVICE = (
    "Commits wait for {backup}: see to it ({backup_doing}), and they go on by themselves. To go on "
    "without it, so that what is committed stands only at {primary}: `saling maintenance begin "
    "--service {service} --for TIME --reason TEXT`, or `backup_loss: alone` in the configuration."
)
VETO_ADVICE = (
    "{backup} follows, and may not take over before an operator of its host allows it: "
    "`saling-agent release` there."
)
STAGE_ADVICE = (
    "{out_of_use}: nobody may take over before it is in use. Call it active in the configuration "
    "once its agents are there, then `saling reload`."
)
PAUSED_IN_HOLD_ADVICE = (
    "Automatic failover is paused ({paused}): room alone does not let it go on before `saling "
    "resume {service}`."
)
MAINTENANCE_ADVICE = (
    "{backup} is in maintenance, {maintenance_left}: nobody could take over meanwhile. The pair is "
    "armed again by itself when {backup} is back; `saling maintenance end --service {service}` "
    "ends it before."
)
OVERDUE_ADVICE = (
    "The maintenance of {backup} is {maintenance_left}: bring {backup} back ({backup_doing}), or "
    "announce more time: `saling maintenance begin --service {service} --for TIME --reason TEXT`."
)
ON_HOLD_ADVICE = (
    "An integrity hold is on ({hold_by}; {hold_left}): find out whether the data of {primary} are "
    "sound, then end it with `saling release {service}`. Until then nobody takes over."
)
HELD_ADVICE = {
    "loss": "Bring {primary} back, or accept the loss: `saling approve {service} --epoch {epoch} "
    "--loss-bytes {loss_bytes} --loss-seconds {loss_seconds} --reason TEXT`{more_people}.",
    "capacity": "{room}. Make room at {backup_site}, or bring {primary} back; it goes on by itself "
    "then. To let it come all the same: `saling approve {service} --epoch {epoch}{loss_beyond} "
    "--reason TEXT`{more_people}.",
    "forced": "{approved_by} asks to move it by force; that is good for {approval_left}. Make sure "
    "now that the host of {primary} is off and stays off, for no lease ends what it writes. "
    "{force_waits}Then somebody else says so: `saling failover {service} --force --epoch {epoch} "
    "--proof TEXT{force_figures}; or takes it back with `--give-up`.",
    "illness": "Mend the cause at {primary} ({illness}); it goes on by itself.",
    "restored": "Bring back the newer store, or accept what the agents know: `saling approve "
    "{service} --epoch {epoch} --reason TEXT`.",
    "adoption": "Both agents must be heard; it goes on by itself.",
}

ROOM_AND_LOSS_ADVICE = (
    "{room}; but a failover loses {estimated_loss}, only {accepted_loss} are accepted, so room "
    "alone does not let it go on. Bring {primary} back, or accept the loss, with or without room: "
    "`saling approve {service} --epoch {epoch}{loss_beyond} --reason TEXT`{more_people}."
)

WITHIN_BOUND = (
    "` (the loss of {loss} is within the bound of {bound}, and need not be named as long as it is)"
)
BEYOND_BOUND = (
    " --loss-bytes {loss_bytes} --loss-seconds {loss_seconds}`, with more than that where it grows "
    "still"
)

LOSS_NAMED = " --loss-bytes {loss_bytes} --loss-seconds {loss_seconds}"


def advice(view: View) -> str:
    """What to do now, in one or two sentences."""
    record = view.record
    text = _of_phase(view)
    if record.phase is Phase.PROTECTED and view.backup and view.unfit:
        text = UNFIT_ADVICE
    if record.phase is Phase.PROTECTED and primary_disk_low(view):
        text = FILLING_ADVICE
    if record.phase is Phase.PROTECTED and record.paused:
        text = PAUSED_ADVICE
    awaited = record.phase in (Phase.PROTECTED, Phase.COUNTDOWN)
    if record.wait is not None and record.phase in (Phase.PROTECTED, Phase.ARMING):
        text = WAITING_ADVICE
    if record.phase is Phase.PROTECTED and not primary_proves(view):
        text = _silent_advice(view)
    if awaited and view.backup and cannot_take_over(view.backup):
        text = FORGETFUL_ADVICE
    held = record.held_for in (HeldFor.LOSS, HeldFor.CAPACITY)
    stays = record.phase in (Phase.PROTECTED, Phase.COUNTDOWN) or held
    if record.hold is not None and stays and text is not UNKNOWN_ADVICE:
        text = ON_HOLD_ADVICE
    text = _while_kept(view, text)
    if record.maintenance is not None:
        text = OVERDUE_ADVICE if maintenance.time_is_over(view) else MAINTENANCE_ADVICE
    ill = record.held_for is HeldFor.ILLNESS
    if (record.phase in (Phase.ALONE, Phase.ARMING) or ill) and view.primary is None:
        text = FORSAKEN_ADVICE if force_refused(view) else UNHEARD_ADVICE
    elif record.phase in (Phase.ALONE, Phase.ARMING) and not primary_proves(view):
        text = DEAD_ADVICE
    loss = view.loss_bytes
    figures = WITHIN_BOUND if approvals.within_bound(view) else BEYOND_BOUND
    text = text.replace("{force_figures}", figures)
    text = text.replace("{loss_beyond}", "" if approvals.within_bound(view) else LOSS_NAMED)
    return told(
        text,
        view,
        force_refused=force_refused(view),
        loss_bytes=0 if loss is None else loss,
        loss_seconds=approvals.whole_seconds(view.loss_ms),
        more_people=_more_people(view),
        primary_doing=doing(view.primary),
        disk_filling=view.spec.disk_filling.value,
    )


def _kept_from(view: View) -> str:
    """What to do where people keep the backup from taking over; empty where they do not."""
    if s.backup_out_of_use(view):
        return STAGE_ADVICE
    return VETO_ADVICE if v.backup_vetoes(view) else ""


def _while_kept(view: View, text: str) -> str:
    """The words of a phase where something that passes by no time keeps the backup from taking
    over: neither room nor an approval ends it."""
    record, kept = view.record, _kept_from(view)
    if record.phase in (Phase.PROTECTED, Phase.ALONE, Phase.ARMING):
        return kept or text
    if record.hold is not None:
        return text
    if record.phase is Phase.COUNTDOWN:
        return kept or text
    paused = record.held_for is HeldFor.CAPACITY and record.paused
    first = kept or (PAUSED_IN_HOLD_ADVICE if paused else "")
    held = record.held_for in (HeldFor.LOSS, HeldFor.CAPACITY)
    return f"{first} After that: {text}" if first and held else text


def _of_phase(view: View) -> str:
    record = view.record
    if record.phase is Phase.COUNTDOWN and turns.ahead(view):
        return TURN_ADVICE
    if record.held_for is HeldFor.CAPACITY and loss_unbearable.test(view):
        return ROOM_AND_LOSS_ADVICE
    return HELD_ADVICE[record.held_for] if record.phase is Phase.HELD else ADVICE[record.phase]


def _more_people(view: View) -> str:
    """Who must still accept the loss."""
    first = approvals.first_person(view)
    if first is not None:
        return f" (accepted by {first.by}; somebody else must say the same)"
    return ", by two different people" if view.two_people else ""


def _silent_advice(view: View) -> str:
    if view.primary is None and view.backup is None:
        return UNKNOWN_ADVICE
    moves = "`saling failover {service}` moves it." if view.record.paused else ""
    return SILENT_ADVICE.replace("{paused_advice}", moves)
