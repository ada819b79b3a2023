"""Causes faults: at random moments, and right after the moments at which things change."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from controller.core.events import Kind, Requested
from controller.core.model import Record
from controller.core.view import View
from simulator.engine import Engine
from simulator.host import Host
from simulator.network import HUB, Weather
from simulator.profiles import Profile
from simulator.service import Service
from simulator.watch import Watch

if TYPE_CHECKING:
    from simulator.world import World

STORM = Weather(near_ms=1, far_ms=120, loss=0.25, doubled=0.2, late=0.15, late_most_ms=5000)


class Faults(Watch):
    """One seed's faults. As a watch, it strikes soon after a record changed."""

    def __init__(self, world: World, profile: Profile, begin_ms: int, end_ms: int) -> None:
        self._world = world
        self._kernel = kernel = world.kernel
        self._profile = profile
        self._begin_ms = begin_ms
        self._end_ms = end_ms
        kinds = [k for k in profile.kinds if not profile.swarm or kernel.chance(0.6)]
        self._kinds = kinds or list(profile.kinds)
        self._weights = [profile.kinds[k] for k in self._kinds]
        self._gap_ms = kernel.random.choice((400, 1000, 2500, 6000))
        self._reactive = kernel.random.choice((0.0, 0.15, 0.4))
        self._long = kernel.random.choice((0.1, 0.3, 0.6))
        self._requests = 0
        self._do: dict[str, Callable[[], None]] = {
            "controller_crash": lambda: world.controller.crash(self._duration_ms()),
            "controller_crash_mid": self._controller_crash_mid,
            "controller_pause": self._controller_pause,
            "broker_down": lambda: world.network.stop_broker(self._until_ms()),
            "agent_kill": self._agent_kill,
            "agent_kill_mid": self._agent_kill_mid,
            "agent_pause": self._agent_pause,
            "host_crash": self._host_crash,
            "guard_kill": lambda: self._host().kill_guard(self._service()),
            "engine_crash": self._engine_crash,
            "engine_hang": self._engine_hang,
            "engine_local": self._engine_local,
            "engine_shared": self._engine_shared,
            "disk_full": self._disk_full,
            "disk_slow": self._disk_slow,
            "look_slow": self._look_slow,
            "cut_one_way": lambda: self._cut(both=False),
            "cut_both": lambda: self._cut(both=True),
            "isolate": self._isolate,
            "corner": self._corner,
            "storm": lambda: world.network.storm(STORM, self._until_ms()),
            **{kind.value: self._operator(kind) for kind in Kind},
            "maintenance": self._maintenance,
        }
        kernel.at(begin_ms, self._strike_again)

    def swapped(self, now_ms: int, old: Record | None, new: Record) -> None:
        """A bad moment: something changed just now."""
        if self._begin_ms <= now_ms < self._end_ms and self._kernel.chance(self._reactive):
            self._kernel.after(self._kernel.between(0, 400), self._strike)

    def _strike_again(self) -> None:
        self._strike()
        self._kernel.after(1 + int(self._kernel.random.expovariate(1 / self._gap_ms)), self._next)

    def _next(self) -> None:
        if self._kernel.now_ms < self._end_ms:
            self._strike_again()

    def _strike(self) -> None:
        if self._kernel.now_ms < self._end_ms:
            kind = self._kernel.random.choices(self._kinds, self._weights)[0]
            self._kernel.tell("fault", kind)
            self._do[kind]()

    def _duration_ms(self) -> int:
        kernel = self._kernel
        return (
            kernel.between(2000, 12_000) if kernel.chance(self._long) else kernel.between(20, 2000)
        )

    def _until_ms(self) -> int:
        return self._kernel.now_ms + self._duration_ms()

    def _service(self) -> Service:
        return self._kernel.random.choice(self._world.services)

    def _host(self) -> Host:
        """A host to strike: the primary's more often than not, where any will do."""
        service, where = self._service(), self._profile.where
        record = self._world.controller.store.records.get(service.uid)
        if record is None:
            return self._kernel.random.choice(self._world.hosts)
        if where == "backup" or (where == "anywhere" and self._kernel.chance(0.4)):
            return self._world.host(record.backup)
        return self._world.host(record.primary)

    def _controller_crash_mid(self) -> None:
        self._world.controller.crashes_after_actions = self._kernel.between(0, 4)

    def _controller_pause(self) -> None:
        self._world.controller.paused_until_ms = self._until_ms()

    def _agent_kill(self) -> None:
        host = self._host()
        host.kill_agent()
        self._kernel.after(self._duration_ms(), host.start_agent)

    def _agent_kill_mid(self) -> None:
        process = self._host().process
        if process:
            process.crashes_at_persist = self._kernel.between(1, 2)

    def _agent_pause(self) -> None:
        process = self._host().process
        if process:
            process.paused_until_ms = self._until_ms()

    def _host_crash(self) -> None:
        host = self._host()
        host.crash()
        self._kernel.after(self._duration_ms() + 300, host.boot)

    def _engine_crash(self) -> None:
        service, host = self._service(), self._host()
        guard = host.guards.get(service.uid)
        if guard and guard.alive and host.up:
            guard.crash_engine()

    def _engine_hang(self) -> None:
        self._service_engine().hung_until_ms = self._until_ms()

    def _engine_local(self) -> None:
        self._service_engine().local_illness_until_ms = self._until_ms()

    def _service_engine(self) -> Engine:
        host = self._host()
        service = self._kernel.random.choice(host.services)
        return service.engines[host.site]

    def _engine_shared(self) -> None:
        until_ms = self._until_ms()
        for engine in self._service().engines.values():
            engine.shared_illness_until_ms = until_ms

    def _disk_full(self) -> None:
        self._host().disk_full_until_ms = self._until_ms()

    def _disk_slow(self) -> None:
        self._host().disk_slow_until_ms = self._until_ms()

    def _look_slow(self) -> None:
        self._host().look_slow_until_ms = self._until_ms()

    def _cut(self, both: bool) -> None:
        places = [HUB, *(host.site for host in self._world.hosts)]
        one, other = self._kernel.random.sample(places, 2)
        until_ms = self._until_ms()
        self._world.network.cut(one, other, until_ms)
        if both:
            self._cut_off(one, other, until_ms)

    def _isolate(self) -> None:
        place, until_ms = self._host().site, self._until_ms()
        for other in (HUB, *(host.site for host in self._world.hosts)):
            if other != place:
                self._cut_off(place, other, until_ms)

    def _corner(self) -> None:
        """The primary loses one grantor for long, and then the other one too."""
        kernel, service = self._kernel, self._service()
        record = self._world.controller.store.records[service.uid]
        grantors = [HUB, record.backup]
        first = kernel.random.choice(grantors)
        ttl_ms = record.terms.ttl_ms
        until_ms = kernel.now_ms + 6 * ttl_ms
        self._cut_off(record.primary, first, until_ms)
        last = next(name for name in grantors if name != first)

        def corner() -> None:
            self._cut_off(record.primary, last, until_ms)
            if kernel.chance(0.5):
                self._world.controller.crash(kernel.between(20, 300))

        kernel.after(kernel.between(ttl_ms, 3 * ttl_ms), corner)

    def _cut_off(self, one: str, other: str, until_ms: int) -> None:
        self._world.network.cut(one, other, until_ms)
        self._world.network.cut(other, one, until_ms)

    def _operator(self, kind: Kind) -> Callable[[], None]:
        return lambda: self._ask(kind)

    def _maintenance(self) -> None:
        """The backup's host is patched: announced, stopped too soon or in time, or never."""
        service, kernel = self._service(), self._kernel
        record = self._world.controller.store.records[service.uid]
        host = self._world.host(record.backup)
        self._ask(Kind.BEGIN_MAINTENANCE, service)
        if kernel.chance(0.7):
            kernel.after(kernel.between(0, 3000), lambda: self._crash_in_time(host))
            kernel.after(3000 + self._duration_ms(), host.boot)
        if kernel.chance(0.3):
            end_ms = self._duration_ms()
            kernel.after(end_ms, lambda: self._ask(Kind.END_MAINTENANCE, service))

    def _crash_in_time(self, host: Host) -> None:
        if self._kernel.now_ms < self._end_ms:
            host.crash()

    def _ask(self, kind: Kind, service: Service | None = None) -> None:
        service, controller = service or self._service(), self._world.controller
        state = controller.state
        if state is None:
            return
        self._requests += 1
        view = View(state.services[service.uid], controller.now_ms())
        loss = view.loss_bytes
        known = -1 if loss is None else loss * self._kernel.random.choice((1, 1, 2)) - 1
        controller.request(
            Requested(
                f"request-{self._requests}", kind, service.uid, "an operator", "a test",
                epoch=view.record.epoch, loss_bytes=known + self._kernel.between(0, 1),
                for_ms=self._kernel.between(1, 40_000),
            )
        )  # fmt: skip
