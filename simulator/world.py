"""A whole simulated world of one seed: sites, services, controller, faults, checkers."""

from __future__ import annotations

from config.leases import PROFILES
from controller.core.events import Kind, Requested
from controller.core.model import HeldFor, Phase, Protection, ReplicaSpec, ServiceSpec
from protocol.messages import LeaseTerms
from simulator.agent import Wires
from simulator.checkers.convergence import CALM_MS, PATIENCE_MS, must_be_well, unwell
from simulator.checkers.epochs import OneReign
from simulator.checkers.fences import NobodyFenced
from simulator.checkers.leases import LiveLease
from simulator.checkers.loss_bound import LossBounded
from simulator.checkers.sync_loss import NothingLost
from simulator.checkers.writers import OneWriter
from simulator.clock import RATE_MOST_PPM
from simulator.controller import Controller
from simulator.engine import Changed, Engine
from simulator.faults import Faults
from simulator.host import Host
from simulator.kernel import Kernel
from simulator.network import Network, Weather
from simulator.profiles import Profile
from simulator.service import Service
from simulator.watch import All, Broken, Watch

PAIRS = (("alpha", "bravo"), ("charlie", "delta"))
TIGHT = LeaseTerms(1000, 200, 200, 500, 1500)
"""Shorter than any shipped profile: what comes just in time there is late here."""
TERMS = (*[PROFILES["fast"]] * 3, TIGHT, PROFILES["standard"])
"""Those that are shipped, the fast one most often; one is drawn for each service."""
CALM = Weather(1, 30)
ROUGH = Weather(1, 60, loss=0.02, doubled=0.05, late=0.02, late_most_ms=3000)
BEGIN_MS = 4000
LOOK_MS = 250
TAKEOVER_SLACK_MS = 6000


class World:
    """Everything of one seed. `run` ends, or raises Broken."""

    def __init__(self, seed: int, profile: Profile, seconds: int, keep_story: bool) -> None:
        self.kernel = Kernel(seed, keep_story)
        self._profile = profile
        self._end_ms = BEGIN_MS + seconds * 1000
        random = self.kernel.random
        self._ordered = random.random() < 0.5
        weather = random.choice((CALM, ROUGH))
        weather = CALM if profile.must_not_fence else weather
        self.network = Network(self.kernel, weather, self._ordered)
        pairs = PAIRS if random.random() < 0.15 else PAIRS[:1]
        self.services = self._make_services(pairs)
        self.watch = All(self._make_watches())
        self.hosts = self._make_hosts(pairs)
        self.controller = self._make_controller()
        self._requests = 0

    def run(self) -> None:
        """The faults, the healing, and the proof that all is well again."""
        self.controller.start()
        for host in self.hosts:
            host.boot()
        self.kernel.run_until(self._end_ms)
        self._heal()
        self._run_until_well()
        if self._profile.site_dies:
            self._site_dies()

    def host(self, site: str) -> Host:
        """The host of a site."""
        return next(host for host in self.hosts if host.site == site)

    def _make_services(self, pairs: tuple[tuple[str, str], ...]) -> list[Service]:
        kernel = self.kernel
        count = kernel.random.choice((1, 1, 1, 1, 2, 3))
        services = []
        for number in range(max(count, len(pairs))):
            sites = pairs[number % len(pairs)]
            if kernel.chance(0.5) and not self._profile.must_not_fence:
                sites = (sites[1], sites[0])
            every_ms = kernel.random.choice((20, 50))
            size = kernel.random.choice((500, 20_000))
            spec = _spec(kernel, f"s{number + 1}", sites, size * 1000 // every_ms)
            services.append(
                Service(kernel, self.network, spec, self._changed(spec), every_ms, size)
            )
        return services

    def _changed(self, spec: ServiceSpec) -> Changed:
        def changed(engine: Engine, writable: bool) -> None:
            now_ms = self.kernel.now_ms
            if not writable:
                self.kernel.tell(engine.site, f"{spec.name}: the engine is writable no more")
                self.watch.writes_no_more(now_ms, spec.name, engine.site)
                return
            epoch = self.host(engine.site).read(spec.uid).reign_epoch
            lost = engine.history.lose(engine.timeline, engine.position)
            self.kernel.tell(
                engine.site,
                f"{spec.name}: the engine is writable, epoch {epoch}, timeline {engine.timeline}, "
                f"{lost} acknowledged bytes are lost",
            )
            self.watch.writes(now_ms, spec.name, engine.site, epoch, lost)

        return changed

    def _make_watches(self) -> list[Watch]:
        sync = [s.name for s in self.services if s.spec.protection is Protection.SYNC]
        bounds = {
            s.name: (s.spec.loss_bound_bytes, s.rate_bytes_s)
            for s in self.services
            if s.name not in sync
        }
        watches: list[Watch] = [OneWriter(), OneReign(), LiveLease()]
        watches += [NothingLost(sync), LossBounded(bounds)]
        if self._profile.must_not_fence:
            watches.append(NobodyFenced(self._profile.must_not_fence))
        watches.append(Faults(self, self._profile, BEGIN_MS, self._end_ms))
        return watches

    def _make_hosts(self, pairs: tuple[tuple[str, str], ...]) -> list[Host]:
        self._wires = Wires()
        hosts = []
        for site in (site for pair in pairs for site in pair):
            services = [s for s in self.services if site in s.engines]
            rate = self._rate_ppm()
            host = Host(
                self.kernel, self.network, self._wires, self.watch, site, rate, services,
                self._ordered,
            )  # fmt: skip
            self._wires.hosts[site] = host
            hosts.append(host)
        return hosts

    def _make_controller(self) -> Controller:
        specs = [service.spec for service in self.services]
        controller = Controller(
            self.kernel, self.network, self._wires, self.watch, specs, self._rate_ppm(),
            self._ordered,
        )  # fmt: skip
        self._wires.report = controller.take_report
        self._wires.renew = controller.take_renew
        return controller

    def _rate_ppm(self) -> int:
        return self.kernel.random.choice((-RATE_MOST_PPM, 0, RATE_MOST_PPM, RATE_MOST_PPM))

    def _heal(self) -> None:
        self.kernel.tell("fault", "all faults are healed")
        self.network.heal()
        self.controller.paused_until_ms = 0
        self.controller.crashes_after_actions = -1
        self.controller.start()
        for service in self.services:
            for engine in service.engines.values():
                engine.heal()
        for host in self.hosts:
            host.heal()

    def _run_until_well(self) -> None:
        """Look until all was well for a while, or time is over."""
        end_ms = self.kernel.now_ms + PATIENCE_MS
        well_since_ms = -1
        while self.kernel.now_ms < end_ms:
            self.kernel.run_until(self.kernel.now_ms + LOOK_MS)
            self._help()
            if any(unwell(s, self.controller.store.records[s.uid]) for s in self.services):
                well_since_ms = -1
            elif well_since_ms < 0:
                well_since_ms = self.kernel.now_ms
            elif self.kernel.now_ms - well_since_ms >= CALM_MS:
                return
        for service in self.services:
            must_be_well(service, self.controller.store.records[service.uid])

    def _help(self) -> None:
        """The operators undo what they did, and decide what only they may."""
        for service in self.services:
            record = self.controller.store.records[service.uid]
            restored = record.phase is Phase.HELD and record.held_for is HeldFor.RESTORED
            if record.paused:
                self._request(Kind.RESUME, service)
            elif restored:
                self._request(Kind.APPROVE, service)

    def _request(self, kind: Kind, service: Service) -> None:
        self._requests += 1
        self.controller.request(Requested(f"help-{self._requests}", kind, service.uid, "help"))

    def _site_dies(self) -> None:
        service = self.kernel.random.choice(self.services)
        record = self.controller.store.records[service.uid]
        self.host(record.primary).crash()
        patience_ms = record.terms.ttl_ms * 102 // 100 + TAKEOVER_SLACK_MS
        end_ms = self.kernel.now_ms + patience_ms
        backup = service.engines[record.backup]
        while not backup.writable and self.kernel.now_ms < end_ms:
            self.kernel.run_until(self.kernel.now_ms + LOOK_MS)
        now = self.controller.store.records[service.uid]
        if not backup.writable and now.phase is not Phase.HELD:
            raise Broken(
                "takeover",
                f"{record.primary} died for good {patience_ms / 1000:.1f} s ago and "
                f"{record.backup} serves not: {now.phase.value}, {now.because}",
            )


def _spec(kernel: Kernel, name: str, sites: tuple[str, str], rate: int) -> ServiceSpec:
    terms = kernel.random.choice(TERMS)
    enough = rate * (terms.ttl_ms + 2 * terms.renew_ms) // 1000
    bound = kernel.random.choice((enough // 4, enough * 2, enough * 2, enough * 20))
    replicas = tuple(
        ReplicaSpec(site, site, priority, f"{site}:{name}", f"{site}:8443", "key")
        for priority, site in enumerate(sites)
    )
    return ServiceSpec(
        name=name,
        uid=f"uid-{name}",
        terms=terms,
        replicas=replicas,
        protection=kernel.random.choice((Protection.ASYNC, Protection.SYNC)),
        loss_bound_bytes=bound,
    )
