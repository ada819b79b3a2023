"""What a world is made of, as data: its sites, services, weather and clocks."""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from config.leases import PROFILES
from controller.core.model import BackupLoss, DiskFilling, Protection, ReplicaSpec, ServiceSpec
from controller.core.plan_model import Failback, MoveRules
from controller.core.site_model import Consequence, LinkSpec, Load, Nation, SiteSpec, SiteState
from controller.core.sites.policy import policy_of
from controller.core.sites.probes import with_probe_lists
from protocol.messages import LeaseTerms
from simulator.parts.network import HUB, Weather

TIGHT = LeaseTerms(1000, 200, 200, 500, 1500)
"""Shorter than any shipped profile: what comes just in time there is late here."""
WATCHED = LeaseTerms(12_000, 1500, 500, 3000, 5000)
"""Long enough for a watchdog, and shorter than the patient one."""
SHORT = {"tight": TIGHT, "fast": PROFILES["fast"], "standard": PROFILES["standard"]}
"""Those that are shipped, but for the patient one: it is too slow for a world."""
LEASES = {**SHORT, "watched": WATCHED}
MOVES = MoveRules(dwell_ms=10_000, per_hour=6)
"""How sites are moved; the dwell time is a short one, so that a night sees the end of it."""
AILMENTS = ("power", "fire", "heat")
"""What a check may say of a site."""
POLICY = policy_of(
    {
        "power": Consequence.EVACUATE,
        "fire": Consequence.FAILOVER,
        "cut-off": Consequence.FAILOVER,
        "down": Consequence.FAILOVER,
    }
)
"""What that leads to, and that nobody hears a site."""
RING = "ring"
"""The cable at which every site stands."""
WEATHERS = {
    "calm": Weather(1, 30),
    "rough": Weather(1, 60, loss=0.02, doubled=0.05, late=0.02, late_most_ms=3000),
}


class ServiceSetting(Struct, frozen=True):
    """One service: where it stands, what is asked of it, what its clients write."""

    name: str
    primary: str
    backup: str
    lease: str = "fast"
    protection: Protection = Protection.ASYNC
    loss_bound_bytes: int = 16 * 1024 * 1024
    write_every_ms: int = 50
    write_bytes: int = 500
    backup_loss: BackupLoss = BackupLoss.ALONE
    tier: str = "rendah"
    disk_filling: DiskFilling = DiskFilling.ALARM
    local_clients: bool = False
    """Whether clients write over the Unix socket of the host, too: no door stops them."""
    group: str = ""
    order: int = 0
    demand: int = 0
    """How many cores it needs where it is primary."""

    @property
    def rate_bytes_s(self) -> int:
        return self.write_bytes * 1000 // self.write_every_ms

    @property
    def terms(self) -> LeaseTerms:
        return LEASES[self.lease]

    @property
    def spec(self) -> ServiceSpec:
        """The same as the controller's rules know it."""
        return ServiceSpec(
            name=self.name,
            uid=f"uid-{self.name}",
            terms=self.terms,
            replicas=tuple(
                ReplicaSpec(site, site, priority, f"{site}:{self.name}", f"{site}:8443", "key")
                for priority, site in enumerate((self.primary, self.backup))
            ),
            protection=self.protection,
            loss_bound_bytes=self.loss_bound_bytes,
            backup_loss=self.backup_loss,
            tier=self.tier,
            disk_filling=self.disk_filling,
            group=self.group,
            order=self.order,
            demand=Load(vcpu=self.demand),
        )


class Setting(Struct, frozen=True):
    """A world before its first moment."""

    sites: tuple[str, ...]
    services: tuple[ServiceSetting, ...]
    weather: str = "calm"
    ordered: bool = True
    """Whether what goes over the broker keeps its order, but for what is late or doubled."""
    rates_ppm: tuple[int, ...] = ()
    """How much too fast each clock runs: the hub's, then the sites'. Missing ones are right."""

    fences: tuple[tuple[str, ...], ...] = ()
    """What stands outside of the guards at each site, of `simulator.parts.fence.LAYERS`."""
    pairs: tuple[tuple[str, str], ...] = ()
    """Sites that back each other up. Without one no agent probes another."""
    capacities: tuple[tuple[str, int], ...] = ()
    """Sites that declare how many cores they have."""

    goes_home: bool = False
    """Whether services go back by themselves to where they prefer to be."""

    @property
    def move_rules(self) -> MoveRules:
        """How whole sites are moved."""
        return replace(MOVES, failback=Failback.AFTER_DWELL) if self.goes_home else MOVES

    @property
    def nation(self) -> Nation:
        """The sites as they are declared to the controller; each has one agent of its name."""
        limits = {site: Load(vcpu=cores) for site, cores in self.capacities}
        if not self.pairs:
            limited = {
                site: SiteState(SiteSpec(site, capacity=has)) for site, has in limits.items()
            }
            return Nation(sites=limited)
        partners = {one: other for pair in self.pairs for one, other in (pair, pair[::-1])}
        sites = {
            site: SiteState(
                SiteSpec(
                    site,
                    agents=(site,),
                    partner=partners.get(site, ""),
                    capacity=limits.get(site),
                    shared_risk_links=(RING,),
                    policy=POLICY,
                )
            )
            for site in self.sites
        }
        addresses = {site: f"{site}:8443" for site in self.sites}
        return with_probe_lists(
            Nation(home=HUB, sites=sites, addresses=addresses, link_specs=_links(self.sites))
        )

    planned: tuple[str, ...] = ()
    """Sites that are not in use yet."""

    def layers(self, site: str) -> tuple[str, ...]:
        """The ones of a site's host."""
        place = self.sites.index(site)
        return self.fences[place] if place < len(self.fences) else ()

    def rate_ppm(self, place: int) -> int:
        """Of the hub (0) or a site (from 1 on, in the order of `sites`)."""
        return self.rates_ppm[place] if place < len(self.rates_ppm) else 0


def _links(sites: tuple[str, ...]) -> tuple[LinkSpec, ...]:
    """From the first site none to the second, one to the third, two to each other one."""
    first, *others = sites
    return tuple(
        LinkSpec((first, other), name, (RING, name))
        for count, other in enumerate(others)
        for name in ("north", "south")[:count]
    )
