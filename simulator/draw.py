"""Draws what a world is made of: small ones most often, for they find the most in their time."""

from __future__ import annotations

from random import Random

from msgspec.structs import replace

from config.tiers import TIERS
from controller.core.model import BackupLoss, DiskFilling, Protection
from simulator.parts.clock import RATE_MOST_PPM
from simulator.parts.fence import NFTABLES, WATCHDOG
from simulator.profiles import Profile
from simulator.setting import ServiceSetting, Setting

SITES = ("alpha", "bravo", "charlie", "delta", "echo")
HOW_MANY_SITES = (2, 2, 2, 2, 3, 3, 4, 5)
HOW_MANY_SERVICES = (1, 1, 1, 1, 2, 2, 3, 4, 6, 8, 12)
LEASES = ("fast", "fast", "fast", "tight", "standard")
LAYERS: tuple[tuple[str, ...], ...] = ((), (NFTABLES,), (NFTABLES,))
LAYERS_WATCHED: tuple[tuple[str, ...], ...] = ((WATCHDOG,), (NFTABLES, WATCHDOG))
CROWDED = 0.3
"""The share of worlds in which services have groups, and sites may be too small."""
CLOCKS_PPM = (-RATE_MOST_PPM, 0, RATE_MOST_PPM, RATE_MOST_PPM)


def draw_setting(random: Random, profile: Profile) -> Setting:
    """The setting of one seed."""
    sites = SITES[: random.choice(HOW_MANY_SITES)]
    count = max(random.choice(HOW_MANY_SERVICES), len(sites) // 2)
    services = [_draw_service(random, f"s{n + 1}", sites) for n in range(count)]
    if "data_fills" in profile.kinds:
        services = [replace(x, disk_filling=random.choice(tuple(DiskFilling))) for x in services]
    setting = Setting(
        sites=sites,
        services=tuple(services),
        weather="calm" if profile.must_not_fence else random.choice(("calm", "rough")),
        ordered=random.random() < 0.5,
        rates_ppm=tuple(random.choice(CLOCKS_PPM) for _ in range(len(sites) + 1)),
    )
    if profile.pairs:
        setting = _draw_pairs(random, setting)
    if random.random() < CROWDED:
        setting = _draw_company(random, setting)
    if profile.doors:
        return replace(setting, fences=((NFTABLES,),) * len(sites))
    return _draw_fences(random, setting) if profile.strays else setting


def _draw_pairs(random: Random, setting: Setting) -> Setting:
    """Sites that back each other up, every service within a pair, most of them in groups."""
    sites = SITES[: random.choice((2, 2, 4, 4, 3))]
    pairs = ((sites[0], sites[1]), *(((sites[2], sites[3]),) if len(sites) > 3 else ()))
    services = []
    for service in setting.services:
        primary, backup = random.sample(random.choice(pairs), 2)
        group = random.choice(("", "g1", "g1", "g2"))
        order = random.randint(1, 3) if group else 0
        services.append(replace(service, primary=primary, backup=backup, group=group, order=order))
    rates = tuple(random.choice(CLOCKS_PPM) for _ in range(len(sites) + 1))
    return replace(
        setting,
        sites=sites,
        pairs=pairs,
        services=tuple(services),
        rates_ppm=rates,
        goes_home=random.random() < 0.5,
    )


def _draw_company(random: Random, setting: Setting) -> Setting:
    """Groups where there are none, demands, and sites with room for all that may come, some of it
    or nothing."""
    services = []
    for service in setting.services:
        group = service.group or random.choice(("", "g1", "g1", "g2"))
        order = service.order or (random.randint(1, 3) if group else 0)
        demand = random.choice((0, 1, 2, 2, 4, 8))
        tier = random.choice(TIERS)
        drawn = replace(service, group=group, order=order, demand=demand, tier=tier)
        services.append(drawn)
    capacities = []
    for site in setting.sites:
        own = sum(service.demand for service in services if service.primary == site)
        come = sum(service.demand for service in services if service.backup == site)
        room = random.choice((None, 0, come // 2, come // 2, come))
        if room is not None and own + room:
            capacities.append((site, own + room))
    return replace(setting, services=tuple(services), capacities=tuple(capacities))


def _draw_fences(random: Random, setting: Setting) -> Setting:
    """Any layers, at each site others; a watchdog needs a long lease, which finds less."""
    watched = random.random() < 0.3
    layers = LAYERS_WATCHED if watched else LAYERS
    services = tuple(
        replace(
            service,
            lease="watched" if watched else service.lease,
            local_clients=random.random() < 0.4,
        )
        for service in setting.services
    )
    fences = tuple(random.choice(layers) for _ in setting.sites)
    return replace(setting, services=services, fences=fences)


def _draw_service(random: Random, name: str, sites: tuple[str, ...]) -> ServiceSetting:
    primary, backup = random.sample(sites, 2)
    service = ServiceSetting(
        name=name,
        primary=primary,
        backup=backup,
        lease=random.choice(LEASES),
        protection=random.choice((Protection.ASYNC, Protection.SYNC)),
        write_every_ms=random.choice((20, 50)),
        write_bytes=random.choice((500, 20_000)),
        tier=random.choice(("rendah", "rendah", "strategis")),
    )
    terms = service.terms
    enough = service.rate_bytes_s * (terms.ttl_ms + 2 * terms.renew_ms) // 1000
    bound = random.choice((enough // 4, enough * 2, enough * 2, enough * 20))
    # A bound that is seldom met, or often, or always: it depends on what clients write.
    service = replace(service, loss_bound_bytes=bound)
    if service.protection is Protection.ASYNC:
        return service
    return replace(service, backup_loss=random.choice(list(BackupLoss)))
