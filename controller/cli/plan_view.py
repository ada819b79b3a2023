"""Plans and what they would do, as tables and lines for people."""

from __future__ import annotations

from msgspec import Struct
from rich.console import Console, Group, RenderableType
from rich.text import Text

from controller.cli.figures import counted, duration, size
from controller.cli.table import Below, Cell, kept, table
from controller.core.foresight.preview import Preview, Room, StepPreview
from controller.core.plan_model import OVER, SETTLED, PlanChange, PlanStatus, PlanStep, StepStatus

STYLES = {
    StepStatus.DONE: "green",
    StepStatus.MOVING: "yellow",
    StepStatus.LEFT_OUT: "bold red",
    StepStatus.TO_DO: "",
}
STEP_HEADS = ("SERVICE", "GROUP", "FROM -> TO", "STATUS", "OUTAGE", "LOSS")
PREVIEW_HEADS = ("#", "SERVICE", "TIER", "GROUP", "FROM -> TO", "HOW", "OUTAGE", "LOSS")
PLAN_STYLES = {
    PlanStatus.WAITING: "bold red",
    PlanStatus.ENDED: "yellow",
    PlanStatus.PAUSED: "yellow",
    PlanStatus.DONE: "green",
}


class Counts(Struct, frozen=True):
    """How many steps stand where."""

    to_do: int = 0
    moving: int = 0
    done: int = 0
    left_out: int = 0

    @property
    def all(self) -> int:
        return self.to_do + self.moving + self.done + self.left_out


class ChangeLine(Struct, frozen=True):
    """One line of a plan's history."""

    number: int
    at_ms: int
    change: PlanChange


class PlanView(Struct, frozen=True):
    """One plan."""

    id: str
    kind: str
    site: str
    by: str
    status: PlanStatus
    because: str
    steps: tuple[PlanStep, ...]
    counts: Counts
    left_ms: int
    at_once: int = 0
    reason: str = ""
    begun_at: str = ""
    by_policy: bool = False
    changes: tuple[ChangeLine, ...] = ()
    """The newest first."""


class PresentPlan(Struct, frozen=True):
    """The body of GET /api/v1/plan."""

    plan: PlanView | None


class PlanList(Struct, frozen=True):
    """The body of GET /api/v1/plans."""

    plans: tuple[PlanView, ...]


def plan_line(plan: PlanView) -> Text:
    """`plan evacuate-batam-3: running, 3 of 6 done, 1 moving, about 12 s left`."""
    text = Text(f"plan {plan.id}: ")
    text.append(plan.status.value, style=PLAN_STYLES.get(plan.status, ""))
    told = [f"{plan.counts.done} of {plan.counts.all} done"]
    if plan.counts.moving:
        told.append(f"{plan.counts.moving} moving")
    if plan.counts.left_out:
        told.append(f"{plan.counts.left_out} left out")
    if plan.status is PlanStatus.RUNNING:
        told.append(f"about {duration(plan.left_ms)} left")
    text.append(", " + ", ".join(told))
    if plan.because:
        text.append(f": {plan.because}")
    return text


def plan_view(plan: PlanView, width: int) -> RenderableType:
    """A plan with its steps."""
    by = f"by {plan.by}" + (f": {plan.reason}" if plan.reason else "")
    rows = [_step_cells(step) for step in plan.steps]
    parts: list[RenderableType] = [
        plan_line(plan), Text(f"  {by}"), table(STEP_HEADS, rows, width),
    ]  # fmt: skip
    parts += [Below(text) for text in lane_lines(plan)]
    parts += [
        Below(Text(f"{step.service}: {step.because}"))
        for step in plan.steps
        if step.status is StepStatus.LEFT_OUT and step.because
    ]
    return Group(*parts)


def lane_lines(plan: PlanView) -> list[Text]:
    """Of a plan that is not over, what each group, or service without one, waits for."""
    if plan.status in OVER:
        return []
    leg = min((step.leg for step in plan.steps if step.status not in SETTLED), default=0)
    lanes: dict[tuple[str, str], list[PlanStep]] = {}
    for step in plan.steps:
        if step.leg == leg:
            lanes.setdefault(step.lane, []).append(step)
    lines, waiting = [], []
    for (kind, name), steps in lanes.items():
        label = f"group {name}" if kind == "group" else name
        open_steps = [step for step in steps if step.status not in SETTLED]
        if open_steps and open_steps[0] == steps[0] and _is_untouched(steps[0]):
            waiting.append(label)
        elif open_steps:
            lines.append(_lane_line(label if kind == "group" else "", steps, open_steps))
    if waiting:
        lines.append(Text(f"{_wait_for(plan)}: {', '.join(waiting)}", style="dim"))
    if any(step.leg > leg for step in plan.steps if leg):
        lines.append(Text("then they are brought back", style="dim"))
    return lines


def _wait_for(plan: PlanView) -> str:
    """What keeps those of which nothing has been asked."""
    if plan.status is PlanStatus.PAUSED:
        return "wait until the plan goes on (`saling plan resume`)"
    return "wait for their turn" + (f" ({plan.at_once} move at once)" if plan.at_once else "")


def _lane_line(label: str, steps: list[PlanStep], open_steps: list[PlanStep]) -> Text:
    """`group kota, 1 of 4 done: kota-files moves to batam-1: it stops; then kota-front`."""
    first, *later = open_steps
    done = sum(1 for step in steps if step.status is StepStatus.DONE)
    head = f"{label}, {done} of {len(steps)} done: " if label else ""
    if first.status is StepStatus.MOVING:
        told = f"{first.service} moves to {first.to_agent}"
    elif first.tries:
        told = f"{first.service} was refused {counted(first.tries, 'time')}"
    else:
        told = f"{first.service} is next"
    because = f": {first.because}" if first.because else ""
    then = f"; then {', '.join(step.service for step in later)}" if later else ""
    style = STYLES[first.status] or ("red" if first.tries else "")
    return Text(f"{head}{told}{because}{then}", style=style)


def _is_untouched(step: PlanStep) -> bool:
    return step.status is StepStatus.TO_DO and not step.tries


def _step_cells(step: PlanStep) -> tuple[Cell, ...]:
    return (
        step.service,
        step.group or "-",
        _way(step.from_agent, step.to_agent),
        Text(step.status.value, style=STYLES[step.status]),
        "-" if step.outage_ms < 0 else kept(duration(step.outage_ms)),
        "-" if step.loss_bytes < 0 else kept(size(step.loss_bytes)),
    )


def _way(from_agent: str, to_agent: str) -> str:
    return f"{kept(f'{from_agent} ->')} {to_agent}"


def change_text(change: PlanChange) -> str:
    """`paspor: done, outage 640 ms`."""
    if not change.service:
        return f"{change.plan_id}: {change.status.value}: {change.because}"
    outage = f", outage {duration(change.outage_ms)}" if change.outage_ms >= 0 else ""
    done = change.step == StepStatus.DONE
    again = " again" if change.step == StepStatus.TO_DO else ""
    because = "" if done else f": {change.because}"
    return f"{change.service}: {change.step}{again}{outage}{because}"


def print_preview(console: Console, told: Preview) -> None:
    """The ordered steps, what they cost, and the room afterwards."""
    moved = [step for step in told.steps if not step.left_out]
    head = f"{told.kind} of {told.site}: {counted(len(moved), 'step')}, {told.at_once} at once"
    takes = "" if moves_nothing_now(told) else f", about {duration(told.takes_ms)} in all"
    console.print(Text(f"{head}{takes}", style="bold"))
    rows = [_cells(number, step) for number, step in enumerate(moved, 1)]
    if moved:
        console.print(table(PREVIEW_HEADS, rows, console.width, names=1))
    for step in told.steps:
        if step.left_out:
            line = f"  left out: {step.service}: {step.left_out}"
            console.print(Text(line, style="bold red"), soft_wrap=True)
        elif step.refused_now:
            line = f"  refused now, and asked for again: {step.service}: {step.refused_now}"
            console.print(Text(line, style="yellow"), soft_wrap=True)
    for line in _rooms(told.room):
        console.print(Text(f"  {line}"), soft_wrap=True)


def moves_nothing_now(told: Preview) -> bool:
    """Whether every step would be refused at this moment."""
    moved = [step for step in told.steps if step.leg == 1 and not step.left_out]
    return bool(moved) and all(step.refused_now for step in moved)


def _cells(number: int, step: StepPreview) -> tuple[str, ...]:
    group = f"{step.group} {step.order}" if step.group else "-"
    loss = "none" if step.loss_bytes == 0 else size(step.loss_bytes)
    about = "about" if step.how == "switchover" else "at most"
    return (
        str(number), step.service, step.tier, group, _way(step.from_agent, step.to_agent), step.how,
        f"{about} {kept(duration(step.outage_ms))}", loss,
    )  # fmt: skip


def _rooms(rooms: tuple[Room, ...]) -> list[str]:
    """`at batam afterwards: 24 of 64 vcpu, 80 of 256 GiB of memory`."""
    by_site: dict[str, list[str]] = {}
    for room in rooms:
        limit = f" of {room.has:g}" if room.has else ""
        by_site.setdefault(room.site, []).append(f"{room.after:g}{limit} {room.measure}")
    return [f"at {site} afterwards: {', '.join(told)}" for site, told in by_site.items()]
