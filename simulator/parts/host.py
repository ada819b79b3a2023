"""A simulated host: its clock, its disk, its guards, and the lives of its agent."""

from __future__ import annotations

from collections import deque

import msgspec

from agents.core.model import Durable
from protocol.messages import CONTROLLER
from simulator.kernel import Kernel
from simulator.parts.agent import Process, Wires
from simulator.parts.clock import Clock
from simulator.parts.guard import Guard
from simulator.parts.network import Deliver, Network
from simulator.parts.service import Service
from simulator.watch import Watch

OLD_WRITES_MOST = 60


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
        self.up = False
        self.process: Process | None = None
        self.frozen_until_ms = 0
        self.disk_full_until_ms = 0
        self.disk_slow_until_ms = 0
        self.look_slow_until_ms = 0
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
        self.guards = {}
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
        self.process.paused_until_ms = self.frozen_until_ms
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

    def freeze(self, until_ms: int) -> None:
        """All of it stands still, but for the boot clock: a suspend."""
        if not self.up:
            return
        self.frozen_until_ms = max(self.frozen_until_ms, until_ms)
        if self.process:
            self.process.paused_until_ms = max(self.process.paused_until_ms, until_ms)
        self._freeze_engines(True)
        self.kernel.first_at(self.frozen_until_ms, self._thaw)

    def _thaw(self) -> None:
        """It goes on, the guards first."""
        if not self.frozen_until_ms or self.kernel.now_ms < self.frozen_until_ms:
            return
        self.frozen_until_ms = 0
        self.kernel.tell(self.site, "the host goes on")
        for service in self.services:
            if service.uid in self.guards:
                self.guards[service.uid].thaw()
        self._freeze_engines(False)

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

            guard = Guard(self.kernel, self.clock, engine, budget_ms, fenced)
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
        if self.process:
            self.process.paused_until_ms = 0
        if self.frozen_until_ms:
            self.frozen_until_ms = self.kernel.now_ms
            self._thaw()
        self.boot()
        self.start_agent()
        if self.process and self.veto_left_ms:
            self.process.veto.release()
