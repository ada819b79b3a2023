"""Builds several services of two sites at one moment, for what they ask of each other."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from controller.core.model import ServiceSpec, ServiceState, State
from controller.core.moment.others import Others
from controller.core.moment.view import View
from controller.core.site_model import Load, Nation, SiteSpec, SiteState
from tests.controller.core.given import NOW, Given

TARGET = "batam"


def of_site(capacity: Load | None, gives_up: tuple[str, ...] = ()) -> Nation:
    """The backups' site alone declares what it can carry."""
    return Nation(sites={TARGET: SiteState(SiteSpec(TARGET, capacity=capacity, gives_up=gives_up))})


def renamed(given: Given, name: str, home: str = "", **spec: Any) -> ServiceState:
    """The service of a test under another name; primary at the backups' site where so said."""
    service = given.service
    new_spec: ServiceSpec = replace(service.spec, name=name, uid=name, **spec)
    record = replace(service.record, service=name, service_uid=name)
    if home == TARGET:
        record = replace(record, primary=record.backup, backup=record.primary)
    reports = {
        agent: replace(seen, report=replace(seen.report, service=name, service_uid=name))
        for agent, seen in service.reports.items()
    }
    return replace(service, spec=new_spec, record=record, reports=reports)


def company(*services: ServiceState, nation: Nation | None = None) -> State:
    """All of them."""
    return State(1, "g", {s.spec.uid: s for s in services}, nation or of_site(None))


def look(state: State, name: str, **changes: Any) -> View:
    """One of them, as the table of phases looks at it."""
    service = replace(state.services[name], **changes)
    return View(service, NOW, None, Others(state.services, state.nation, NOW))


def vcpu(count: float) -> Load:
    return Load(vcpu=count)
