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


class Consequence(StrEnum):
    """What a reason leads to, from the weakest to the strongest."""

    NOTHING = "nothing"
    ALARM = "alarm"
    READINESS = "readiness"
    """The partner is asked to be ready, and nothing is moved back here by itself."""
    EVACUATE = "evacuate"
    """Services are moved away in order; nothing is lost."""
    FAILOVER = "failover"
    """Moved away though something may be lost, once writes do not commit any more."""


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
    policy: dict[str, dict[str, Consequence]] = {}
    """What a reason leads to, by the tier of the service; `other` stands for all that are not
    named."""
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


class Sign(Struct, frozen=True):
    """A reason why a site is not as it should be."""

    kind: str
    text: str
    """What is seen, with figures, and by whom."""
    agents: tuple[str, ...] = ()
    """Whose services it concerns; empty: those of the whole site."""
    first_ms: int = 0
    """Since when it was seen without a break."""
    last_ms: int = 0
    """When it was last seen."""


class Steady(Struct, frozen=True):
    """A verdict that does not jump: what is believed, and what is seen until it is believed."""

    believed: str
    since_ms: int
    seen: str
    seen_since_ms: int
    other_since_ms: int = -1
    """Since when something else than what is believed is seen; -1 while it is not."""
    changed_ms: tuple[int, ...] = ()
    """When it changed within the last hour, the oldest first."""
    is_excused: bool = False
    """What is believed says nothing of its subject: to leave it is no change, either."""


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
    signs: tuple[Sign, ...] = ()
    """All that is seen there, also what is not believed yet."""
    steady: Steady | None = None
    """None before the first verdict."""
    damped: bool = False
    """It changed too often: the worse state stays."""
    expected_since_ms: int = -1
    """Since when this life expects to hear of it; -1 while it is not active."""


class LinkHealth(StrEnum):
    """Whether the agents of two sites reach each other."""

    UP = "up"
    ONE_WAY = "one-way"
    CUT = "cut"
    UNKNOWN = "unknown"
    """Nobody looks, or one of the two sites is not reached by anybody else."""


class LinkSpec(Struct, frozen=True):
    """One declared link between two sites; there may be several between the same two."""

    sites: tuple[str, str]
    name: str = ""
    shared_risk: tuple[str, ...] = ()
    """Groups of cables and ducts that it runs over."""


class LinkState(Struct, frozen=True):
    """The way between two active sites."""

    sites: tuple[str, str]
    """In the order of the configuration."""
    health: LinkHealth = LinkHealth.UNKNOWN
    because: str = "nobody has looked yet"
    since_ms: int = 0
    shared_risk: tuple[str, ...] = ()
    """Groups of cables and ducts that take the whole way with them when they fail: those of all
    its declared links, or where none is declared those that both sites name."""
    declared: tuple[LinkSpec, ...] = ()
    common_cause: tuple[str, ...] = ()
    """Where it is broken: those of `shared_risk` that explain the most other broken links."""
    at_risk: tuple[str, ...] = ()
    """Services with a copy at either end."""
    steady: Steady | None = None


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
    link_specs: tuple[LinkSpec, ...] = ()
    """What the ways between sites run over, where it is declared."""
    report_interval_ms: int = 500
    began_ms: int = 0
    """When this life of the controller began to listen."""
    links: tuple[LinkState, ...] = ()
    blind: str = ""
    """Not empty: why the controller is probably the one that is cut off."""
    judged_ms: int = 0
    """When the sites were last judged."""
