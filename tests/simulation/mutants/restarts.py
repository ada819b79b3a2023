"""Rules 2, 7 and 8: whoever restarted forgot what it promised and what it was allowed."""

from __future__ import annotations

from dataclasses import replace as replace_row
from typing import Any

from msgspec.structs import replace

from agents.core import step as agent_step
from agents.core.model import Replica
from controller.core import step as controller_step
from controller.core.moment.view import View
from controller.core.rows import effects
from simulator.parts import runner
from simulator.parts.guard import Guard
from simulator.parts.host import Host
from simulator.parts.service import Service
from simulator.strike import Strike
from tests.simulation.mutants.base import WRITERS, Mutant, Patch, allow_any_step, change_rows
from tests.simulation.night import Night


def no_leader_amnesia(patch: Patch) -> None:
    """A new life of the controller forgets that it may have granted a moment ago."""
    begin = controller_step._begin_service

    def forgetful(spec: Any, record: Any, now_ms: int) -> Any:
        return replace(begin(spec, record, now_ms), promise_end_ms=now_ms)

    patch.setattr(controller_step, "_begin_service", forgetful)


def no_agent_amnesia(patch: Patch) -> None:
    """A new life of a backup's agent forgets that it may have granted a moment ago."""
    begin = agent_step.begin

    def forgetful(*args: Any) -> Replica:
        replica = begin(*args)
        return replace(replica, promise_end_ms=replica.started_ms)

    patch.setattr(runner, "begin", forgetful)


def longest_lease_is_forgotten(patch: Patch) -> None:
    """A new life waits for the lease of today's settings, not for the longest that was granted."""
    take = effects.take_settings

    def shorter(view: View) -> dict[str, Any]:
        return {**take(view), "ttl_ceiling_ms": view.spec.terms.ttl_ms}

    change_rows(patch, lambda row: replace_row(row, effect=shorter) if row.effect is take else row)


def no_fresh_order_after_a_start(patch: Patch) -> None:
    """A replica whose host restarted goes on by what its disk says."""
    begin = agent_step.begin
    patch.setattr(runner, "begin", lambda *args: replace(begin(*args), fresh=True))
    allow_any_step(patch)


def starts_are_not_told_apart(patch: Patch) -> None:
    """An Order that echoes an earlier start allows a later one, too."""
    patch.setattr(
        Replica, "start_nonce", property(lambda replica: "" if replica.fresh else replica.agent)
    )


def boot_is_ignored(patch: Patch) -> None:
    """After a restart of its host a guard goes by a deadline of the clock before."""
    living = Host.living_guard
    kept: dict[tuple[int, str], Guard] = {}

    def remembering(host: Host, service: Service) -> Guard:
        key = (id(host), service.uid)
        guard = living(host, service)
        before = kept.get(key)
        if before is not None and before is not guard:
            guard.permit, guard.deadline_ms = before.permit, before.deadline_ms
            guard.may_write = before.may_write
        kept[key] = guard
        return guard

    patch.setattr(Host, "living_guard", remembering)
    allow_any_step(patch)


LEADER_RESTARTS = Night(
    Strike(9_000, "cut", ("alpha", "bravo"), 20_000),
    Strike(11_000, "cut", ("alpha", "hub"), 20_000),
    Strike(11_000, "crash-controller", (), 50),
    lease="standard",
)
"""A primary has the controller's leases only; they are cut off from each other, and it restarts."""

BACKUP_RESTARTS = Night(
    Strike(9_000, "cut", ("alpha", "hub"), 20_000),
    Strike(12_000, "cut", ("alpha", "bravo"), 20_000),
    Strike(12_200, "kill-agent", ("bravo",), 30),
)
"""A primary has its backup's leases only; they are cut off from each other, and it restarts."""

SHORTER_LEASE = Night(
    Strike(10_000, "cut", ("alpha", "bravo"), 20_000),
    Strike(16_300, "configure-lease", ("s1", "tight"), 100),
    Strike(16_300, "isolate", ("alpha",), 20_000),
    Strike(16_600, "crash-controller", (), 100),
    lease="standard",
)
"""Only the controller renews a long lease, and comes back with a short one in its file."""

OLD_DISK = Night(
    Strike(9_000, "forget-writes", ("alpha", "2"), 6_000),
    Strike(9_000, "isolate", ("alpha",), 20_000),
)
"""A primary's host is away until its backup reigns, and comes back with an older disk."""

OLD_DISK_AND_MAIL = Night(
    Strike(9_000, "forget-writes", ("alpha", "2"), 6_000),
    Strike(9_000, "isolate", ("alpha",), 20_000),
    *(Strike(15_500 + 500 * n, "replay", ("hub", "alpha", "1"), 1) for n in range(15)),
)
"""The same, and then all that it was once told comes again, and nothing else."""

MUTANTS = (
    Mutant(no_leader_amnesia, "7", WRITERS, "corner", seconds=16, night=LEADER_RESTARTS),
    Mutant(no_agent_amnesia, "7", WRITERS, night=BACKUP_RESTARTS),
    Mutant(longest_lease_is_forgotten, "7", WRITERS, seconds=25, night=SHORTER_LEASE),
    Mutant(no_fresh_order_after_a_start, "8", WRITERS, night=OLD_DISK),
    Mutant(starts_are_not_told_apart, "8", WRITERS, seconds=20, night=OLD_DISK_AND_MAIL),
    Mutant(boot_is_ignored, "2", WRITERS, "crashes"),
)
