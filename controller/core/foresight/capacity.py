"""Whether each site could carry what the loss of another would bring it, as things stand now.

By what is declared and where services are primary now; with the rules' own ranks and arithmetic.
"""

from __future__ import annotations

from msgspec import Struct

from controller.core.gates.room import placed, plus, total
from controller.core.model import HeldFor, Phase, ServiceState, State
from controller.core.moment.others import site_of
from controller.core.site_model import Load, SiteSpec, Stage

GIB, TIB = 2**30, 2**40


class AfterLoss(Struct, frozen=True):
    """What a site would have to carry if another one were lost."""

    lost: str
    demanded: Load
    """By what stands here and what would come."""
    comes: tuple[str, ...]
    held: tuple[str, ...]
    """What finds no room, or may not come for the stage of the site, and is not given up."""
    given_up: tuple[str, ...]
    """What finds no room or may not come, as the configuration says."""


class SiteCapacity(Struct, frozen=True):
    """One site."""

    site: str
    declared: Load | None
    """None where nothing is refused for the want of room; a measure of 0 is not declared."""
    demanded: Load
    """By the services that are primary here."""
    used: Load | None
    """What its agents last told of the real use; None where none is heard that tells any."""
    primaries: tuple[str, ...]
    waiting: tuple[str, ...]
    """Services that are held now because there is no room for them here."""
    after: tuple[AfterLoss, ...]
    """For each site whose services have their backup here."""
    stage: Stage = Stage.ACTIVE
    """As declared: nobody comes to a site that is not active."""

    @property
    def carries_all(self) -> bool:
        """Whether nobody waits for room, or would have to."""
        return not self.waiting and not any(one.held for one in self.after)


def capacities(state: State, now_ms: int) -> tuple[SiteCapacity, ...]:
    """All declared sites, in their order."""
    return tuple(_capacity(state, site.spec, now_ms) for site in state.nation.sites.values())


def _capacity(state: State, spec: SiteSpec, now_ms: int) -> SiteCapacity:
    services = list(state.services.values())
    there = [s for s in services if site_of(s, s.record.primary) == spec.name]
    come = [s for s in services if site_of(s, s.record.backup) == spec.name]
    coming: dict[str, list[ServiceState]] = {}
    for service in come:
        coming.setdefault(site_of(service, service.record.primary), []).append(service)
    return SiteCapacity(
        site=spec.name,
        declared=spec.capacity,
        demanded=total(there),
        used=_used(state, spec),
        primaries=_names(there),
        waiting=_names([s for s in come if _waits_for_room(s)]),
        after=tuple(_after(spec, there, lost, some, now_ms) for lost, some in coming.items()),
        stage=spec.stage,
    )


def _after(
    spec: SiteSpec, there: list[ServiceState], lost: str, come: list[ServiceState], now_ms: int
) -> AfterLoss:
    taken = total(there)
    found = placed(spec, taken, come, now_ms).places
    in_use = spec.stage is Stage.ACTIVE
    left = _names([s for s in come if not (in_use and found[s.spec.uid].fits)])
    return AfterLoss(
        lost=lost,
        demanded=plus(taken, total(come)) if in_use else taken,
        comes=_names(come),
        held=tuple(name for name in left if name not in spec.gives_up),
        given_up=tuple(name for name in left if name in spec.gives_up),
    )


def _used(state: State, spec: SiteSpec) -> Load | None:
    seen = [state.nation.agents[agent] for agent in spec.agents if agent in state.nation.agents]
    told = [one.usage for one in seen if one.usage is not None]
    if not told:
        return None
    return Load(
        vcpu=sum(usage.millicores for usage in told) / 1000,
        memory_gib=round(sum(usage.memory_bytes for usage in told) / GIB, 3),
        storage_tib=round(sum(usage.storage_bytes for usage in told) / TIB, 6),
        connections=sum(usage.connections for usage in told),
    )


def _waits_for_room(service: ServiceState) -> bool:
    record = service.record
    return record.phase is Phase.HELD and record.held_for is HeldFor.CAPACITY


def _names(services: list[ServiceState]) -> tuple[str, ...]:
    return tuple(service.spec.name for service in services)
