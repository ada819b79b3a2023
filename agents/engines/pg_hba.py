"""Our own pg_hba.conf and pg_ident.conf, outside the data directory: our lines, then the DBA's.

His files are never edited. PostgreSQL 16 and later include them; 15 knows no include, so there
their text is copied in, at each start and whenever it changed. A copy or a rewind brings the data
directory of another site, never these files.
"""

from __future__ import annotations

import os
import pwd
import re
from pathlib import Path

from agents.engines.pg_roles import (
    LESSER_USERS,
    PROBE_USER,
    REPLICATION_USER,
    REWIND_USER,
    SUPERUSER,
)
from agents.engines.pg_settings import PostgresConfig

HEAD = "# Written by Saling; edits are lost. The DBA's lines are in the file below."
IDENT_MAP = "saling"


def hba_text(config: PostgresConfig, major: int) -> str:
    """The whole file. OSError when the DBA's cannot be read."""
    return "\n".join([HEAD, *our_rules(config), *_theirs(config.dba_hba, major)]) + "\n"


def ident_text(config: PostgresConfig, major: int) -> str:
    """The same for pg_ident.conf: the agent's user, and nobody else, may be ours."""
    return "\n".join([HEAD, *our_names(), *_theirs(config.dba_ident, major)]) + "\n"


def our_rules(config: PostgresConfig) -> list[str]:
    """Who may come as one of our roles; everything else about them is refused."""
    # A socket of our own stands in a directory that only the agent's user can enter.
    local = f"peer map={IDENT_MAP}" if config.client_sockets else "trust"
    kind = "hostssl" if config.tls else "host"
    method = "scram-sha-256"
    if config.tls and config.tls.certificate:
        method += " clientcert=verify-ca"
    ours = ",".join((SUPERUSER, *LESSER_USERS))
    return [
        f"local all {SUPERUSER} {local}",
        f"local postgres {PROBE_USER} {local}",
        f"{kind} replication {REPLICATION_USER} all {method}",
        f"{kind} all {REWIND_USER} all {method}",
        f"local all,replication {ours} reject",
        f"host all,replication {ours} all reject",
    ]


def our_names() -> list[str]:
    """The agent's own user on this host, as two of our roles."""
    os_user = pwd.getpwuid(os.geteuid()).pw_name
    return [f"{IDENT_MAP} {os_user} {role}" for role in (SUPERUSER, PROBE_USER)]


def _theirs(dba: Path, major: int) -> list[str]:
    if major >= 16:
        return [f"include_if_exists {_quoted(dba)}"]
    if not dba.exists():
        return [f"# there is no {dba}"]
    return [f"# copied from {dba}", with_absolute_names(dba.read_text(), dba.parent)]


def with_absolute_names(text: str, directory: Path) -> str:
    """`@file` is looked for beside the file in which it stands: a copy must name it in full."""

    def full(match: re.Match[str]) -> str:
        return f"{match[1]}@{_quoted(directory / match[2])}"

    return re.sub(r'(^|[\s,])@([^/\s,"][^\s,]*)', full, text, flags=re.M)


def _quoted(path: Path) -> str:
    return '"' + str(path).replace('"', '""') + '"'
