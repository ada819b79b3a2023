"""What lets commits of a sync primary through that no backup has: settings, and cancelled waits.

Roles and databases have settings of their own, which beat those of every file. A commit whose wait
is cancelled has happened at the primary; PostgreSQL says so only to its client and in its log, as a
warning, so the log is where it is counted. The text is matched, for the code is that of any
warning; `lc_messages` is Saling's own, so that it stands there in English.
"""

from __future__ import annotations

import asyncio
import os
import re
from pathlib import Path
from typing import Any, BinaryIO

from msgspec import Struct

from agents.engines.base import EngineBusy, Waits
from agents.engines.pg_server import NO_ANSWER
from agents.engines.pg_session import Session
from agents.engines.pg_settings import PostgresConfig, read_back

WEAK_COMMITS = frozenset(("off", "local", "remote_write", "false", "no", "0"))
QUIET_LEVELS = frozenset(("error", "log", "fatal", "panic"))
LOOK_LIMIT_MS = 5000
SETTLES_S = 1.0
READ_AT_MOST_BYTES = 8 * 2**20
READ_BYTES = 2**18
LINE_AT_MOST_BYTES = 2**16
TOLD_AT_MOST = 8

_SAID = rb"canceling (?:the )?wait for synchronous replication"
_OTHER = rb"(?:LOG|INFO|NOTICE|ERROR|FATAL|PANIC|DETAIL|HINT|QUERY|CONTEXT|STATEMENT|LOCATION):  "
# Lines of a statement that a client made up to look like it are not counted.
_PLAIN = re.compile(rb"^(?!\t)(?:(?!" + _OTHER + rb").)*?WARNING:  (?:01000: |57P01: )?" + _SAID)
_CSV = re.compile(rb",WARNING,(?:01000|57P01),\"" + _SAID)
_JSON = re.compile(rb"\"error_severity\":\"WARNING\".*?\"message\":\"" + _SAID)
CANCELLED = {".csv": _CSV, ".json": _JSON}
"""By how the file ends; any other is plain."""

STATE = """
SELECT current_setting('synchronous_standby_names') AS names,
       current_setting('synchronous_commit') AS commits,
       current_setting('fsync') AS fsync,
       current_setting('log_min_messages') AS level,
       current_setting('log_destination') AS destination,
       current_setting('logging_collector') = 'on' AS collected,
       CASE WHEN current_setting('logging_collector') = 'on' THEN pg_current_logfile() END AS file
"""
OWN_SETTINGS = """
SELECT coalesce(array_agg(array[coalesce(rolname, ''), coalesce(datname, ''), lower(name),
                                substr(config, length(name) + 2)]
                          ORDER BY rolname, datname, name), '{}')
FROM pg_db_role_setting
     LEFT JOIN pg_roles AS r ON r.oid = setrole
     LEFT JOIN pg_database AS d ON d.oid = setdatabase,
     unnest(setconfig) AS config, split_part(config, '=', 1) AS name
WHERE lower(name) IN ('synchronous_commit', 'log_min_messages', 'lc_messages')
"""


class WaitWatch:
    """Beside one server, for as long as the agent lives."""

    def __init__(self, config: PostgresConfig, session: Session) -> None:
        self._config = config
        self._session = session
        self._count = LogCount(config.log)
        self._log: Path | None = None
        self._reading: asyncio.Future[None] | None = None

    async def weakness(self) -> Waits:
        """Looked at twice where something is found: names may just be changing. EngineBusy."""
        try:
            found = await look_for_weakness(self._session, self._config)
            if found.weakened:
                await asyncio.sleep(SETTLES_S)
                found = await look_for_weakness(self._session, self._config)
        except NO_ANSWER as error:
            raise EngineBusy(f"{self._config.service}: does not answer ({error!r})") from None
        self._log = found.log
        return Waits(found.weakened, found.unseen)

    async def cancelled(self) -> int:
        """How many commits stopped waiting since this life began.

        On a disk that hangs the one thread that reads stays behind, and no other is begun.
        """
        if self._reading is None or self._reading.done():
            read = asyncio.to_thread(self._count.read, self._log)
            self._reading = asyncio.ensure_future(read)
        await asyncio.shield(self._reading)
        return self._count.count

    def close(self) -> None:
        """Let go of the log."""
        self._count.close()


class Weakness(Struct, frozen=True):
    """What a look at the settings found."""

    weakened: tuple[str, ...]
    """By which commits need not wait for the backup, with the mend."""
    unseen: str
    """Why cancelled waits may not be counted; empty when all are."""
    log: Path | None
    """Where the server writes its log; None where it cannot be read."""


async def look_for_weakness(session: Session, config: PostgresConfig) -> Weakness:
    """Of a primary. Errors as `Session.row`."""
    state = await session.row(STATE, timeout_ms=LOOK_LIMIT_MS)
    own = (await session.row(OWN_SETTINGS, timeout_ms=LOOK_LIMIT_MS))[0]
    log, unseen = _log_of(state, config)
    hidden = [_whose(*entry) for entry in own if _hides(*entry)]
    if state["level"] in QUIET_LEVELS:
        hidden.insert(0, f"log_min_messages is {state['level']}")
    if hidden and not unseen:
        unseen = f"cancelled waits may not be counted: {_listed(hidden)}; let warnings be logged"
    weakened = [*_global(state, read_back(config).sync), *(_whose(*e) for e in own if _weak(*e))]
    return Weakness(tuple(weakened[:TOLD_AT_MOST]), unseen, log)


def _global(state: Any, names: str) -> list[str]:
    found = []
    if state["commits"].lower() in WEAK_COMMITS:
        found.append(f"synchronous_commit is {state['commits']} for all: set it to on")
    if names and state["names"] != names:
        found.append(
            f"synchronous_standby_names is {state['names']!r}, not Saling's {names!r}: "
            "ALTER SYSTEM RESET synchronous_standby_names"
        )
    if state["fsync"] != "on":
        found.append("fsync is off: turn it on")
    return found


def _weak(_role: str, _database: str, name: str, value: str) -> bool:
    return name == "synchronous_commit" and value.strip().lower() in WEAK_COMMITS


def _hides(_role: str, _database: str, name: str, value: str) -> bool:
    if name == "lc_messages":
        return value.strip() not in ("C", "POSIX", "")
    return name == "log_min_messages" and value.strip().lower() in QUIET_LEVELS


def _whose(role: str, database: str, name: str, value: str) -> str:
    """`role report in database app has synchronous_commit = off: ALTER ROLE ... RESET ...`."""
    if role:
        where = f" IN DATABASE {database}" if database else ""
        who = f"role {role}{f' in database {database}' if database else ''}"
        return f"{who} has {name} = {value}: ALTER ROLE {role}{where} RESET {name}"
    if database:
        return f"database {database} has {name} = {value}: ALTER DATABASE {database} RESET {name}"
    return f"every role has {name} = {value}: ALTER ROLE ALL RESET {name}"


def _log_of(state: Any, config: PostgresConfig) -> tuple[Path | None, str]:
    if not state["collected"]:
        if "stderr" in state["destination"].lower():
            return config.log, ""
    elif state["file"]:
        return config.data / state["file"], ""
    return None, (
        f"cancelled waits are not counted, for log_destination is {state['destination']}: let it "
        "name stderr, csvlog or jsonlog too"
    )


def _listed(texts: list[str]) -> str:
    return "; ".join(texts[:TOLD_AT_MOST])


class LogCount:
    """Counts cancelled waits in the server's log, from the end that it has now.

    The file that was read stays open, so that what is written before a rotation is not missed.
    Blocking: call it in a thread.
    """

    def __init__(self, log: Path) -> None:
        self.count = 0
        self._path = log
        self._file: BinaryIO | None = None
        self._rest = b""
        self._open(at_end=True)

    def read(self, log: Path | None) -> None:
        """Count what was written since. `log`: where it is written now, if that is known."""
        if self._file is not None:
            self._count_on()
        moved = log is not None and log != self._path
        if moved and log is not None:
            self._path = log
        if moved or self._file is None or self._is_another():
            self._open(at_end=False)
            self._count_on()

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _open(self, *, at_end: bool) -> None:
        self.close()
        try:
            self._file = self._path.open("rb")
        except OSError:
            return
        self._rest = b""
        if at_end:
            self._file.seek(0, os.SEEK_END)

    def _is_another(self) -> bool:
        """The file was replaced, or cut."""
        try:
            there = self._path.stat()
        except OSError:
            return False
        if self._file is None:
            return True
        mine = os.fstat(self._file.fileno())
        return there.st_ino != mine.st_ino or there.st_size < self._file.tell()

    def _count_on(self) -> None:
        """A bounded part at a time: what is left is read at the next look."""
        if self._file is None:
            return
        read = 0
        while read < READ_AT_MOST_BYTES and (block := self._file.read(READ_BYTES)):
            read += len(block)
            *lines, rest = (self._rest + block).split(b"\n")
            said = CANCELLED.get(self._path.suffix, _PLAIN)
            self.count += sum(1 for line in lines if said.search(line))
            # A line without an end is a statement; what it begins with is enough.
            self._rest = rest[:LINE_AT_MOST_BYTES]
