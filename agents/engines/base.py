"""What an engine must be able to do: the whole of what the agent asks of a database.

Errors:

    EngineError       it will not work until somebody mends what the text names
      EngineBusy      it did not work now: the same call may succeed later

Nothing here decides. Every call that may make the copy writable asks the guard, which refuses
without a lease. `observe`, `probe`, `upkeep`, `unfit` and `kill` may run beside any other call; the
rest come one after the other. Positions are bytes in the engine's log.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from msgspec import Struct

from agents.core.observation import Observation, Probe


class EngineError(Exception):
    """Names what was wrong, where, and the mend. Repeating the call does not help."""


class EngineBusy(EngineError):
    """Temporary: the same call may succeed later."""


class Upstream(Struct, frozen=True):
    """Whom a standby follows. `address`: host:port. `system_identifier`: refused if another's.

    `slot` is on the upstream and `application_name` is what `set_sync` there names.
    The password is the engine's own: a service has one, for the role is replicated with it.
    """

    address: str
    slot: str
    application_name: str
    system_identifier: str = ""
    user: str = "saling_replication"


class Progress(Struct, frozen=True):
    """How far a copy has come. `total_bytes` is an estimate, 0 while unknown."""

    doing: str
    done_bytes: int = 0
    total_bytes: int = 0


class Return(StrEnum):
    """How an old primary came back."""

    FOLLOWS = "follows"
    """It had nothing that its upstream lacks."""
    REWOUND = "rewound"
    RESEEDED = "reseeded"


class Quarantined(Struct, frozen=True):
    """What an old primary wrote and its upstream never had, kept before it was undone."""

    path: Path
    transactions: int | None
    """Committed, without Saling's own probes; None when they could not be counted."""
    bytes: int
    text: str
    """One sentence with the figures and the path."""
    whole: bool = True
    """False when some of what was written is not in it, for its log was gone or unreadable."""


class Rejoined(Struct, frozen=True):
    """`diverged_bytes`: log of its own that the upstream never had. `old_copy`: kept aside."""

    how: Return
    diverged_bytes: int = 0
    old_copy: Path | None = None
    quarantine: Quarantined | None = None


class Aside(Struct, frozen=True):
    """What stands beside a copy."""

    quarantines: tuple[Quarantined, ...] = ()
    old_copies: tuple[Path, ...] = ()
    """`forget_old_copy` removes them."""
    kept_copies: tuple[Path, ...] = ()
    """Copies that may hold what nobody else has: only a human removes them."""


class LogPoint(Struct, frozen=True):
    """From where a standby needs the log of its dead upstream, and of which history it is.

    `begin_bytes`: what lies between it and `received_bytes` is here already, and is compared.
    """

    system_identifier: str
    timeline: int
    begin_bytes: int
    received_bytes: int


class Waits(Struct, frozen=True):
    """What lets commits through that no backup has, while they should wait for one."""

    weakened: tuple[str, ...] = ()
    """Settings by which commits need not wait, a sentence each."""
    unseen: str = ""
    """Why cancelled waits may not be counted; empty when they are."""


OnProgress = Callable[[Progress], None]
LogSource = Callable[[LogPoint], contextlib.AbstractAsyncContextManager[AsyncIterator[bytes]]]
"""Opens the rest of the upstream's log from a point on."""
Turn = Callable[[], contextlib.AbstractAsyncContextManager[None]]
"""Entered for as long as a copy is taken over the network: may wait for another's to end."""


def at_once() -> contextlib.AbstractAsyncContextManager[None]:
    """A turn that never waits."""
    return contextlib.nullcontext()


class Engine(Protocol):
    """One copy of one service on this host."""

    async def observe(self) -> Observation:
        """One quick look; EngineBusy if the engine or its guard does not answer."""

    async def probe(self, timeout_ms: int) -> Probe:
        """Commit one row locally, not waiting for the backup. Never raises for a sick database."""

    async def create(self) -> str:
        """Make a new database, stopped; returns its system identifier. Only where nothing is."""

    async def seed(self, upstream: Upstream, on_progress: OnProgress, turn: Turn = at_once) -> None:
        """Copy the upstream, stopped. Never over data; what was never finished is made anew."""

    async def start_standby(self, upstream: Upstream | None) -> None:
        """Run, not writable. Returns when it answers or is busy replaying."""

    async def start_primary(self, timeout_ms: int) -> None:
        """Run and be writable, after the guard agreed. At rest it is a standby again."""

    async def promote(self, timeout_ms: int) -> None:
        """Make the running standby writable, after the guard agreed; returns when it is."""

    async def follow(self, upstream: Upstream | None) -> None:
        """Let the running standby follow another upstream, or none, without a restart."""

    async def rest_of_log(self, point: LogPoint) -> tuple[int, AsyncIterator[bytes]]:
        """What this fenced copy's log holds from a point on: how many bytes, and the bytes.

        EngineError when the point is not on this copy's history.
        """

    async def take_log(self, source: LogSource) -> int:
        """Let the running standby's log go on with the rest of its dead upstream's; its new end.

        It follows nobody afterwards. EngineError when that log is of another history.
        """

    async def drain(self, timeout_ms: int) -> int:
        """Stop a primary in order: its last position. A backup that has it lacks nothing.

        EngineBusy before it began to stop or, as `observe` shows, while it goes on stopping.
        """

    async def stop(self, timeout_ms: int) -> None:
        """Stop a standby in order."""

    async def kill(self) -> int:
        """The fence: returns when no process is left, with the milliseconds that took."""

    async def end_processes(self) -> int:
        """The same past the guard, for one that is gone or stands still."""

    async def rejoin(
        self, upstream: Upstream, on_progress: OnProgress, turn: Turn = at_once
    ) -> Rejoined:
        """Make the stopped copy one that can follow the upstream.

        What it wrote and the upstream never had is in quarantine before anything is undone.
        """

    async def stranded(self, upstream: Upstream) -> str:
        """Why the running standby can never follow again as it is; empty when it may.

        EngineBusy when the upstream does not answer: then nothing is known.
        """

    async def aside(self) -> Aside:
        """What was put beside the copy and is still there."""

    async def forget_old_copy(self) -> None:
        """Remove what `rejoin` or `seed` kept aside. Only while the new copy streams."""

    async def set_sync(self, name: str | None) -> None:
        """Let commits wait for the standby of this application name, or for none."""

    async def ensure_slot(self, name: str) -> None:
        """A place to read from for the backup; made anew when it was lost.

        Also on a standby that is about to be promoted: then no log is lost in between.
        """

    async def other_slots(self, name: str) -> tuple[str, ...]:
        """On a primary: slots of Saling's that hold log for others, each with how much."""

    async def upkeep(self) -> None:
        """Take up files of the host that changed, and what a primary's roles lack.

        Every few seconds, beside any other call; never in the way of one.
        """

    async def unfit(self, upstream: Upstream) -> tuple[str, ...]:
        """What of the running standby does not match its upstream, a sentence each.

        Beside any other call. EngineBusy while it cannot be told.
        """

    async def weakness(self) -> Waits:
        """On a primary: which of its settings weaken sync mode. EngineBusy while it cannot be told.

        Beside any other call.
        """

    async def cancelled_waits(self) -> int:
        """How many commits stopped waiting for the backup since this object was made.

        Beside any other call. They stand here, and their clients know it at best.
        """

    async def connections(self) -> int:
        """How many clients are connected, without Saling. EngineBusy while it does not answer.

        Beside any other call.
        """

    async def close(self) -> None:
        """Let go of connections. The engine and its guard go on."""
