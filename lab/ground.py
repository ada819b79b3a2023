"""What a scenario needs of the system that it troubles: Saling's lab, or a peer set up alike."""

from __future__ import annotations

from typing import Any, Protocol

import asyncpg

from lab.database import Login
from lab.plan import Plan


class Ground(Protocol):
    """Two sites with one service or more, faults, and ways to look. `lab.four_sites.Lab` is one.

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
