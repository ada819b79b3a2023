"""A simulated host: its clock, its disk, its guards, and the lives of its agent."""

from __future__ import annotations

import msgspec

from agents.core.model import Durable
from protocol.messages import CONTROLLER
from simulator.agent import Process, Wires
from simulator.clock import Clock
from simulator.frost import Frost
from simulator.guard import Guard
from simulator.kernel import Kernel
from simulator.network import Deliver, Network
from simulator.service import Service
from simulator.watch import Watch


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
        self._boots = 0
        self._lives = 0
        self.clock = Clock(rate_ppm, 0, 0)
        self.frost = Frost()
        self._freezes = 0
        self.guards: dict[str, Guard] = {}
        self.up = False
        self.process: Process | None = None
        self.disk_full_until_ms = 0
        self.disk_slow_until_ms = 0
        self.look_slow_until_ms = 0

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
        self.frost.forget()
        self.kill_agent()
        for service in self.services:
            guard = self.guards.get(service.uid)
            if guard and guard.alive:
                guard.die()
        for service in self.services:
            service.engines[self.site].frozen = False
        self.up = False

    def freeze(self, until_ms: int) -> None:
        """Agent, guards and engines stand still, while the boot-time clock goes on."""
        if not self.up or self.frost.frozen:
            return
        self.kernel.tell(self.site, "the host stands still")
        self.frost.begin()
        self._freezes += 1
        for service in self.services:
            service.engines[self.site].freeze()
        freeze = self._freezes
        self.kernel.at(until_ms, lambda: self._thaw(freeze))

    def _thaw(self, freeze: int) -> None:
        if not self.frost.frozen or freeze != self._freezes:
            return
        self.kernel.tell(self.site, "the host goes on")
        self.frost.frozen = False
        for service in self.services:
            guard = self.guards.get(service.uid)
            if guard:
                guard.thaw()
            service.engines[self.site].thaw()
        self.frost.thaw()

    def drift(self, rate_ppm: int) -> None:
        """The clock runs at another rate from now on, after the next boot, too."""
        self._rate_ppm = rate_ppm
        self.clock.set_rate(rate_ppm, self.kernel.now_ms)
        for service in self.services:
            guard = self.guards.get(service.uid)
            if guard:
                guard.watch_deadline()

    def start_agent(self) -> None:
        """A new life of the agent begins."""
        if not self.up or self.process is not None:
            return
        if self.frost.frozen:
            self.frost.wait(self.start_agent)
            return
        self._lives += 1
        life = f"{self._lives}-{self.site}"
        self.kernel.tell(self.site, f"agent life {life} begins")
        self.process = Process(self, life, f"boot-{self._boots}")
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

            guard = Guard(self.kernel, self.clock, self.frost, engine, budget_ms, fenced)
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
        self._thaw(self._freezes)
        self.boot()
        self.start_agent()
