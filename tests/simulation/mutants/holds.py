"""Integrity holds and local vetoes: nobody is moved under one, and it ends as it was asked to."""

from __future__ import annotations

from msgspec.structs import replace

from agents.core import engine, veto
from agents.core.model import Replica
from controller.core import phases
from controller.core import step as controller_step
from controller.core.conditions import hold as hold_conditions
from controller.core.conditions import veto as veto_conditions
from controller.core.model import Phase, Record, ServiceSpec, ServiceState
from controller.core.rows.effects import place_hold
from controller.core.rows.row import Row
from simulator.parts.agent import Process
from simulator.strike import Strike
from tests.simulation.mutants.base import (
    Mutant,
    Patch,
    allow_any_change,
    allow_any_step,
    always,
    ask_instead,
    set_rows,
)
from tests.simulation.night import Night


def hold_is_ignored(patch: Patch) -> None:
    """Failovers and moves go on under an integrity hold."""
    always(patch, hold_conditions.not_on_hold)
    allow_any_change(patch)


def hold_stops_no_countdown(patch: Patch) -> None:
    """It keeps a countdown from beginning, and lets one that has begun end in a promotion."""
    ask_instead(
        patch,
        hold_conditions.not_on_hold,
        lambda view: view.record.hold is None or view.record.phase is Phase.COUNTDOWN,
    )
    allow_any_change(patch)


def hold_lets_a_drain_end(patch: Patch) -> None:
    """A move that is under way ends in a promotion."""

    def kept() -> tuple[Row, ...]:
        return tuple(
            row
            if (row.name, row.source) != ("integrity_hold", Phase.DRAINING)
            else Row(row.name, row.source, Phase.DRAINING, row.when, row.because, place_hold)
            for row in phases.TABLE
        )

    set_rows(patch, kept())
    allow_any_change(patch)


def hold_ends_with_the_controller(patch: Patch) -> None:
    """A controller that begins to lead knows of no hold."""
    begin = controller_step._begin_service

    def forgetful(spec: ServiceSpec, record: Record, now_ms: int) -> ServiceState:
        return begin(spec, replace(record, hold=None), now_ms)

    patch.setattr(controller_step, "_begin_service", forgetful)


def hold_ends_after_a_quarter(patch: Patch) -> None:
    """It is over when the first quarter of its time is."""
    ask_instead(patch, hold_conditions.time_is_over, hold_conditions.quarter_is_over.test)


def veto_is_ignored(patch: Patch) -> None:
    """Neither the centre nor the host heeds a veto."""
    _centre_ignores_vetoes(patch)
    patch.setattr(veto, "forbids", lambda _replica, _kind, _assignment: False)
    allow_any_step(patch)


def veto_ends_with_the_agent(patch: Patch) -> None:
    """An agent that is started anew knows of no veto."""
    start = Process.start

    def forgetful(process: Process) -> None:
        process.host.veto_left_ms = 0
        start(process)

    patch.setattr(Process, "start", forgetful)


def veto_holds_up_no_drain(patch: Patch) -> None:
    """A primary whose host vetoes is drained and moved all the same."""
    _centre_ignores_vetoes(patch)
    patch.setattr(veto, "forbids", lambda _replica, _kind, _assignment: False)
    settle = engine.settle_drain

    def blind(replica: Replica, now_ms: int) -> Replica:
        return replace(settle(replace(replica, veto=""), now_ms), veto=replica.veto)

    patch.setattr(engine, "settle_drain", blind)


def _centre_ignores_vetoes(patch: Patch) -> None:
    for condition in (veto_conditions.backup_willing, veto_conditions.primary_willing):
        always(patch, condition)
    ask_instead(patch, veto_conditions.backup_vetoes, lambda _view: False)


_LOST = Strike(9_000, "isolate", ("alpha",), 12_000)
"""COUNTDOWN from about 10 s to about 11 s, then bravo is promoted."""
_HOLD = Strike(8_000, "hold", ("s1",), 30_000)

MUTANTS = (
    Mutant(hold_is_ignored, "holds", ("hold",), "holds", night=Night(_HOLD, _LOST)),
    Mutant(
        hold_stops_no_countdown, "holds", ("hold",), "holds", seconds=20,
        night=Night(_LOST, *(Strike(10_000 + 100 * n, "hold", ("s1",), 30_000) for n in range(9))),
    ),
    Mutant(
        hold_lets_a_drain_end, "holds", ("hold",), "holds", seconds=20,
        night=Night(
            Strike(9_000, "switchover", ("s1",)),
            *(Strike(9_000 + 20 * n, "hold", ("s1",), 30_000) for n in range(1, 9)),
        ),
    ),
    Mutant(
        hold_ends_with_the_controller, "holds", ("hold",), "holds", seconds=20,
        night=Night(
            _HOLD, Strike(9_000, "crash-controller", (), 500), Strike(12_000, "pause", ("s1",))
        ),
    ),
    Mutant(
        hold_ends_after_a_quarter, "holds", ("hold",), "holds", seconds=25,
        night=Night(Strike(8_000, "hold", ("s1",), 20_000)),
    ),
    Mutant(
        veto_is_ignored, "vetoes", ("veto",), "vetoes", seconds=20,
        night=Night(Strike(8_000, "veto", ("bravo",), 30_000), _LOST),
    ),
    Mutant(
        veto_ends_with_the_agent, "vetoes", ("veto",), "vetoes", seconds=25,
        night=Night(
            Strike(8_000, "veto", ("bravo",), 40_000), Strike(9_000, "kill-agent", ("bravo",), 500),
            Strike(16_000, "isolate", ("alpha",), 12_000),
        ),
    ),
    Mutant(
        veto_holds_up_no_drain, "vetoes", ("veto",), "vetoes", seconds=20,
        night=Night(
            Strike(8_000, "veto", ("alpha",), 30_000), Strike(9_000, "switchover", ("s1",))
        ),
    ),
)  # fmt: skip
