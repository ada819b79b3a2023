"""Builds one service at one moment for the tests of the controller's rules."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from controller.core.events import Kind, RenewCame, ReportCame, Requested
from controller.core.model import (
    DiskFilling,
    HeldFor,
    Phase,
    Protection,
    Record,
    ReplicaSpec,
    Seen,
    ServiceSpec,
    ServiceState,
    State,
)
from controller.core.moment.others import Others
from controller.core.moment.view import View
from controller.core.site_model import Load, Nation, SiteSpec, SiteState
from controller.core.step import begin, found
from protocol.messages import Ask, Header, LeaseTerms, Mode, Renew, ReplicaReport, Report, Role

A, B = "jabodetabek-1", "batam-1"
UID = "paspor"
NOW = 1_000_000
TERMS = LeaseTerms(2000, 400, 300, 1000, 3000, 1000)
SYSTEM = "7301"
MIB = 2**20
LOW = "/srv/data: 500.0 MiB free of 20.0 GiB, the floor is 1.0 GiB"


def spec(**changes: Any) -> ServiceSpec:
    replicas = (
        ReplicaSpec(A, "jabodetabek", 1, "10.0.0.1:5432", "10.0.0.1:8701", "ka"),
        ReplicaSpec(B, "batam", 2, "10.0.0.2:5432", "10.0.0.2:8701", "kb"),
    )
    return replace(ServiceSpec("paspor", UID, TERMS, replicas), **changes)


def record(phase: Phase, **changes: Any) -> Record:
    first = replace(found(spec(), 1), revision=10, phase=phase, system_identifier=SYSTEM)
    return replace(first, **changes)


def report(revision: int = 10, **changes: Any) -> ReplicaReport:
    base = ReplicaReport(
        "paspor", UID, revision, 1, Role.STANDBY, system_identifier=SYSTEM, position_bytes=5000
    )
    return replace(base, **changes)


def primary_report(**changes: Any) -> ReplicaReport:
    usual: dict[str, Any] = {"role": Role.PRIMARY, "mode": Mode.LEASED, "writable": True}
    return report(**(usual | changes))


def backup_report(**changes: Any) -> ReplicaReport:
    usual: dict[str, Any] = {"streaming": True, "primary_heard": True, "promise_left_ms": 1500}
    return report(**(usual | changes))


class Given:
    """A healthy pair that a test spoils: `Given(Phase.PROTECTED).primary(None).view()`."""

    def __init__(self, phase: Phase, **changes: Any) -> None:
        self.spec = spec()
        self.service: ServiceState = begin([self.spec], {UID: record(phase, **changes)}, 1, "g",
                                           NOW - 60_000).services[UID]  # fmt: skip
        self.service = replace(
            self.service,
            record=record(phase, **changes),
            proven_ms=NOW - 100,
            proven_once=True,
            proven_revision=10,
            proven_position_bytes=5000,
            entered_ms=NOW - 1000,
            following_since_ms=NOW - 5000,
            promise_end_ms=NOW + 1900,
        )
        self.request: Requested | None = None
        self.nation = Nation()
        self.primary(primary_report(epoch=self.service.record.epoch))
        self.backup(backup_report(epoch=self.service.record.epoch))

    def primary(self, told: ReplicaReport | None, age_ms: int = 10) -> Given:
        return self._report(A, told, age_ms)

    def backup(self, told: ReplicaReport | None, age_ms: int = 10) -> Given:
        return self._report(B, told, age_ms)

    def seen(self, **changes: Any) -> Given:
        self.service = replace(self.service, **changes)
        return self

    def silent(self, for_ms: int = 3000) -> Given:
        """Neither the controller nor the backup hears the primary, nor its agent."""
        self.primary(None)
        self.backup(backup_report(primary_heard=False, streaming=False, promise_left_ms=900))
        return self.seen(proven_ms=NOW - for_ms, entered_ms=NOW - 1500, following_since_ms=-1)

    def stopped(self, **changes: Any) -> Given:
        """Silent, and every promise has run out under the present revision."""
        self.silent()
        usual: dict[str, Any] = {"stopped": True, "promise_left_ms": 0, "primary_heard": False}
        self.backup(backup_report(**(usual | {"streaming": False} | changes)))
        return self.seen(promise_end_ms=NOW - 1)

    def sync(self) -> Given:
        return self.seen(
            spec=replace(self.spec, protection=Protection.SYNC),
            record=replace(self.service.record, protection=Protection.SYNC),
        )

    def asked(self, kind: Kind, **changes: Any) -> Given:
        self.request = replace(Requested("r1", kind, UID, "siti"), **changes)
        return self

    def held(self, reason: HeldFor) -> Given:
        return self.seen(record=replace(self.service.record, held_for=reason))

    def room(self, vcpu: float, demand: float = 16) -> Given:
        """The backup's site has so much, and nobody else is there."""
        site = SiteSpec("batam", capacity=Load(vcpu=vcpu))
        self.nation = Nation(sites={"batam": SiteState(site)})
        return self.seen(spec=replace(self.service.spec, demand=Load(vcpu=demand)))

    def view(self) -> View:
        others = Others({UID: self.service}, self.nation, NOW)
        return View(self.service, NOW, self.request, others)

    def state(self) -> State:
        return State(1, "g", {UID: self.service}, self.nation)

    def _report(self, agent: str, told: ReplicaReport | None, age_ms: int) -> Given:
        reports = {k: v for k, v in self.service.reports.items() if k != agent}
        if told:
            known_bytes = 5000 if agent == B else -1
            reports[agent] = Seen(told, NOW - age_ms, known_bytes)
        return self.seen(reports=reports)


def filling(**backup: Any) -> Given:
    """The primary's disk fills, its backup has room, and the service is to be moved then."""
    given = Given(Phase.PROTECTED)
    given.seen(spec=replace(given.spec, disk_filling=DiskFilling.SWITCHOVER))
    given.primary(primary_report(disk_low=LOW, disk_free_bytes=500 * MIB))
    return given.backup(backup_report(**({"disk_free_bytes": 1000 * MIB} | backup)))


DISK_SITUATIONS: dict[tuple[str, Phase], Callable[[], Given]] = {
    ("backup_disk_full", Phase.PROTECTED): lambda: Given(Phase.PROTECTED).backup(
        backup_report(disk_low=LOW, disk_free_bytes=MIB), 200
    ),
    ("disk_filling", Phase.PROTECTED): filling,
}


def said(agent: str, *reports: ReplicaReport) -> ReportCame:
    return ReportCame(Report(Header("pdn", agent, "b", "i", 1), reports))


def asked(agent: str = A, **changes: Any) -> RenewCame:
    ask = replace(Ask("paspor", UID, 1, 10, "n1", True, position_bytes=6000), **changes)
    return RenewCame(Renew(Header("pdn", agent, "b", "i", 1), (ask,)))
