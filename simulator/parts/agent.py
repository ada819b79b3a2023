"""One life of an agent: its runners, its messages, its pauses and its sudden end."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from agents.core import actions as act
from agents.core import events as ev
from protocol.intake import Intake, M, Rejected
from protocol.messages import (
    CONTROLLER,
    Grant,
    Granted,
    Header,
    Order,
    Renew,
    ReplicaReport,
    Report,
)
from protocol.windows import grantor_window_ms
from simulator.parts.checks import Checks
from simulator.parts.network import HUB, Deliver
from simulator.parts.paths import Prober
from simulator.parts.runner import LOOK_EVERY_MS, Runner
from simulator.parts.service import Service
from simulator.parts.stillness import Stillness
from simulator.parts.veto import VetoKeeper

if TYPE_CHECKING:
    from simulator.parts.host import Host

CLUSTER = "simulated"
TICK_MS = 25
REPORT_MS = 500

encode = msgspec.json.encode


class Wires:
    """Where a host's messages go. Filled by the world once all places exist."""

    def __init__(self) -> None:
        self.report: Callable[[str, bytes], None] = _nowhere
        self.renew: Callable[[str, bytes], None] = _nowhere
        self.hosts: dict[str, Host] = {}


def _nowhere(_site: str, _raw: bytes) -> None:
    raise AssertionError("a message was sent before the world stood")


class Process:
    """One life of the agent."""

    def __init__(self, host: Host, life: str, boot_id: str) -> None:
        self.host = host
        self.kernel = host.kernel
        self.life = life
        self._boot_id = boot_id
        self.alive = True
        self.still = Stillness(self.kernel)
        self.crashes_at_persist = 0
        """Not 0: the process dies right after this many more writes to disk."""
        self._knows_guards = False
        self._sequence = 0
        self._intake = Intake(CLUSTER)
        self._replies: dict[str, tuple[str, Deliver]] = {}
        self._questions = 0
        self.runners: dict[str, Runner] = {}
        self.prober = Prober(self)
        self.checks = Checks(host)
        self.veto: VetoKeeper

    def start(self) -> None:
        """Load what is durable, and begin."""
        kernel = self.kernel
        self.veto = VetoKeeper(self)
        for service in self.host.services:
            self.runners[service.uid] = Runner(self, service, self.host.read(service.uid))
        guard_ms = kernel.between(1, 30) if kernel.chance(0.8) else kernel.between(30, 1500)
        self.later(guard_ms, self._know_guards)
        self.later(kernel.between(1, TICK_MS), self._tick)
        self.later(kernel.between(1, REPORT_MS), self._report_all)

    def later(self, delay_ms: int, do: Callable[[], None]) -> None:
        """Do something in this life; late while the process is paused."""
        self.kernel.after(delay_ms, partial(self._awake, do))

    @property
    def awake(self) -> bool:
        """Whether it answers now."""
        return self.alive and self.still.is_over

    def _awake(self, do: Callable[[], None]) -> None:
        if not self.alive:
            return
        if self.still.is_over:
            do()
        else:
            self.still.do(partial(self._awake, do))

    def crash_after_persist(self) -> bool:
        """Whether this was the write after which the process dies."""
        planned = self.crashes_at_persist == 1
        self.crashes_at_persist = max(0, self.crashes_at_persist - 1)
        if not planned:
            return False
        self.host.kill_agent()
        self.kernel.after(self.kernel.between(50, 3000), self.host.start_agent)
        return True

    def attends(self) -> bool:
        """Whether it is there to end a guard that stands still."""
        return self.awake and self._knows_guards

    def miss_guard(self, service: Service) -> None:
        """A guard answers no more: it is noticed when the next looks at it get no answer."""
        self.later(self.kernel.between(1, LOOK_EVERY_MS), self.runners[service.uid].look_at_guard)

    def lost_guard(self, service: Service) -> None:
        """The connection to a guard broke."""
        self.later(self.kernel.between(1, 100), self.runners[service.uid].guard_died)

    def _know_guards(self) -> None:
        self._knows_guards = True
        for runner in self.runners.values():
            runner.know_guard()

    def _tick(self) -> None:
        now_ms = self.host.now_ms()
        for runner in self.runners.values():
            runner.tick(now_ms)
        self.later(TICK_MS, self._tick)

    def _report_all(self) -> None:
        now_ms = self.host.now_ms()
        self.report(tuple(runner.told(now_ms) for runner in self.runners.values()))
        self.later(REPORT_MS, self._report_all)

    def _header(self) -> Header:
        self._sequence += 1
        return Header(CLUSTER, self.host.site, self._boot_id, self.life, self._sequence)

    def report(self, replicas: tuple[ReplicaReport, ...]) -> None:
        """Tell the controller."""
        report = Report(
            self._header(), replicas, self.prober.list_name, self.prober.paths(),
            self.checks.symptoms(),
        )  # fmt: skip
        self._to_controller("report", encode(report))

    def _to_controller(self, kind: str, raw: bytes) -> None:
        site = self.host.site
        wires = self.host.wires
        deliver = wires.report if kind == "report" else wires.renew
        self.host.network.send(site, HUB, raw, lambda told: deliver(site, told))

    def ask(self, action: act.SendAsk) -> None:
        """Ask the controller over the broker, or the partner straight."""
        raw = encode(Renew(self._header(), (action.ask,)))
        if action.grantor == CONTROLLER:
            self._to_controller("renew", raw)
            return
        partner = self.host.wires.hosts.get(action.grantor)
        if partner is None:
            return
        site, network, grantor = self.host.site, self.host.network, action.grantor

        def hear(answer: bytes) -> None:
            self.later(0, lambda: self.take_grant(answer, grantor))

        def reply(answer: bytes) -> None:
            network.send(grantor, site, answer, hear)

        network.send(site, grantor, raw, lambda told: partner.hear_ask(site, told, reply))

    def answer(self, action: act.AnswerAsk) -> None:
        """Answer a partner that waits, and let the checkers know what was promised."""
        granted = action.granted
        holder, reply = self._replies.pop(action.question)
        self._note_promise(holder, granted)
        reply(encode(Grant(self._header(), holder, (granted,))))

    def _note_promise(self, holder: str, granted: Granted) -> None:
        if not granted.ttl_ms:
            return
        end_ms = self.host.now_ms() + grantor_window_ms(granted.ttl_ms)
        true_end_ms = self.host.clock.soonest_ms(end_ms, self.kernel.now_ms)
        self.host.watch.granted(self.kernel.now_ms, holder, granted, true_end_ms)

    def hear_ask(self, sender: str, raw: bytes, reply: Deliver) -> None:
        """A partner asks for leases."""
        renew = self._take(raw, Renew, sender, straight=True)
        for ask in renew.asks if renew else ():
            runner = self.runners.get(ask.service_uid)
            if runner:
                self._questions += 1
                self._replies[str(self._questions)] = (sender, reply)
                runner.feed(ev.AskCame(str(self._questions), sender, ask))

    def take_grant(self, raw: bytes, grantor: str) -> None:
        """A grantor answered."""
        grant = self._take(raw, Grant, grantor, straight=grantor != CONTROLLER)
        for granted in grant.grants if grant and grant.audience == self.host.site else ():
            runner = self.runners.get(granted.service_uid)
            if runner:
                runner.feed(ev.GrantCame(grantor, granted))

    def take_order(self, raw: bytes) -> None:
        """The controller assigns something."""
        order = self._take(raw, Order, CONTROLLER)
        if order is None:
            return
        self.prober.take(order)
        for assignment in order.assignments:
            runner = self.runners.get(assignment.service_uid)
            if runner:
                runner.feed(ev.OrderCame(assignment))

    def _take(self, raw: bytes, kind: type[M], sender: str, *, straight: bool = False) -> M | None:
        """Questions straight to a partner overtake each other, and none may be put aside."""
        intake = self._intake if self.host.ordered and not straight else Intake(CLUSTER)
        try:
            return intake.take(raw, kind, sender)
        except Rejected:
            return None
