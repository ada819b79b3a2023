"""Which of PostgreSQL's settings are Saling's own, each with its reason; the rest are the DBA's.

`docs/postgresql.md` shows these very tables; a test compares them. What the agent gives at each
start is made in `agents/engines/pg_settings.py`; a test holds the two together.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

AT_LEAST = 10
"""Senders and slots: a backup, its reseed, and room for others."""

UNITS = {"B": 1, "kB": 2**10, "MB": 2**20, "GB": 2**30, "TB": 2**40}
KEEP_LEAST_BYTES, KEEP_MOST_BYTES = 16 * UNITS["MB"], 4 * UNITS["TB"]
"""Of the log kept for an absent backup: a whole file of it; and what is still a bound, for beyond
the size of the disk it is none."""

AT_START: Mapping[str, str] = {
    "config_file": "our file stands outside the data directory, so that a copy or a rewind "
    "cannot bring in another site's; it includes the DBA's postgresql.conf first",
    "hba_file": "the same for pg_hba.conf: our lines first, then the DBA's file",
    "ident_file": "the same for pg_ident.conf",
    "data_directory": "`data_directory` of the service says it",
    "external_pid_file": "in a PID namespace it would name the host's own first process",
    "listen_addresses": "`listen` of the service says it; partners and balancers rely on it",
    "port": "`listen` of the service says it",
    "unix_socket_directories": "the agent's own connections come over it and need no password",
    "unix_socket_permissions": "only the agent's user may enter the directory of Saling's own "
    "socket; where clients share "
    "other directories, all may open the socket there",
    "cluster_name": "the service's name, so that processes and logs tell whose they are",
    "lc_messages": "in the log, a commit that stopped waiting for the backup is told by its text",
    "hot_standby": "a backup must answer, or nobody can tell how far it is",
    "wal_log_hints": "without it or checksums an old primary cannot be rewound",
    "track_commit_timestamp": "says when the writes were made that an old primary had alone",
    "wal_sender_timeout": "a dead backup is noticed in seconds",
    "wal_receiver_timeout": "a dead upstream is noticed in seconds",
    "wal_receiver_status_interval": "the primary knows to the second what the backup has",
    "wal_retrieve_retry_interval": "a backup is back at once when its upstream is",
    "recovery_target_timeline": "a backup follows its upstream through a promotion",
    "recovery_target_action": "a recovery target must never make a standby writable by itself",
    "recovery_init_sync_method": "one flush of the file system instead of one a file: a crash "
    "recovery starts at once",
    "restart_after_crash": "a crash ends the engine, so that the agent decides, under its lease, "
    "what comes next",
    "promote_trigger_file": "PostgreSQL 15 only: a file that makes a standby writable without "
    "asking anybody",
}
"""Owned, and given as `-c` at each start: nothing in any file beats them."""

CHANGED_RUNNING: Mapping[str, str] = {
    "primary_conninfo": "whom a backup follows",
    "primary_slot_name": "from which slot it reads",
    "synchronous_standby_names": "whose copy commits wait for",
}
"""Owned, and changed while the engine runs, in our own postgresql.conf."""

WITHIN_BOUNDS: Mapping[str, tuple[str, str, str]] = {
    "max_slot_wal_keep_size": (
        "4GB",
        "16MB to 4TB",
        "without a bound a backup that is away fills the primary's disk",
    ),
    "max_wal_senders": ("10", f"{AT_LEAST} or more", "a backup and its reseed need senders"),
    "max_replication_slots": ("10", f"{AT_LEAST} or more", "each replica has a slot"),
    "wal_level": ("replica", "replica or logical", "a backup lives from the log"),
}
"""The DBA's to choose within bounds, in `settings` only: name -> (usual value, bounds, reason)."""


def refusal(name: str, value: str) -> tuple[str, str] | None:
    """Why an entry of `settings` cannot be, and the mend; None when it can."""
    reason = AT_START.get(name) or CHANGED_RUNNING.get(name)
    if reason:
        mend = "take it out; docs/postgresql.md lists the settings that Saling owns"
        if name in ("listen_addresses", "port"):
            mend = "take it out, and change `listen` of the service"
        return f"this setting is Saling's own: {reason}", mend
    if name in WITHIN_BOUNDS and not _within(name, value.strip()):
        _, bounds, reason = WITHIN_BOUNDS[name]
        return f"out of bounds: {reason}", f"give {bounds}, or take it out"
    return None


def _within(name: str, value: str) -> bool:
    if name == "wal_level":
        return value in ("replica", "logical")
    if name == "max_slot_wal_keep_size":
        size = _size_bytes(value)
        return size is not None and KEEP_LEAST_BYTES <= size <= KEEP_MOST_BYTES
    return value.isdecimal() and int(value) >= AT_LEAST


def _size_bytes(value: str) -> int | None:
    """As PostgreSQL reads this setting: megabytes, where there is no unit."""
    found = re.fullmatch(r"(\d{1,18}) ?(B|kB|MB|GB|TB)?", value)
    return int(found[1]) * UNITS[found[2] or "MB"] if found else None
