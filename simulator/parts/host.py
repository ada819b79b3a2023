"""A simulated host: its clock, its disk, its guards, and the lives of its agent."""

from __future__ import annotations

from collections import deque
from functools import partial

import msgspec

from agents.core.model import Durable
from agents.core.symptoms import Post
from protocol.messages import CONTROLLER
from simulator.kernel import Kernel
from simulator.parts.agent import Process, Wires
from simulator.parts.clock import Clock
from simulator.parts.engine import Engine
from simulator.parts.fence import Outer
from simulator.parts.guard import REACTS_MOST_MS, Guard
from simulator.parts.network import Deliver, Network
from simulator.parts.service import Service
from simulator.watch import Watch

OLD_WRITES_MOST = 60
RESET_MS = 3000
"""From a reset until the host is up again."""


class Host:
    """One site's machine. Its disk outlives every crash."""

    def __init__(
        self,
        kernel: Kernel,
        network: Network,
        wires: Wires,
        watch: Watch,
        site: str,
        rate_ppm: int,
        services: list[Service],
        ordered: bool,
        layers: tuple[str, ...] = (),
    ) -> None:
        self.kernel = kernel
        self.network = network
        self.wires = wires
        self.watch = watch
        self.site = site
        self.services = services
        self.ordered = ordered
        """Whether messages pass one Intake for the life, or a new one each."""
        self._rate_ppm = rate_ppm
        self._disk: dict[str, bytes] = {}
        self._overwritten: deque[tuple[str, bytes | None]] = deque(maxlen=OLD_WRITES_MOST)
        self._boots = 0
        self._lives = 0
        self.clock = Clock(rate_ppm, 0, 0)
        self.guards: dict[str, Guard] = {}
        self.outer = Outer(kernel, layers, self._reset)
        self.strays_allowed = True
        self._loose_until_ms: dict[Engine, int] = {}
        """Until when no promise is made that an engine's writes end with its lease."""
        self._stopped_clock_ms: int | None = None
        """What the clock showed when it stood still, with the whole machine."""
        self._wall_late_ms = -1
        """How long after that the wall time is put right; negative: never."""
        self._still_since_ms = 0
        self._wall_jumps: list[tuple[int, int]] = []
        """When wall time was put forward by how much, on the clock of leases, in this boot."""
        self.up = False
        self.process: Process | None = None
        self.frozen_until_ms = 0
        self.disk_full_until_ms = 0
        self.disk_slow_until_ms = 0
        self.look_slow_until_ms = 0
        self._ailments: dict[str, tuple[str, int]] = {}
        """By kind: what the site's own check says, and until when (true ms)."""
        self.posts: tuple[Post, ...] = ()
        """What was posted to its agent in this boot: no other one remembers it."""
        self.veto_left_ms = 0
        """What the disk says is left of a veto of this host's operator."""

    def now_ms(self) -> int:
        """What the host's clock shows."""
        return self.clock.read_ms(self.kernel.now_ms)

    def boot(self) -> None:
        """The host comes up, and the agent with it."""
        if self.up:
            return
        self._boots += 1
        start_ms = self.kernel.between(1000, 60_000)
        self.clock = Clock(self._rate_ppm, start_ms, self.kernel.now_ms)
        self._wall_jumps, self.posts = [], ()
        self.up = True
        self.kernel.tell(self.site, "the host is up")
        self.start_agent()

    def crash(self) -> None:
        """Everything on the host ends at once."""
        if not self.up:
            return
        self.kernel.tell(self.site, "the host crashes")
        self.kill_agent()
        for service in self.services:
            guard = self.guards.get(service.uid)
            if guard and guard.alive:
                guard.die()
        self._freeze_engines(False)
        self.outer.end()
        # A guard of before has no door any more: a change of the clock must not make it shut one.
        self.guards = {}
        self._loose_until_ms, self._stopped_clock_ms = {}, None
        self.frozen_until_ms = 0
        self.up = False

    def crash_and_forget(self, writes: int) -> None:
        """It crashes, and its disk lied: the last writes were acknowledged and are gone."""
        if not self.up:
            return
        self.crash()
        for _ in range(min(writes, len(self._overwritten))):
            uid, raw = self._overwritten.pop()
            if raw is None:
                self._disk.pop(uid, None)
            else:
                self._disk[uid] = raw

    def start_agent(self) -> None:
        """A new life of the agent begins."""
        if not self.up or self.process is not None:
            return
        self._lives += 1
        life = f"{self._lives}-{self.site}"
        self.kernel.tell(self.site, f"agent life {life} begins")
        self.process = Process(self, life, f"boot-{self._boots}")
        self.process.still.last(self.frozen_until_ms)
        self.process.start()

    def kill_agent(self) -> None:
        """kill -9; guards and engines go on."""
        if self.process is None:
            return
        self.kernel.tell(self.site, "the agent is killed")
        self.process.alive = False
        self.process = None
        for guard in self.guards.values():
            guard.exited = None
        self._loosen_still_ones()

    def pause_agent(self, until_ms: int) -> None:
        """The agent stands still; guards and engines go on."""
        if self.process:
            self.process.still.last(until_ms)
            self._loosen_still_ones()

    def pause_guards(self, until_ms: int, services: list[Service]) -> None:
        """Guards stand still; the agent, if it can, and the engines go on."""
        for service in services:
            guard = self.guards.get(service.uid)
            if guard and guard.alive:
                guard.stand_still(until_ms)
                if self.process:
                    self.process.miss_guard(service)
        if self.process is None or not self.process.attends():
            self._loosen_still_ones()

    def freeze(self, until_ms: int) -> None:
        """All that runs on its kernel stands still; the kernel and its clocks go on."""
        if not self.up:
            return
        self.frozen_until_ms = max(self.frozen_until_ms, until_ms)
        if self.process:
            self.process.still.last(until_ms)
        for guard in self._living_guards():
            guard.stand_still(until_ms)
        self._loosen_still_ones()
        self._freeze_engines(True)
        self.kernel.first_at(self.frozen_until_ms, self._thaw)

    def suspend(self, until_ms: int) -> None:
        """The kernel stands still as well. The boot clock goes on, which shows it afterwards."""
        if not self.up:
            return
        self.outer.stand_still()
        for guard in self._living_guards():
            guard.slept()
        self.freeze(until_ms)

    def pause_machine(self, until_ms: int, wall_late_ms: int) -> None:
        """The boot clock stands still, too; only wall time may show it, when it is put right."""
        if not self.up:
            return
        self.outer.stand_still()
        if self._stopped_clock_ms is None:
            self._stopped_clock_ms, self._still_since_ms = self.now_ms(), self.kernel.now_ms
        self._wall_late_ms = wall_late_ms
        self.freeze(until_ms)

    def _thaw(self) -> None:
        """It goes on; a guard that must act does so some moments later than its engine."""
        if not self.frozen_until_ms or self.kernel.now_ms < self.frozen_until_ms:
            return
        self.frozen_until_ms = 0
        self.kernel.tell(self.site, "the host goes on")
        over = [guard for guard in self._living_guards() if guard.is_over()]
        self.outer.go_on()
        if self._stopped_clock_ms is not None:
            self._clock_goes_on(self._stopped_clock_ms)
        for guard in over:
            self.excused(guard.engine)
        for guard in self._living_guards():
            guard.die_of_the_strike()
        self._freeze_engines(False)

    def _clock_goes_on(self, stopped_ms: int) -> None:
        """From where it stood, so that all leases of before seem to last longer than they do."""
        now_ms, paused_ms = self.kernel.now_ms, self.kernel.now_ms - self._still_since_ms
        self._stopped_clock_ms = None
        self.clock.restart(stopped_ms, now_ms)
        for guard in self._living_guards():
            guard.clock_changed()
        if self._wall_late_ms >= 0:
            put_right = partial(self._wall_put_right, paused_ms)
            self.kernel.after(
                self._wall_late_ms + self.kernel.between(1, REACTS_MOST_MS), put_right
            )
        for service in self.services:
            seen_ms = service.spec.terms.ttl_ms
            if self._wall_late_ms >= 0:
                seen_ms = min(seen_ms, self._wall_late_ms + REACTS_MOST_MS)
            self._loosen(service, now_ms + seen_ms)

    def _wall_put_right(self, jump_ms: int) -> None:
        self._wall_jumps.append((self.now_ms(), jump_ms))
        for guard in self._living_guards():
            guard.jump(jump_ms)

    def _living_guards(self) -> list[Guard]:
        return [guard for guard in self.guards.values() if guard.alive]

    def _loosen_still_ones(self) -> None:
        """Of a guard that stands still nobody takes care: what stands outside must hold."""
        for service in self.services:
            guard = self.guards.get(service.uid)
            if guard is None or not guard.alive or not guard.still:
                continue
            loose = self.kernel.now_ms <= self._loose_until_ms.get(guard.engine, -1)
            if loose or not self.outer.holds(guard.engine):
                self._loosen(service, guard.still_until_ms)

    def _loosen(self, service: Service, until_ms: int) -> None:
        """Nothing binds its engine until then, and until it is killed after that."""
        engine = service.engines[self.site]
        until_ms += service.spec.terms.fence_budget_ms
        self._loose_until_ms[engine] = max(until_ms, self._loose_until_ms.get(engine, 0))

    def excused(self, engine: Engine) -> bool:
        """Whether its writes are of those of which no promise is made, now or until now.

        It is known to be astray from then on, until a promise is made again.
        """
        loose = self.kernel.now_ms <= self._loose_until_ms.get(engine, -1)
        if engine.astray or not (loose and self.strays_allowed):
            return engine.astray
        if engine.writable:
            engine.go_astray(True)
            self.kernel.at(self._loose_until_ms[engine] + 1, partial(self._bind, engine))
        return True

    def _bind(self, engine: Engine) -> None:
        until_ms = self._loose_until_ms.get(engine, -1)
        if self.kernel.now_ms <= until_ms:
            self.kernel.at(until_ms + 1, partial(self._bind, engine))
        elif engine.astray:
            engine.go_astray(False)

    def _reset(self) -> None:
        """A watchdog was not petted: the host starts anew."""
        self.kernel.tell(self.site, "the watchdog resets the host")
        self.crash()
        self.kernel.after(RESET_MS, self.boot)

    def _freeze_engines(self, frozen: bool) -> None:
        for service in self.services:
            service.engines[self.site].freeze(frozen)

    def change_rate(self, rate_ppm: int) -> None:
        """The clock runs faster or slower from now on."""
        self._rate_ppm = rate_ppm
        self.clock.change_rate(rate_ppm, self.kernel.now_ms)
        for guard in self.guards.values():
            guard.clock_changed()

    def kill_guard(self, service: Service) -> None:
        """The guard is killed and its engine goes with it."""
        guard = self.guards.get(service.uid)
        if guard is None or not guard.alive:
            return
        self.kernel.tell(self.site, f"{service.name}: the guard is killed")
        self._lose_guard(service, guard)

    def end_still_guard(self, service: Service) -> None:
        """The agent ends a guard that does not answer, and with it its engine."""
        guard = self.guards.get(service.uid)
        if guard is None or not guard.alive:
            return
        self.kernel.tell(self.site, f"{service.name}: the guard stands still: its agent ends it")
        if guard.engine.writable:
            self.watch.fenced(self.kernel.now_ms, service.name, self.site, "its guard stood still")
        self._lose_guard(service, guard)

    def _lose_guard(self, service: Service, guard: Guard) -> None:
        guard.die()
        if self.process:
            self.process.lost_guard(service)

    def living_guard(self, service: Service) -> Guard:
        """The guard of a service; a new one if there is none."""
        guard = self.guards.get(service.uid)
        if guard is None or not guard.alive:
            engine = service.engines[self.site]
            budget_ms = service.spec.terms.fence_budget_ms
            site, name, watch, kernel = self.site, service.name, self.watch, self.kernel

            def fenced(reason: str) -> None:
                kernel.tell(site, f"{name}: the guard ends a writable engine: {reason}")
                watch.fenced(kernel.now_ms, name, site, reason)

            door, watchdog = self.outer.door(engine), self.outer.watchdog(engine)
            jumps = tuple(self._wall_jumps)
            guard = Guard(self.kernel, self.clock, engine, budget_ms, fenced, door, watchdog, jumps)
            guard.went_on = partial(self.outer.looked_at, engine)
            self.guards[service.uid] = guard
        return guard

    def take_order(self, raw: bytes) -> None:
        """A message of the controller came."""
        process = self.process
        if process:
            process.later(0, lambda: process.take_order(raw))

    def take_grant(self, raw: bytes) -> None:
        """The controller answered a question."""
        process = self.process
        if process:
            process.later(0, lambda: process.take_grant(raw, CONTROLLER))

    def hear_ask(self, sender: str, raw: bytes, reply: Deliver) -> None:
        """A partner asks for leases."""
        process = self.process
        if process:
            process.later(0, lambda: process.hear_ask(sender, raw, reply))

    def read(self, uid: str) -> Durable:
        """What is durable of a replica."""
        raw = self._disk.get(uid)
        return msgspec.json.decode(raw, type=Durable) if raw else Durable()

    def write(self, uid: str, durable: Durable) -> None:
        """Make it durable."""
        self._overwritten.append((uid, self._disk.get(uid)))
        self._disk[uid] = msgspec.json.encode(durable)

    def ails(self, kind: str, text: str, until_ms: int) -> None:
        """A check at this host says so until then."""
        self._ailments[kind] = (text, until_ms)

    def ailments(self) -> dict[str, str]:
        """What the checks at this host find now, by kind; empty where it is over."""
        now_ms = self.kernel.now_ms
        return {kind: text * (now_ms < end) for kind, (text, end) in self._ailments.items()}

    def disk_full(self) -> bool:
        return self.kernel.now_ms < self.disk_full_until_ms

    def disk_ms(self) -> int:
        """How long a write to disk takes."""
        slow = self.kernel.now_ms < self.disk_slow_until_ms
        return self.kernel.between(100, 3000) if slow else self.kernel.between(1, 4)

    def look_ms(self) -> int:
        """How long a look at the engine takes."""
        slow = self.kernel.now_ms < self.look_slow_until_ms
        return self.kernel.between(100, 1500) if slow else self.kernel.between(1, 15)

    def heal(self) -> None:
        """End every fault of this host."""
        self.disk_full_until_ms = self.disk_slow_until_ms = self.look_slow_until_ms = 0
        self._ailments = dict.fromkeys(self._ailments, ("", 0))
        if self.process:
            self.process.still.end()
        if self.frozen_until_ms:
            self.frozen_until_ms = self.kernel.now_ms
            self._thaw()
        for guard in self._living_guards():
            guard.wake()
        self.boot()
        self.start_agent()
        if self.process and self.veto_left_ms:
            self.process.veto.release()
