"""What the controller knows of the sites: as declared, as heard, and what it makes of it.

No site's health decides who may write: it only takes moves away, delays them, or asks for what
an operator may ask (docs/decisions/0020-sites.md).
"""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from protocol.messages import Path, Symptom, Usage


class Stage(StrEnum):
    """Where a site is in its life, as declared."""

    PLANNED = "planned"
    ACTIVE = "active"
    SUSPENDED = "suspended"
    RETIRED = "retired"


class Health(StrEnum):
    """How a site is, as far as can be known."""

    HEALTHY = "healthy"
    DEGRADED = "degraded"
    """It is reached, and something there is not as it should be."""
    CUT_OFF = "cut off"
    """The controller does not hear it, and somebody else reaches it."""
    DOWN = "down"
    """The controller does not hear it, and nobody who should reach it does."""
    UNKNOWN = "unknown"
    """The controller hears too few to tell: it may be the blind one."""


class Load(Struct, frozen=True):
    """What a site can carry, or a service demands."""

    vcpu: float = 0.0
    memory_gib: float = 0.0
    storage_tib: float = 0.0
    connections: int = 0


class SiteSpec(Struct, frozen=True):
    """One declared site."""

    name: str
    stage: Stage = Stage.ACTIVE
    agents: tuple[str, ...] = ()
    partner: str = ""
    """The other site of its pair; empty without one."""
    capacity: Load | None = None
    """None: nothing is declared, and nothing is refused for the want of room."""
    shared_risk_links: tuple[str, ...] = ()
    gives_up: tuple[str, ...] = ()
    """Services of the partner that are the last to be carried here, whatever their tier."""


class AgentSeen(Struct, frozen=True):
    """What an agent last told of itself and of the others."""

    heard_ms: int
    """By the controller's clock."""
    told_ms: int = -1
    """When it was last sent its list of probes; -1 before."""
    probe_list: str = ""
    """The list that it follows."""
    paths: tuple[Path, ...] = ()
    symptoms: tuple[Symptom, ...] = ()
    usage: Usage | None = None


class SiteState(Struct, frozen=True):
    """One site: declared, and judged."""

    spec: SiteSpec
    health: Health = Health.UNKNOWN
    because: str = "nothing was heard yet"
    """The operator's sentence for it."""
    reasons: tuple[str, ...] = ()
    """Kinds of symptoms, where it is degraded."""
    since_ms: int = 0
    """Since when this life of the controller calls it so."""


class Caution(Struct, frozen=True):
    """Why care is taken at a site for a while. It takes moves away, and never causes one."""

    site: str
    id: str
    """What it is about, the same in every later word of it: `bmkg:1796000000000`, `volcano:ili`."""
    source: str
    """Whose word it is: BMKG, USGS, or the name of a person."""
    text: str
    """The operator's sentence for it."""
    begun_at_ms: int
    """Wall time of what happened, milliseconds since 1970."""
    for_ms: int
    """For how long care is taken, counted from then."""
    by: str = ""
    """The person who gave it; empty for a feed."""
    reason: str = ""
    until_ms: int = 0
    """When it is over, by the clock of the rules."""
    ended: str = ""
    """Who ended it before its time, and why: it only keeps the same thing from coming back."""


class Nation(Struct, frozen=True):
    """All sites, and the agents in them."""

    home: str = ""
    """The failure domain in which the controller stands."""
    sites: dict[str, SiteState] = {}
    agents: dict[str, AgentSeen] = {}
    """Those that were heard in this life of the controller."""
    cautions: tuple[Caution, ...] = ()
    """Also those that somebody ended, until their time is over."""
    addresses: dict[str, str] = {}
    """host:port of the HTTPS of every declared agent."""
    probe_lists: dict[str, str] = {}
    """By agent: the name of the list of probes that it should follow; empty: it needs none."""
    report_interval_ms: int = 500
    began_ms: int = 0
    """When this life of the controller began to listen."""
