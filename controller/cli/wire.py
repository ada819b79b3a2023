"""What the controller answers, as far as the commands read it.

Unknown fields are ignored and new ones have defaults, so that a command talks to a
controller that is a version older or newer.
"""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from controller.cli.exits import CommandFailed
from controller.cli.plain import plain
from controller.cli.plan_view import PlanView
from controller.core.explanation.explain import Explanation
from controller.stores.base import HistoryLine

Shape = TypeVar("Shape")


class Cluster(Struct, frozen=True):
    """Its name to show and its identifier."""

    name: str
    uid: str


class ControllerView(Struct, frozen=True):
    """The daemon's own health."""

    failure_domain: str
    blind: str = ""
    """Why it is probably the one that is cut off."""
    events_waiting: int = 0
    rule_errors: int = 0


class StoreView(Struct, frozen=True):
    """The store's health."""

    kind: str
    up: bool
    problem: str = ""
    broken_records: dict[str, str] = {}
    """By uid of a service that is left alone: why its record cannot be read."""


class JournalView(Struct, frozen=True):
    """The journal's health."""

    errors: int = 0
    problem: str = ""


class BrokerView(Struct, frozen=True):
    """One broker as the controller sees it."""

    name: str
    connected: bool
    problem: str = ""


class CautionView(Struct, frozen=True):
    """One caution at a site."""

    site: str
    id: str
    source: str
    text: str
    by: str
    reason: str
    begun_at_ms: int
    for_ms: int
    left_ms: int


class WishView(Struct, frozen=True):
    """What a site's reasons lead to for one service."""

    service: str
    consequence: str
    reasons: tuple[str, ...] = ()
    because: str = ""


class LastReload(Struct, frozen=True):
    """How the last reload of the configuration ended; `failed` is empty when it did not fail."""

    at: str = ""
    by: str = ""
    failed: str = ""


class DrillView(Struct, frozen=True):
    """How drills of one site stand."""

    site: str
    schedule: str = ""
    next_at: str = ""
    last_id: str = ""
    last: str = ""
    passed_at: str = ""
    age_ms: int = -1
    overdue: bool = False
    skipped: str = ""


class ConfigurationView(Struct, frozen=True):
    """What is in force of the configuration."""

    file: str = ""
    sha256: str = ""
    in_force_since: str = ""
    waits_for_restart: tuple[str, ...] = ()
    last_reload: LastReload = LastReload()


class SiteView(Struct, frozen=True):
    """One site."""

    id: str
    name: str
    state: str
    latitude: float
    longitude: float
    partner: str | None
    agents: tuple[str, ...]
    up: bool
    health: str = ""
    """Empty: a controller that judges no sites yet."""
    because: str = ""
    since_ago_ms: int = 0
    reasons: tuple[str, ...] = ()
    ready_for: str = ""
    """Not empty: it is asked to be ready, for whose sake and why."""
    wished: tuple[WishView, ...] = ()
    policy: dict[str, dict[str, str]] = {}
    """What a reason leads to, by tier."""
    cautions: tuple[CautionView, ...] = ()


class DeclaredLink(Struct, frozen=True):
    """One declared link between two sites."""

    name: str
    shared_risk: tuple[str, ...]


class LinkView(Struct, frozen=True):
    """The link between two active sites."""

    sites: tuple[str, str]
    health: str
    because: str
    since_ago_ms: int = 0
    shared_risk: tuple[str, ...] = ()
    declared: tuple[DeclaredLink, ...] = ()
    common_cause: tuple[str, ...] = ()
    at_risk: tuple[str, ...] = ()


class PathView(Struct, frozen=True):
    """What the agents of one site find of another."""

    from_site: str
    to_site: str
    answers: str
    observers: int = 0
    reaching: int = 0
    asked: int = 0
    lost: int = 0
    round_trip_us: int = 0
    age_ms: int = -1


class PairView(Struct, frozen=True):
    """One pair and the services whose copies stand in it."""

    sites: tuple[str, ...]
    services: tuple[str, ...]
    protected: bool
    drilled: bool = True


class AgentView(Struct, frozen=True):
    """One agent."""

    id: str
    site: str
    up: bool
    heard_ago_ms: int
    """-1 when it was never heard by this life of the controller."""


class StateView(Struct, frozen=True):
    """Everything at once."""

    version: str
    cluster: Cluster
    term: int
    controller: ControllerView
    store: StoreView
    journal: JournalView
    brokers: tuple[BrokerView, ...]
    sites: tuple[SiteView, ...]
    pairs: tuple[PairView, ...]
    agents: tuple[AgentView, ...]
    services: tuple[Explanation, ...]
    plan: PlanView | None = None
    """The plan under way."""
    links: tuple[LinkView, ...] = ()
    paths: tuple[PathView, ...] = ()
    configuration: ConfigurationView = ConfigurationView()
    drills: tuple[DrillView, ...] = ()


class Finding(Struct, frozen=True):
    """One thing that is wrong in a configuration file, or weakens the protection."""

    severity: str
    line: int
    key: str
    value: str
    message: str
    mend: str


class Change(Struct, frozen=True):
    """One thing that a reload changes."""

    kind: str
    name: str
    text: str


class Reloaded(Struct, frozen=True):
    """What came of a reload."""

    applied: bool
    dry_run: bool
    text: str
    file: str
    sha256: str
    changes: tuple[Change, ...] = ()
    waits_for_restart: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    unmet: tuple[str, ...] = ()


class History(Struct, frozen=True):
    """Changes, the newest first."""

    history: tuple[HistoryLine, ...]


class Accepted(Struct, frozen=True):
    """The answer to a request about one service, or about all."""

    text: str
    service: str = ""
    operation: str = ""


def read(raw: Any, shape: type[Shape], what: str) -> Shape:
    """Check an answer's shape, its texts made plain. Raises CommandFailed."""
    try:
        return msgspec.convert(plain(raw), shape)
    except msgspec.ValidationError as error:
        raise CommandFailed(
            f"the controller's {what} has another shape than this version of saling reads: "
            f"{error}; use the same version on both sides"
        ) from None
