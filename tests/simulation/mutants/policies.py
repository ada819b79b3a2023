"""What is moved by itself: for a reason, no further than that goes, and with care."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from msgspec.structs import replace

from controller.core.conditions import room as room_conditions
from controller.core.gates import turns
from controller.core.model import Phase, ServiceState, State
from controller.core.moment.others import site_of
from controller.core.moment.view import View
from controller.core.plan_model import Plan, PlanKind, PlanStep
from controller.core.plans import asking, going, held, judging, policy, willing
from controller.core.site_model import Health, Nation, Sign, SiteState
from controller.core.sites import cautions
from controller.core.sites import policy as site_policy
from controller.core.sites.policy import Wish
from simulator.setting import ServiceSetting
from simulator.strike import Strike
from tests.simulation.mutants.base import Mutant, Patch, ask_instead
from tests.simulation.night import Pairs, member


def unsure_plan_asks_on(patch: Patch) -> None:
    """A plan by policy goes on while the controller hears too few, and nothing can be said."""
    patch.setattr(going, "unsure", lambda *_asked: "")


def unknown_reason_is_none(patch: Patch) -> None:
    """A life of the controller that has just begun gives up what an earlier one had begun."""
    _sure_of(patch, "nothing can be said")


def reason_that_pauses_is_over(patch: Patch) -> None:
    """What looks better for a moment is not waited for."""
    _sure_of(patch, "alpha looks better")


def _sure_of(patch: Patch, words: str) -> None:
    unsure = willing.unsure

    def sure(state: State, plan: Plan, wishes: Sequence[Wish], now_ms: int) -> str:
        told = unsure(state, plan, wishes, now_ms)
        return "" if told.startswith(words) else told

    patch.setattr(going, "unsure", sure)


def reason_that_ended_counts(patch: Patch) -> None:
    """Nothing asks for it any more, and it is moved all the same."""
    _not_dropped(patch, "nothing at")


def paused_service_is_moved_by_policy(patch: Patch) -> None:
    """That somebody paused it meanwhile is not looked at again."""
    _not_dropped(patch, "its automatic failover is paused")


def _not_dropped(patch: Patch, words: str) -> None:
    dropped = willing._dropped

    def kept(*asked: object) -> str:
        told = dropped(*asked)  # type: ignore[arg-type]
        return "" if told.startswith(words) else told

    patch.setattr(willing, "_dropped", kept)


def what_commits_again_is_failed_over(patch: Patch) -> None:
    """That it commits is not looked at again."""
    patch.setattr(willing, "commits", lambda _service, _now_ms: False)


def failback_goes_on_under_caution(patch: Patch) -> None:
    """Care that begins while services go back holds up none of them."""
    patch.setattr(willing, "failback_held", lambda _nation, _site: "")
    patch.setattr(held, "caution_on", lambda _nation, _site: "")


def failback_tears_a_group_apart(patch: Patch) -> None:
    """What care holds up is left out, also where others of its group have gone before."""
    dropped = willing._dropped

    def torn(state: State, plan: Plan, step: PlanStep, *told: object) -> str:
        if plan.kind is PlanKind.FAILBACK:
            return site_policy.failback_held(state.nation, plan.site)
        return dropped(state, plan, step, *told)  # type: ignore[arg-type]

    patch.setattr(willing, "_dropped", torn)


def caution_holds_nothing(patch: Patch) -> None:
    """A site where care is taken is gone back to, and nobody who moves to it is asked."""
    for module in (asking, policy, cautions):
        patch.setattr(module, "at", lambda _nation, _site: ())


def caution_is_no_objection(patch: Patch) -> None:
    """Whoever asks for a move to a site under caution is not told of it."""
    patch.setattr(cautions, "objections", lambda *_asked: ())


def caution_moves_a_site(patch: Patch) -> None:
    """What asks for care is taken for a reason to leave."""
    wish = site_policy._wish

    def careful(nation: Nation, site: SiteState, service: ServiceState, now_ms: int) -> Wish | None:
        if cautions.at(nation, site.spec.name):
            sign = Sign("power", "care is taken", (), now_ms - 60_000, now_ms)
            site = replace(site, health=Health.DEGRADED, signs=(sign,), reasons=("power",))
        return wish(nation, site, service, now_ms)

    patch.setattr(site_policy, "_wish", careful)


def caution_stops_a_failover(patch: Patch) -> None:
    """Nobody takes over at a site where care is taken."""

    def safe(view: View) -> bool:
        there = site_of(view.service, view.record.backup)
        return not turns.ahead(view) and not cautions.at(view.others.nation, there)

    ask_instead(patch, room_conditions.in_turn, safe)


def what_people_moved_goes_back(patch: Patch) -> None:
    """That a person had it moved is no reason to leave it there."""

    def dwelt(state: State, service: ServiceState, now_ms: int) -> bool:
        lasted = now_ms - service.entered_ms >= state.move_rules.dwell_ms
        return service.record.phase is Phase.PROTECTED and lasted

    patch.setattr(policy, "_may_go_home", dwelt)


def group_is_torn_apart_by_policy(patch: Patch) -> None:
    """Where the first of a group is left out, those after it go without it."""
    for module in (going, judging):
        patch.setattr(module, "stay_behind", lambda _plan, steps: tuple(steps))


def budget_of_an_hour_is_ignored(patch: Patch) -> None:
    """Sites are moved to and fro for as long as they ail."""
    patch.setattr(policy, "_spent", lambda _state, _now_ms: False)


_POWER = Strike(10_000, "ail", ("alpha", "power"), 40_000)
"""An evacuation of alpha begins at about 15 s."""
_S1_TAKES_LONG = Strike(9_000, "hang-promotion", ("bravo", "s1"), 20_000)
"""s2, which comes after it in its group, waits for it."""
_S3_CANNOT = Strike(8_000, "maintenance-begin", ("s3",), 50_000)
"""It stands alone, so that its move is refused, and asked for again."""
_THREE = (member("s1", 1), member("s2", 2), member("s3"))
_ONE = (member("s1"),)

HEARS_BRAVO = Pairs(
    _POWER,
    _S1_TAKES_LONG,
    *(Strike(17_000, "cut", ("hub", site), 20_000) for site in ("alpha", "charlie", "delta")),
)
NEW_LIFE = Pairs(_POWER, _S3_CANNOT, Strike(17_000, "crash-controller", (), 100), services=_THREE)
MENDED = Pairs(Strike(10_000, "ail", ("alpha", "power"), 6_000), _S3_CANNOT, services=_THREE)
PAUSED = Pairs(_POWER, _S1_TAKES_LONG, Strike(17_000, "pause", ("s2",)))
S2_COMMITS = Pairs(
    Strike(10_000, "cut", ("hub", "alpha"), 40_000),
    Strike(15_000, "hang-engine", ("alpha", "s1"), 9_000),
    services=(member("s1", 1, lease="standard"), member("s2", 2)),
)
CARE_ON_THE_WAY_BACK = Pairs(
    Strike(10_000, "ail", ("alpha", "power"), 6_000),
    Strike(30_000, "hang-promotion", ("alpha", "s1"), 20_000),
    Strike(45_000, "hazard", ("alpha",), 60_000),
    goes_home=True,
)
CARE_AT_HOME = Pairs(
    Strike(10_000, "ail", ("alpha", "power"), 6_000),
    Strike(30_000, "hazard", ("alpha",), 60_000),
    goes_home=True,
)
CARE_AT_BRAVO = Pairs(
    Strike(9_000, "hazard", ("bravo",), 60_000), Strike(10_000, "switchover", ("s1",))
)
CARE_AT_ALPHA = Pairs(Strike(9_000, "hazard", ("alpha",), 60_000))
CARE_EVERYWHERE = Pairs(
    *(Strike(9_000, "hazard", (site,), 60_000) for site in ("bravo", "delta")), services=_ONE
)
FIRST_STAYS = Pairs(
    _POWER,
    Strike(8_000, "maintenance-begin", ("s1",), 50_000),
    Strike(20_000, "pause", ("s1",)),
)
TO_AND_FRO = Pairs(
    *(
        Strike(first_ms + 23_000 * turn, "ail", (site, "power"), 5_000)
        for first_ms, pair in ((10_000, ("alpha", "bravo")), (13_000, ("charlie", "delta")))
        for turn, site in enumerate(2 * pair)
    ),
    services=(*_ONE, ServiceSetting("s3", "charlie", "delta")),
)
"""In two pairs one site after the other ails, eight times in all."""
MOVED_BY_HAND = Pairs(Strike(9_000, "switchover", ("s1",)), services=_ONE, goes_home=True)


def _mutant(
    apply: Callable[[Patch], None], promise: str, night: Pairs, seconds: int, profile: str = "plans"
) -> Mutant:
    return Mutant(apply, "policy", (promise,), profile, seconds=seconds, night=night)


MUTANTS = (
    _mutant(unsure_plan_asks_on, "blind", HEARS_BRAVO, 35),
    _mutant(unknown_reason_is_none, "policy", NEW_LIFE, 20),
    _mutant(reason_that_pauses_is_over, "policy", MENDED, 40),
    _mutant(reason_that_ended_counts, "policy", MENDED, 60),
    _mutant(paused_service_is_moved_by_policy, "pause", PAUSED, 30),
    _mutant(what_commits_again_is_failed_over, "policy", S2_COMMITS, 35),
    _mutant(failback_goes_on_under_caution, "caution", CARE_ON_THE_WAY_BACK, 55),
    _mutant(failback_tears_a_group_apart, "plans", CARE_ON_THE_WAY_BACK, 55),
    _mutant(caution_holds_nothing, "caution", CARE_AT_HOME, 50),
    _mutant(caution_is_no_objection, "caution", CARE_AT_BRAVO, 12),
    _mutant(caution_moves_a_site, "policy", CARE_AT_ALPHA, 20),
    _mutant(caution_stops_a_failover, "takeover", CARE_EVERYWHERE, 12, "dead_site"),
    _mutant(group_is_torn_apart_by_policy, "plans", FIRST_STAYS, 20),
    _mutant(budget_of_an_hour_is_ignored, "policy", TO_AND_FRO, 95),
    _mutant(what_people_moved_goes_back, "policy", MOVED_BY_HAND, 40),
)
