"""What a scenario needs of the system that it troubles: Saling's lab, or a peer set up alike."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

import asyncpg
import msgspec

from agents.engines.base import Quarantined
from lab.base.database import Login
from lab.base.plan import Plan
from lab.roads.network import Network


class Ground(Protocol):
    """Two sites with one service or more, faults, and ways to look. `lab.running.four_sites.Lab` is
    one.

    Every wait raises TimeoutError that says what was waited for. `plan` says where everything
    listens and which files belong to which site.
    """

    @property
    def plan(self) -> Plan: ...

    def inside(self, place: str) -> tuple[str, ...]:
        """What stands before a client's command that shall run in a place; nothing on loopback."""

    def login(self) -> Login:
        """For clients: a role that may make tables."""

    async def last_known(self, service: str) -> dict[str, Any]:
        """At least `primary` (an agent) and `lease_ttl_ms`, as last heard."""

    async def primary_site(self, service: str) -> str: ...

    async def as_superuser(self, service: str, site: str) -> asyncpg.Connection:
        """A connection to one engine. Raises OSError while it is down."""

    async def decisions(self, service: str) -> list[dict[str, Any]]:
        """What was decided, newest first; empty where nobody can tell."""

    async def wait_until_whole(self, service: str, wait_s: float = ...) -> Any:
        """Wait until the primary writes and its backup could take over."""

    def kill_engine(self, service: str, site: str) -> None:
        """kill -9 of the engine's processes alone."""

    def kill_site(self, site: str) -> None:
        """kill -9 of every process of the site."""

    def start_site(self, site: str) -> None:
        """Start again what `kill_site` killed."""

    async def switch_over(self, service: str) -> None:
        """Move a service to its partner as planned; return when it was moved."""


class Heard(msgspec.Struct, frozen=True):
    """What a system says of one service at this moment."""

    primary_site: str
    serving: bool
    """Whether the primary has begun its reign: clients may write, backup or not."""
    lag_bytes: int | None = None
    """How far the backup is behind; None where nobody says so."""
    phase: str = ""
    because: str = ""
    """Why the service is in this phase; both are empty where no reasons are kept."""


class UnkindGround(Ground, Protocol):
    """Ground whose sites can be cut off and stand still, too, and be watched meanwhile.

    What only some systems know is None from the others.
    """

    @property
    def links(self) -> Network:
        """The roads between its places."""

    async def freeze_site(self, site: str, also: Iterable[int] = ()) -> Any:
        """Every process of the site stands still, and these with their children."""

    def thaw_site(self, site: str, also: Iterable[int] = ()) -> None:
        """All go on as if no time had passed."""

    async def heard(self, service: str) -> Heard | None:
        """None while nobody says anything. Whatever is cut between places."""

    async def lease_end_ms(self, service: str, site: str) -> float | None:
        """When the right of a site's engine to be written ends, by the boot-time clock, as its
        holder counts; 0 while it has none, None where the system cannot be asked.

        Raises OSError or ValueError while the holder does not answer.
        """

    def quarantines(self, service: str, site: str) -> list[Quarantined] | None:
        """Those that stand whole in a site; None where the system keeps none."""
