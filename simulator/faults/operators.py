"""Operators who ask for something, at good moments and bad ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from controller.core.events import Kind, Requested
from controller.core.moment.view import View
from simulator.faults.base import Draw, Takes, Verb
from simulator.faults.hosts import BOOT_MS
from simulator.strike import Strike

if TYPE_CHECKING:
    from simulator.fate import Fate
    from simulator.world import World


def _ask(
    kind: Kind,
    dry_run: bool = False,
    by: str = "an operator",
    over_capacity: bool = False,
    despite_caution: bool = False,
) -> Callable[[World, Strike], None]:
    def ask(world: World, strike: Strike) -> None:
        name, *figures = strike.on
        shown = _as_shown(world, name)
        epoch, loss_bytes = map(int, figures) if figures else shown[:2]
        world.request(
            lambda id_: Requested(
                id_, kind, world.service(name).uid, by, "a test",
                epoch=epoch, loss_bytes=loss_bytes, for_ms=strike.for_ms,
                dry_run=dry_run, loss_ms=shown[2], over_capacity=over_capacity,
                despite_caution=despite_caution,
            )
        )  # fmt: skip

    return ask


def _as_shown(world: World, name: str) -> tuple[int, int, int]:
    """The epoch, and the loss that a failover would bring, as an operator reads them."""
    state = world.controller.state
    if state is None:
        return 0, -1, -1
    view = View(state.services[world.service(name).uid], world.controller.now_ms())
    lost_bytes, lost_ms = view.loss_bytes, view.loss_ms
    unknown = (-1 if lost_bytes is None else lost_bytes, -1 if lost_ms is None else lost_ms)
    return view.record.epoch, *unknown


def prove_off(by: str) -> Callable[[World, Strike], None]:
    """Somebody looks at the host of the primary at this very moment. Only when it is off he says
    so; else he asks without a proof, for he wants it done."""

    def prove(world: World, strike: Strike) -> None:
        name = strike.on[0]
        record = world.controller.store.records[world.service(name).uid]
        proof = "no power, looked at now" if is_off(world, record.primary) else ""
        epoch, lost_bytes, lost_ms = _as_shown(world, name)
        world.request(
            lambda id_: Requested(
                id_, Kind.PROVE, record.service_uid, by, "a test", epoch=epoch,
                loss_bytes=max(0, lost_bytes), loss_ms=max(0, lost_ms), proof=proof,
            )
        )  # fmt: skip

    return prove


def is_off(world: World, site: str) -> bool:
    """Whether a host has no power now."""
    return not world.host(site).up


def ask_again(world: World, _strike: Strike) -> None:
    """The last request of anybody comes once more, under the same name."""
    world.request_again()


FIRST, SECOND = "an operator", "another operator"
PROVE_ALONE = "force-proof-alone"
"""The one who asked for the force proves it himself."""
FIGURES = (Takes.NUMBER, Takes.NUMBER)
VERBS = (
    *(
        Verb(kind.value, _ask(kind), (Takes.SERVICE,), FIGURES)
        for kind in Kind if kind is not Kind.PROVE
    ),
    *(Verb(f"try-{kind.value}", _ask(kind, True), (Takes.SERVICE,), FIGURES) for kind in Kind),
    Verb(
        "move-over-capacity", _ask(Kind.SWITCHOVER, over_capacity=True), (Takes.SERVICE,), FIGURES
    ),
    Verb(
        "move-despite-caution", _ask(Kind.SWITCHOVER, despite_caution=True), (Takes.SERVICE,),
        FIGURES,
    ),
    Verb("approve-too", _ask(Kind.APPROVE, by=SECOND), (Takes.SERVICE,), FIGURES),
    Verb(Kind.PROVE.value, prove_off(SECOND), (Takes.SERVICE,)),
    Verb(PROVE_ALONE, prove_off(FIRST), (Takes.SERVICE,)),
    Verb("ask-again", ask_again),
)  # fmt: skip


def _draw(kind: Kind) -> Draw:
    def draw(fate: Fate) -> list[Strike]:
        lasts_ms = fate.between(1, 40_000) if kind in (Kind.BEGIN_MAINTENANCE, Kind.HOLD) else 0
        return [fate.strike(kind.value, fate.service().name, for_ms=lasts_ms)]

    return draw


def draw_approve(fate: Fate) -> list[Strike]:
    """With the figures that are shown, or others."""
    name = fate.service().name
    epoch, loss_bytes, _loss_ms = _as_shown(fate.world, name)
    if loss_bytes >= 0:
        loss_bytes = loss_bytes * fate.choice((1, 1, 2)) - fate.between(0, 1)
    first = fate.strike(Kind.APPROVE.value, name, str(epoch), str(loss_bytes))
    again_ms = fate.between(1, 3000)
    second = fate.choice((Kind.APPROVE.value, "approve-too"))
    return [first, fate.strike(second, name, after_ms=again_ms)]


def draw_maintenance(fate: Fate) -> list[Strike]:
    """The backup's host is patched: announced, stopped too soon or in time, or never."""
    service = fate.service()
    record = fate.record(service)
    if record is None:
        return []
    announced = Kind.BEGIN_MAINTENANCE.value
    strikes = [fate.strike(announced, service.name, for_ms=fate.between(1, 40_000))]
    if fate.may_strike(record.backup) and fate.chance(0.7):
        begin_ms, end_ms = fate.between(0, 3000), 3000 + fate.duration_ms() + BOOT_MS
        strikes.append(
            fate.strike(
                "crash-host", record.backup, for_ms=end_ms - begin_ms, after_ms=begin_ms
            )
        )  # fmt: skip
    if fate.chance(0.3):
        ended = Kind.END_MAINTENANCE.value
        strikes.append(fate.strike(ended, service.name, after_ms=fate.duration_ms()))
    return strikes


def draw_force(fate: Fate) -> list[Strike]:
    """A primary that stands alone, for its backup is in maintenance, is lost: its host is off or
    only unheard; it is moved by force, or somebody tries, or it is back before."""
    service = fate.service()
    record = fate.record(service)
    if record is None or not fate.may_strike(record.primary):
        return []
    announced = Kind.BEGIN_MAINTENANCE.value
    lost_ms = fate.between(500, 3000)
    asked_ms = lost_ms + fate.between(1500, 8000)
    lost = fate.choice(("crash-host", "crash-host", "isolate"))
    lasts_ms = fate.choice((3_000, 12_000, 30_000)) + BOOT_MS
    proof = fate.choice((Kind.PROVE.value, Kind.PROVE.value, PROVE_ALONE, Kind.END_FORCE.value))
    strikes = [
        fate.strike(announced, service.name, for_ms=40_000),
        fate.strike(lost, record.primary, for_ms=lasts_ms, after_ms=lost_ms),
        fate.strike(Kind.FORCE.value, service.name, after_ms=asked_ms),
    ]
    proved_ms = asked_ms + fate.between(50, 4000)
    return [
        *strikes,
        fate.strike(proof, service.name, after_ms=proved_ms),
        fate.strike(Kind.PROVE.value, service.name, after_ms=proved_ms + fate.between(500, 4000)),
    ]


def draw_alarm(fate: Fate) -> list[Strike]:
    """Files are being encrypted: everything is put on hold, a moment before or after a primary is
    lost; sometimes somebody finds that it was nothing."""
    service = fate.service()
    record = fate.record(service)
    names = [one.name for one in fate.world.services]
    lasts_ms, after_ms = fate.between(1000, 40_000), fate.between(0, 4000)
    strikes = [
        fate.strike(Kind.HOLD.value, name, for_ms=lasts_ms, after_ms=after_ms) for name in names
    ]
    if record is not None and fate.may_strike(record.primary):
        lost_ms = fate.duration_ms() + BOOT_MS
        strikes.append(fate.strike("crash-host", record.primary, for_ms=lost_ms))
    if fate.chance(0.4):
        later_ms = after_ms + fate.duration_ms()
        strikes += [fate.strike(Kind.RELEASE.value, name, after_ms=later_ms) for name in names]
    return strikes


def draw_two_at_once(fate: Fate) -> list[Strike]:
    """Two operators, one service, one moment; one of them only tries, or asks once more."""
    name, kinds = fate.service().name, tuple(Kind)
    first = fate.choice((Kind.SWITCHOVER, Kind.FAILOVER, Kind.PAUSE))
    second = fate.choice((*(f"try-{kind.value}" for kind in kinds), "switchover", "failover"))
    strikes = [fate.strike(first.value, name), fate.strike(second, name)]
    return [*strikes, fate.strike("ask-again", after_ms=fate.choice((0, 5, 500)))]


def draw_wrong_approval(fate: Fate) -> list[Strike]:
    """For another epoch, or for less than is lost."""
    name = fate.service().name
    epoch, loss_bytes, _loss_ms = _as_shown(fate.world, name)
    figures = fate.choice(((epoch - 1, loss_bytes), (epoch + 1, loss_bytes), (epoch, 0)))
    return [fate.strike(Kind.APPROVE.value, name, *map(str, figures))]


DRAWS: dict[str, Draw] = {
    "two_at_once": draw_two_at_once,
    "wrong_approval": draw_wrong_approval,
    **{kind.value: _draw(kind) for kind in Kind},
    Kind.APPROVE.value: draw_approve,
    "maintenance": draw_maintenance,
    "forced": draw_force,
    "alarm": draw_alarm,
}
