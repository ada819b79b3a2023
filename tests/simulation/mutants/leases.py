"""Rules 1, 2 and 3: who may give a lease, how long it counts for whom, and what it proves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from agents.core import grantor, holder, permission
from agents.core import step as agent_step
from agents.core.model import Replica
from agents.core.observation import ProbeKind
from controller.core import step as controller_step
from controller.core.orders import leases
from protocol.messages import Ask, Granted, Right
from protocol.windows import grantor_window_ms
from simulator.parts import agent as agent_shell
from simulator.parts import controller as controller_shell
from simulator.parts.network import HUB
from simulator.strike import Strike
from tests.simulation.mutants.base import FENCED, WRITERS, Mutant, Patch
from tests.simulation.night import Night


def rho_is_forgotten(patch: Patch) -> None:
    """Holder and grantors count a lease alike, as if no clock ran fast or slow."""
    patch.setattr(holder, "holder_window_ms", lambda ttl_ms: ttl_ms)
    _grantors_count(patch, lambda ttl_ms: ttl_ms)


def holder_forgets_rho(patch: Patch) -> None:
    """The holder alone counts as if no clock ran slow."""
    patch.setattr(holder, "holder_window_ms", lambda ttl_ms: ttl_ms)


def grantors_forget_rho(patch: Patch) -> None:
    """The grantors alone count as if no clock ran fast."""
    _grantors_count(patch, lambda ttl_ms: ttl_ms)


def grantors_count_short(patch: Patch) -> None:
    """Grantors count a lease shorter than its holder does."""
    _grantors_count(patch, lambda ttl_ms: ttl_ms // 2)


def holder_counts_long(patch: Patch) -> None:
    """The holder counts its lease longer than it was granted."""
    patch.setattr(holder, "holder_window_ms", lambda ttl_ms: ttl_ms * 3 // 2)


def holder_counts_from_the_answer(patch: Patch) -> None:
    """The lease begins when the grant comes, not when it was asked for."""
    take = holder.take_grant

    def late(replica: Replica, name: str, granted: Granted, now_ms: int) -> Replica:
        asked = tuple(
            replace(q, asked_ms=now_ms) if q.nonce == granted.nonce else q
            for q in replica.questions
        )
        return take(replace(replica, questions=asked), name, granted, now_ms)

    patch.setattr(holder, "take_grant", late)


def every_grantor_must_grant(patch: Patch) -> None:
    """A lease counts only while all grantors gave one: one lost grantor fences."""

    def shortest(replica: Replica) -> int:
        assignment = permission.reigning(replica)
        ends = {lease.grantor: lease.end_ms for lease in replica.leases}
        names = assignment.grantors if assignment else ()
        return min((ends.get(name, 0) for name in names), default=0)

    patch.setattr(permission, "lease_end_ms", shortest)
    patch.setattr(holder, "lease_end_ms", shortest)


def only_the_controller_grants(patch: Patch) -> None:
    """A backup's agent gives no lease but the one that arms: losing the controller fences."""
    refuse = grantor._refusal

    def rarely(replica: Replica, agent: str, ask: Ask) -> str:
        order = replica.durable.assignment
        arming = order is not None and order.right is Right.ARMING
        return refuse(replica, agent, ask) if arming else "the controller grants"

    patch.setattr(grantor, "_refusal", rarely)


def grants_of_another_life_count(patch: Patch) -> None:
    """Nonces begin anew with every life, so that a late grant answers a new question."""
    ask = holder._ask

    def same(replica: Replica, *args: Any, **how: Any) -> Any:
        asked, sends = ask(replace(replica, life=replica.agent), *args, **how)
        return replace(asked, life=replica.life), sends

    patch.setattr(holder, "_ask", same)


def probe_is_not_needed(patch: Patch) -> None:
    """A renewal is asked for though no commit was tried: a live process counts as health."""
    take = holder.take_probe

    def hopeful(replica: Replica, probe: Any, now_ms: int) -> Any:
        if probe.kind is ProbeKind.TIMEOUT:
            position = replica.proven_position_bytes
            probe = replace(probe, kind=ProbeKind.COMMITTED, position_bytes=position)
        return take(replica, probe, now_ms)

    patch.setattr(holder, "take_probe", hopeful)


def grants_are_counted_late(patch: Patch) -> None:
    """A grant is checked in one step and written down in another: the last one is not counted."""
    answer = grantor.answer_ask

    def split(replica: Replica, *args: Any) -> Any:
        after, said = answer(replica, *args)
        counted_ms = replica.heard_ms + grantor_window_ms(said.granted.ttl_ms)
        return replace(after, promise_end_ms=max(replica.promise_end_ms, counted_ms)), said

    patch.setattr(grantor, "answer_ask", split)


def _grantors_count(patch: Patch, window_ms: Callable[[int], int]) -> None:
    """The ledger of the omniscient clock counts as the grantors do."""
    for module in (grantor, leases, agent_step, controller_step, agent_shell, controller_shell):
        patch.setattr(module, "grantor_window_ms", window_ms)


LAST_GRANT = Night(
    Strike(9_000, "cut", ("alpha", "hub"), 25_000),
    Strike(14_000, "cut", ("alpha", "bravo"), 20_000),
    lease="standard",
    rates_ppm=(10_000, -10_000, 10_000),
)
"""bravo alone grants, by a clock that runs fast, and then it is cut off as well."""

LATE_GRANT = Night(
    Strike(9_000, "cut", ("alpha", "hub"), 20_000),
    Strike(12_000, "stall", ("alpha", "bravo"), 900),
    Strike(12_000, "cut-one-way", ("alpha", "bravo"), 20_000),
)
"""The last grant of the last grantor is under way for most of a lease."""

OLD_GRANTS = Night(
    Strike(6_000, "kill-agent", ("alpha",), 50),
    Strike(7_500, "cut-one-way", ("alpha", "hub"), 20_000),
    Strike(7_500, "cut-one-way", ("alpha", "bravo"), 20_000),
    *(Strike(7_600 + 200 * n, "replay", ("hub", "alpha", "40"), 1) for n in range(12)),
)
"""A new life of an agent is asked nothing and told nothing, but what was told to the one before."""

CLOCKS_APART = Night(
    Strike(8_000, "cut", ("alpha", HUB), 20_000),
    Strike(10_500, "cut", ("alpha", "bravo"), 20_000),
    lease="standard",
    rates_ppm=(10_000, -10_000, 10_000),
)
"""The holder's clock is as slow as it may be, those of its grantors as fast, and it loses both."""

MUTANTS = (
    Mutant(rho_is_forgotten, "2", WRITERS, "corner"),
    Mutant(holder_forgets_rho, "2", WRITERS, seconds=14, night=CLOCKS_APART),
    Mutant(grantors_forget_rho, "2", WRITERS, seconds=14, night=CLOCKS_APART),
    Mutant(grantors_count_short, "2", WRITERS),
    Mutant(holder_counts_long, "2", WRITERS),
    Mutant(holder_counts_from_the_answer, "2", WRITERS, night=LATE_GRANT),
    Mutant(every_grantor_must_grant, "1", FENCED, "hub"),
    Mutant(only_the_controller_grants, "1", FENCED, "hub"),
    Mutant(grants_of_another_life_count, "2", WRITERS, "mail", night=OLD_GRANTS),
    Mutant(probe_is_not_needed, "3", ("takeover",), "dead_site"),
    Mutant(grants_are_counted_late, "6", WRITERS, "corner", seconds=18, night=LAST_GRANT),
)
