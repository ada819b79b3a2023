"""What an engine shows of itself: the only facts that the agent's rules know of a database."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from protocol.messages import Role


class Disk(StrEnum):
    """What stands in the data directory."""

    EMPTY = "empty"
    """Absent or without a single file."""
    DATA = "data"
    """A copy of a database; its system identifier says of which."""
    PARTIAL = "partial"
    """A copy of Saling's own that was never finished: it may be made anew."""
    FOREIGN = "foreign"
    """Files that are no copy of a database: never touched."""


class Observation(Struct, frozen=True):
    """One look at an engine, running or not."""

    role: Role = Role.DOWN
    disk: Disk = Disk.EMPTY
    system_identifier: str = ""
    timeline: int = 0
    position_bytes: int = 0
    """Primary: end of the flushed log. Standby: end of the received log. Down: last checkpoint."""
    replayed_bytes: int = 0
    streaming: bool = False
    """Standby: connected to its upstream and receiving."""
    upstream: str = ""
    """Standby: the address it follows, as it was given to `follow`."""
    stranded: str = ""
    """Standby: why it can never follow its upstream again as it is; empty when it may."""
    lag_ms: int = 0
    sync_active: bool = False
    """Primary: commits wait for the backup, and the backup is there."""
    recovery_bytes: int = 0
    """Down, or a primary: how much log a crash recovery would read now."""
    clean: bool = False
    """Down: it was stopped in order."""


class ProbeKind(StrEnum):
    """How an attempt to commit one row ended."""

    COMMITTED = "committed"
    TIMEOUT = "timeout"
    LOCAL = "local"
    """Failed for a reason of this copy or host alone."""
    SHARED = "shared"
    """Failed for a reason that a promoted backup would have too."""


class Probe(Struct, frozen=True):
    """One attempt to commit a row locally, and where the log ended then."""

    kind: ProbeKind
    position_bytes: int = 0
    reason: str = ""
