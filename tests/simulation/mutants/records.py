"""Rule 0: one record, one order of things; what is persisted, and before what."""

from __future__ import annotations

from dataclasses import replace as replace_row
from typing import Any

from msgspec.structs import replace

from agents.core import events as ev
from agents.core.actions import Action, Persist
from agents.core.model import Durable, Replica
from controller.core.conditions import pair as conditions
from controller.core.moment.view import View
from controller.core.rows import effects
from simulator.parts.host import Host
from simulator.parts.runner import Runner
from simulator.strike import Strike
from tests.simulation.mutants.base import WRITERS, Mutant, Patch, ask_instead, change_rows
from tests.simulation.night import Night


def agent_acts_before_it_persists(patch: Patch) -> None:
    """An agent does and says what it decided, and then writes it to its disk."""

    def hasty(
        self: Runner, persist: Persist, _event: ev.Event, after: Replica, actions: list[Action]
    ) -> None:
        self._busy = False
        self.replica = after
        if self._process.crashes_at_persist == 1:
            self._act(actions[1:])
            self._process.crash_after_persist()
            return
        self._process.crash_after_persist()
        self._host.write(self.service.uid, persist.durable)
        self._act(actions[1:])
        self._turn()

    patch.setattr(Runner, "_persisted", hasty)


def full_disk_is_not_noticed(patch: Patch) -> None:
    """A write that failed is taken for one that worked."""
    full, write = Host.disk_full, Host.write

    def lost(host: Host, uid: str, durable: Durable) -> None:
        if not full(host):
            write(host, uid, durable)

    patch.setattr(Host, "disk_full", lambda _host: False)
    patch.setattr(Host, "write", lost)


def whoever_knows_the_reign_has_it(patch: Patch) -> None:
    """When a lost record is adopted, its primary is taken to be whoever tells of it first."""

    def mistaken(view: View) -> dict[str, Any]:
        taken = effects.adopt(view)
        known = {agent: seen.report.epoch for agent, seen in view.service.reports.items()}
        latest = max(known, key=lambda agent: known[agent])
        if known[latest] <= view.record.epoch:
            return taken
        other = next(r.agent for r in view.spec.replicas if r.agent != latest)
        return {**taken, "primary": latest, "backup": other}

    change_rows(
        patch, lambda row: replace_row(row, effect=mistaken) if row.effect is effects.adopt else row
    )


def highest_revision_is_forgotten(patch: Patch) -> None:
    """A new life of an agent takes the next Order that comes, however old it is."""
    read = Host.read

    def forget(host: Host, uid: str) -> Durable:
        durable = read(host, uid)
        known = durable.assignment
        return replace(durable, assignment=replace(known, revision=1)) if known else durable

    patch.setattr(Host, "read", forget)


def restored_store_is_believed(patch: Patch) -> None:
    """A leader whose agents know more than its store goes on by its store."""
    ask_instead(patch, conditions.store_behind, lambda _view: False)


OLD_ORDERS = Night(
    Strike(9_000, "isolate", ("alpha",), 20_000),
    Strike(9_000, "kill-agent", ("alpha",), 50),
    *(Strike(9_300 + 50 * n, "replay", ("hub", "alpha", "4"), 1) for n in range(20)),
)
"""A new life of an agent is told nothing, but what was told to the one before."""

DIES_AT_PROMOTION = Night(
    Strike(8_500, "isolate", ("alpha",), 2_000),
    Strike(10_000, "kill-agent-after-writes", ("bravo", "1")),
)
"""An agent dies right after it wrote that its copy becomes primary; its engine goes on."""

MUTANTS = (
    Mutant(whoever_knows_the_reign_has_it, "0", ("I2",), "restored"),
    Mutant(
        agent_acts_before_it_persists, "0", WRITERS, "crashes", seconds=14, night=DIES_AT_PROMOTION
    ),
    Mutant(full_disk_is_not_noticed, "0", WRITERS, "full_disks"),
    Mutant(highest_revision_is_forgotten, "0", WRITERS, seconds=20, night=OLD_ORDERS),
    Mutant(restored_store_is_believed, "0", ("I11",), "restored"),
)
