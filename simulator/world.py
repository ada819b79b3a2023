"""A whole simulated world: sites, services, a controller, the checkers that see everything."""

from __future__ import annotations

from collections.abc import Callable

from msgspec.structs import replace

from controller.core.events import Ask
from controller.core.model import ServiceSpec
from controller.core.site_model import Stage
from simulator.checkers.approvals import LeaveGiven
from simulator.checkers.audit import WholeAudit
from simulator.checkers.blindness import BlindMovesNothing
from simulator.checkers.care import CautionHeeded
from simulator.checkers.disks import DisksHeeded
from simulator.checkers.distance import BackupNear
from simulator.checkers.epochs import OneReign
from simulator.checkers.forced import ForcedByTwo
from simulator.checkers.holds import HeldWithReason
from simulator.checkers.illness import NobodyPromotedForIllness
from simulator.checkers.integrity import HoldKept
from simulator.checkers.layers import WholeFence
from simulator.checkers.leases import LiveLease
from simulator.checkers.loss_bound import LossBounded
from simulator.checkers.operations import OperationsEnd
from simulator.checkers.pauses import PauseKept
from simulator.checkers.plans import PlansKept
from simulator.checkers.reasons import ReasonsStand
from simulator.checkers.replays import NothingTwice
from simulator.checkers.room import RoomKept
from simulator.checkers.stages import StagesKept
from simulator.checkers.sync_loss import NothingLost
from simulator.checkers.turns import OrderKept
from simulator.checkers.verdicts import VerdictsTrue
from simulator.checkers.vetoes import VetoKept
from simulator.checkers.waiting import NobodyWaitsSilently
from simulator.checkers.waits import NothingAtOneSiteOnly
from simulator.checkers.writers import OneWriter
from simulator.faults.catalogue import VERBS
from simulator.faults.configuration import other_stage
from simulator.kernel import Kernel
from simulator.parts.agent import Wires
from simulator.parts.controller import Controller
from simulator.parts.engine import Changed, Engine, Writes
from simulator.parts.host import Host
from simulator.parts.network import HUB, Network
from simulator.parts.service import Service
from simulator.setting import MOVES, WEATHERS, ServiceSetting, Setting
from simulator.strike import Strike
from simulator.watch import All, Watch

BEGIN_MS = 4000
LOOK_EVERY_MS = 1000


class World:
    """What a setting describes. Whoever runs it strikes it, heals it, and lets time pass."""

    begin_ms = BEGIN_MS
    """By when everything had time to come up."""

    def __init__(self, seed: int, setting: Setting, keep_story: bool = False) -> None:
        self.kernel = Kernel(seed, keep_story)
        self.setting = setting
        self.places = [HUB, *setting.sites]
        self.struck: list[Strike] = []
        """All that was done to this world, in its order."""
        self.network = Network(self.kernel, WEATHERS[setting.weather], setting.ordered)
        self._waiting = NobodyWaitsSilently()
        self._blindness = BlindMovesNothing()
        self.watch = All(self._make_watches())
        self.services = [self._make_service(service) for service in setting.services]
        self.watch.add(NothingAtOneSiteOnly(self.services))
        self._disks = DisksHeeded(self.services)
        self.watch.add(self._disks)
        self.watch.add(BackupNear(self.services))
        self._wires = Wires()
        self.hosts = [self._make_host(site) for site in setting.sites]
        self.controller = self._make_controller()
        self._requests = 0
        self._reloads = False
        """Whether the controller was ever asked to read another declaration."""
        self._last_request: Ask | None = None

    def start(self) -> None:
        """The first moment."""
        self.controller.start()
        for host in self.hosts:
            host.boot()
        self.kernel.after(LOOK_EVERY_MS, self._look)

    def strike(self, strike: Strike) -> None:
        """A fault at its moment, or now if that is past."""
        if strike.at_ms > self.kernel.now_ms:
            self.kernel.first_at(strike.at_ms, lambda: self._strike_now(strike))
        else:
            self._strike_now(strike)

    def heal(self) -> None:
        """End every fault, and bring up what is down."""
        self.kernel.tell("fault", "all faults are healed")
        self.watch.healed(self.kernel.now_ms)
        self.network.heal()
        self.controller.heal()
        self._declare_as_set()
        for service in self.services:
            for engine in service.engines.values():
                engine.heal()
        for host in self.hosts:
            host.heal()

    def _declare_as_set(self) -> None:
        """Every copy is declared again, in a site of the stage that the setting gives it."""
        # What was asked for before may still wait for a slow store: whether a copy is left out then
        # does not show yet, so that all are declared again.
        if self._reloads:
            declared = [(self.controller.declared(s.uid), s.spec.replicas) for s in self.services]
            self.reload(*(replace(spec, replicas=replicas) for spec, replicas in declared))

    def request(self, make: Callable[[str], Ask]) -> None:
        """An operator asks for something, under a name of its own."""
        self._requests += 1
        self._last_request = make(f"request-{self._requests}")
        self.controller.request(self._last_request)

    def reload(self, *changed: ServiceSpec) -> None:
        """The controller reads another declaration of some services."""
        self._requests += 1
        self._reloads = True
        self.controller.reload(f"request-{self._requests}", *changed)

    def request_again(self) -> None:
        """The last request comes once more."""
        if self._last_request is not None:
            self.controller.request(self._last_request)

    def host(self, site: str) -> Host:
        """The host of a site."""
        return self._wires.hosts[site]

    def service(self, name: str) -> Service:
        """The service of that name."""
        return next(service for service in self.services if service.name == name)

    def _look(self) -> None:
        controller = self.controller
        self._disks.look(self.kernel.now_ms)
        if controller.state is not None:
            self._blindness.look(self.kernel.now_ms, self._heard(), len(self.hosts))
            self._waiting.look(self.kernel.now_ms, controller.state, controller.now_ms())
        self.kernel.after(LOOK_EVERY_MS, self._look)

    def _heard(self) -> int:
        """How many agents the controller can hear now."""
        opens = self.network.open
        return sum(
            host.process is not None and host.process.awake and opens(host.site, HUB)
            for host in self.hosts
        )

    def _strike_now(self, strike: Strike) -> None:
        self.struck.append(strike)
        self.kernel.tell("fault", str(strike))
        self.watch.struck(self.kernel.now_ms, strike)
        VERBS[strike.verb].act(self, strike)

    def _make_service(self, setting: ServiceSetting) -> Service:
        service = Service(
            self.kernel, self.network, self._spec(setting), self._changed(setting),
            setting.write_every_ms, setting.write_bytes,
        )  # fmt: skip
        for engine in service.engines.values():
            engine.local_clients = setting.local_clients
        return service

    def _spec(self, setting: ServiceSetting) -> ServiceSpec:
        spec = setting.spec
        for site in self.setting.planned:
            spec = other_stage(spec, site, Stage.PLANNED)
        return spec

    def _changed(self, service: ServiceSetting) -> Changed:
        def changed(engine: Engine, was: Writes) -> None:
            now_ms, name = self.kernel.now_ms, service.name
            if was is Writes.YES:
                self.kernel.tell(engine.site, f"{name}: the engine is writable no more")
                self.watch.writes_no_more(now_ms, name, engine.site)
            elif was is Writes.ASTRAY:
                self._astray_no_more(engine, name)
            if engine.writes is Writes.ASTRAY:
                self.kernel.tell(engine.site, f"{name}: it takes writes, and nothing binds it")
                self.watch.goes_astray(now_ms, name, engine.site)
            if engine.writes is not Writes.YES:
                return
            epoch = self.host(engine.site).read(service.spec.uid).reign_epoch
            lost = engine.history.lose(engine.timeline, engine.position)
            self.kernel.tell(
                engine.site,
                f"{name}: the engine is writable, epoch {epoch}, timeline {engine.timeline}, "
                f"{lost} acknowledged bytes are lost",
            )
            self.watch.writes(now_ms, name, engine.site, epoch, lost)

        return changed

    def _astray_no_more(self, engine: Engine, name: str) -> None:
        """What it acknowledged since another was promoted is lost at once, and not once more."""
        others = [other for other in self.service(name).engines.values() if other is not engine]
        rightful = next((other for other in others if other.writes is Writes.YES), None)
        lost = engine.history.lose(rightful.timeline, rightful.position) if rightful else 0
        self.kernel.tell(engine.site, f"{name}: and no more; {lost} acknowledged bytes are lost")
        self.watch.astray_no_more(self.kernel.now_ms, name, engine.site, lost)

    def _excused(self, service: str, agent: str) -> bool:
        engine = self.service(service).engines[agent]
        excused = self.host(agent).excused(engine)
        if excused and not engine.astray:
            self.watch.goes_astray(self.kernel.now_ms, service, agent)
        return excused

    def _make_watches(self) -> list[Watch]:
        def true_ms() -> int:
            return self.kernel.now_ms

        return [
            OneWriter(self._excused), OneReign(), LiveLease(self._excused), NothingLost(),
            LossBounded(self.setting.services), OperationsEnd(), HeldWithReason(),
            WholeAudit(), NothingTwice(),
            PauseKept(), HoldKept(true_ms), VetoKept(),
            NobodyPromotedForIllness(), WholeFence(),
            LeaveGiven(self.setting.services), ForcedByTwo(), PlansKept(MOVES.dwell_ms),
            self._blindness, ReasonsStand(true_ms, MOVES.per_hour), CautionHeeded(true_ms),
            VerdictsTrue(),
            StagesKept(),
            RoomKept(self.setting), OrderKept([s.spec for s in self.setting.services]),
            self._waiting,
        ]  # fmt: skip

    def _make_host(self, site: str) -> Host:
        services = [s for s in self.services if site in s.engines]
        rate_ppm = self.setting.rate_ppm(self.places.index(site))
        host = Host(
            self.kernel, self.network, self._wires, self.watch, site, rate_ppm, services,
            self.setting.ordered, self.setting.layers(site),
        )  # fmt: skip
        self._wires.hosts[site] = host
        return host

    def _make_controller(self) -> Controller:
        specs = [service.spec for service in self.services]
        controller = Controller(
            self.kernel, self.network, self._wires, self.watch, specs, self.setting.rate_ppm(0),
            self.setting.ordered, self.setting.nation, self.setting.move_rules,
        )  # fmt: skip
        self._wires.report = controller.take_report
        self._wires.renew = controller.take_renew
        return controller
