"""What a controller moves by itself it moves for a reason, and no further than that reason goes.

Judged by what agents told the controller, not by what it made of that: a plan by policy is begun
for a reason, so many an hour, asks for nothing that has not begun once that is gone, never for what
commits, and gives nothing up while its reason stands or while nothing is known; and what a person
had moved away is brought back by nobody else.
"""

from __future__ import annotations

from collections.abc import Callable

from controller.core.events import Event, ReportCame
from controller.core.model import BY_ITSELF, Phase, Record, State
from controller.core.plan_model import Plan, PlanKind, PlanStep, StepStatus
from controller.core.site_model import Consequence, Health, Nation, Stage
from protocol.messages import Report
from simulator.setting import POLICY
from simulator.watch import Broken, Watch

LEADS_AWAY = (Consequence.EVACUATE, Consequence.FAILOVER)
MOVING = {kind for kind, led in POLICY.items() if set(led.values()) & set(LEADS_AWAY)}
"""What a check may say, or a site's state be, that lets a site be left."""
EVACUATED = {kind for kind, led in POLICY.items() if Consequence.EVACUATE in led.values()}
AWAY = (PlanKind.EVACUATE, PlanKind.FAILOVER)
BEGUN = (StepStatus.MOVING, StepStatus.DONE)
GONE = (Health.CUT_OFF, Health.DOWN)
LATE_MS = 4000
"""A slow store, a clock that is wrong, and a look of the controller."""
COUNTS_MS = 15_000
"""For so long a reason counts after it was last told."""
EARLY_MS = 500
BETTER_MS = 17_000
"""Before this nothing is given up at a site that is well again: that must have lasted, too."""
HOUR_MS = 3_600_000
FRESH_MS = 1000
SETTLED_MS = 3000
HEARD_MS = 3000
LISTENED_MS = 5000


class ReasonsStand(Watch):
    """Knows when each site last told of a reason to leave it, and who hears which primary."""

    def __init__(self, true_ms: Callable[[], int], per_hour: int) -> None:
        self._true_ms = true_ms
        self._per_hour = per_hour
        self._begun_ms: list[int] = []
        self._nation = Nation()
        self._told_ms: dict[tuple[str, str], int] = {}
        """By site and what was told: when it was last."""
        self._heard_ms: dict[str, tuple[int, int]] = {}
        """By agent: since when its Reports come without a gap, and when the last one came."""
        self._hears: dict[str, dict[str, int]] = {}
        """By agent: the services whose primary it hears commit, and since when it was told."""
        self._records: dict[str, tuple[int, Record]] = {}
        self._moved_by: dict[str, str] = {}

    def restored(self, now_ms: int, records: dict[str, Record]) -> None:
        self._records = {uid: (now_ms, record) for uid, record in records.items()}
        self._moved_by.clear()
        self._begun_ms.clear()

    def swapped(self, now_ms: int, old: Record | None, new: Record) -> None:
        self._records[new.service_uid] = (now_ms, new)
        if new.phase is Phase.PROMOTING and new.operation is not None:
            self._moved_by[new.service_uid] = new.operation.by

    def controller_stepped(self, state: State, event: Event, at_ms: int) -> None:
        if not state.nation.addresses:
            return
        self._nation, now_ms = state.nation, self._true_ms()
        for name, site in state.nation.sites.items():
            if site.health in GONE:
                self._told_ms[(name, site.health.value.replace(" ", "-"))] = now_ms
        if isinstance(event, ReportCame):
            self._hear(event.report, now_ms)

    def planned(self, now_ms: int, old: Plan | None, new: Plan) -> None:
        if not new.by_policy:
            return
        before = {step.key: step for step in old.steps} if old else {}
        if old is None:
            self._is_within_the_budget(now_ms, new)
        if old is None and new.kind in AWAY:
            self._has_a_reason(now_ms, new, "is begun")
        if old is None and new.kind is PlanKind.FAILBACK:
            self._moved_by_itself(new)
        for step in new.steps:
            was = before.get(step.key)
            if was is not None and step.tries > was.tries and new.kind in AWAY:
                self._may_be_asked_for(now_ms, new, step, old or new)
            if was is not None and step.status is StepStatus.LEFT_OUT is not was.status:
                self._may_be_given_up(now_ms, new, step)

    def _hear(self, report: Report, now_ms: int) -> None:
        agent = report.header.sender
        first_ms, last_ms = self._heard_ms.get(agent, (now_ms, now_ms))
        self._heard_ms[agent] = (first_ms if now_ms - last_ms < HEARD_MS else now_ms, now_ms)
        for symptom in report.symptoms:
            self._told_ms[(agent, symptom.kind)] = now_ms
        self._hears[agent] = {r.service_uid: now_ms for r in report.replicas if r.primary_heard}

    def _is_within_the_budget(self, now_ms: int, plan: Plan) -> None:
        """So many an hour, by a clock that may run fast."""
        lately = [ms for ms in self._begun_ms if now_ms - ms < HOUR_MS * 98 // 100]
        if len(lately) >= self._per_hour:
            raise Broken("policy", f"{plan.id} is begun by itself after {len(lately)} others")
        self._begun_ms = [*lately, now_ms]

    def _has_a_reason(self, now_ms: int, plan: Plan, what: str) -> None:
        last_ms = max((self._told_ms.get((plan.site, kind), -1) for kind in MOVING), default=-1)
        if last_ms < 0 or now_ms - last_ms > COUNTS_MS + LATE_MS:
            last = f"since {last_ms / 1000:.1f} s" if last_ms >= 0 else "at all"
            raise Broken(
                "policy", f"{plan.id} {what}, and nothing at {plan.site} asked for it {last}"
            )

    def _moved_by_itself(self, plan: Plan) -> None:
        for step in plan.steps:
            by = self._moved_by.get(step.service_uid, BY_ITSELF)
            if by != BY_ITSELF:
                raise Broken(
                    "policy", f"{plan.id} brings {step.service} back, which {by} had moved away"
                )

    def _may_be_asked_for(self, now_ms: int, plan: Plan, step: PlanStep, old: Plan) -> None:
        if not any(one.status in BEGUN for one in old.steps if one.lane == step.lane):
            self._has_a_reason(now_ms, plan, f"asks for {step.service}")
        since_ms, record = self._records[step.service_uid]
        told_ms = self._hears.get(record.backup, {}).get(step.service_uid, -1)
        is_settled = record.phase is Phase.PROTECTED and now_ms - since_ms > SETTLED_MS
        if plan.kind is PlanKind.FAILOVER and is_settled and 0 <= now_ms - told_ms < FRESH_MS:
            raise Broken(
                "policy",
                f"{plan.id} asks for {step.service}, whose commits {record.backup} hears",
                step.service,
            )

    def _may_be_given_up(self, now_ms: int, plan: Plan, step: PlanStep) -> None:
        """What is told of it is true."""
        if step.because.startswith(f"{plan.site} is {Health.UNKNOWN.value}"):
            raise Broken(
                "policy", f"{plan.id} gives {step.service} up where it should wait: {step.because}"
            )
        if plan.kind is not PlanKind.EVACUATE or not step.because.startswith(
            f"nothing at {plan.site} asks"
        ):
            return
        site = self._nation.sites[plan.site]
        last_ms = max(self._told_ms.get((plan.site, kind), -1) for kind in EVACUATED)
        # While something else is the matter there, it does not get better by the end of this.
        is_alone = not set(site.reasons) - EVACUATED
        lasts_ms = BETTER_MS if is_alone else COUNTS_MS - EARLY_MS
        is_active = site.spec.stage is Stage.ACTIVE
        if (
            last_ms >= 0
            and now_ms - last_ms < lasts_ms
            and is_active
            and self._could_go(now_ms, site.spec.partner)
        ):
            raise Broken(
                "policy",
                f"{plan.id} gives {step.service} up: {step.because}; that was asked for at "
                f"{last_ms / 1000:.1f} s",
            )

    def _could_go(self, now_ms: int, partner: str) -> bool:
        """Whether nothing is to be said against the partner either."""
        there = self._nation.sites.get(partner)
        last_ms = max(self._told_ms.get((partner, kind), -1) for kind in MOVING)
        is_quiet = last_ms < 0 or now_ms - last_ms > COUNTS_MS + LATE_MS
        first_ms, heard_ms = self._heard_ms.get(partner, (now_ms, 0))
        is_heard = now_ms - heard_ms < HEARD_MS and now_ms - first_ms > LISTENED_MS
        return is_quiet and is_heard and there is not None and there.health not in GONE
