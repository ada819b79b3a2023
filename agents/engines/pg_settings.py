"""What Saling sets in PostgreSQL, and where; all other settings are the DBA's.

What never changes while it runs is given as `-c` arguments, which beat every file. What must
change without a restart (whom to follow, whom to wait for) stands in our own postgresql.conf,
outside the data directory, so that pg_rewind and pg_basebackup cannot bring in another site's:
it includes the DBA's file first and our lines last. Only postgresql.auto.conf is read later,
so our names are taken out of it before each start. Our pg_hba.conf is in `pg_hba.py`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct

from agents.engines.base import EngineError, Upstream
from agents.guard.client import SOCKET_PATH_LIMIT
from config.enginesettings import CHANGED_RUNNING, WITHIN_BOUNDS, refusal

CHANGEABLE = tuple(CHANGED_RUNNING)


class UpstreamTls(Struct, frozen=True):
    """How this host's engine checks its upstream's, and what it shows of itself."""

    authority: Path
    certificate: Path | None = None
    key: Path | None = None


class PostgresConfig(Struct, frozen=True, kw_only=True):
    """Where one copy lives. `data` and `run` are absolute; `listen` is host:port.

    `run` holds the guard's and the engine's sockets, our settings and the log; mode 0700.
    `password_file` holds the password of `saling_replication`, in one line of ASCII, mode 0600;
    `rewind_password_file` that of `saling_rewind`, the same if left out.
    `seed_rate_kib_s`: at most this fast, 32 to 1048576; None for no limit.
    `settings`: further `-c` settings. `dba_config`: the DBA's file, if not in the data directory;
    his pg_hba.conf and pg_ident.conf stand beside it. `client_sockets`: further directories where
    clients of this host find the server. `tls`: an upstream is believed by its certificate only,
    and others must come over TLS too.
    """

    service: str
    data: Path
    run: Path
    binaries: Path
    listen: str
    password_file: Path
    max_slot_wal_keep_size: str = "4GB"
    seed_rate_kib_s: int | None = None
    settings: Mapping[str, str] = {}
    dba_config: Path | None = None
    rewind_password_file: Path | None = None
    tls: UpstreamTls | None = None
    client_sockets: tuple[Path, ...] = ()
    quarantine: str = "wal"
    """What is kept of an old primary that diverged: wal, or data_directory for all of it."""
    quarantine_directory: Path | None = None
    """Beside the data directory if left out."""

    @property
    def quarantine_root(self) -> Path:
        return self.quarantine_directory or self.data.with_name(f"{self.data.name}.quarantine")

    @property
    def dba_hba(self) -> Path:
        return self._beside_dba_config("pg_hba.conf")

    @property
    def dba_ident(self) -> Path:
        return self._beside_dba_config("pg_ident.conf")

    def _beside_dba_config(self, name: str) -> Path:
        return (self.dba_config.parent if self.dba_config else self.data) / name

    @property
    def host(self) -> str:
        return self.listen.rpartition(":")[0].strip("[]")

    @property
    def port(self) -> int:
        return int(self.listen.rpartition(":")[2])

    @property
    def sockets(self) -> Path:
        return self.run / "socket"

    @property
    def config_file(self) -> Path:
        return self.run / "postgresql.conf"

    @property
    def hba_file(self) -> Path:
        return self.run / "pg_hba.conf"

    @property
    def ident_file(self) -> Path:
        return self.run / "pg_ident.conf"

    @property
    def passfile(self) -> Path:
        return self.run / "passfile"

    @property
    def log(self) -> Path:
        return self.run / "engine.log"


def check(config: PostgresConfig) -> None:
    """EngineError names the first value that cannot work."""
    for name, path in (("data", config.data), ("run", config.run)):
        if not path.is_absolute():
            raise EngineError(f"{name}: {path} is not absolute; write it from the root")
    if not re.fullmatch(r".+:\d{1,5}", config.listen) or not 0 < config.port < 65536:
        raise EngineError(f"listen: {config.listen!r} is not host:port")
    socket = config.sockets / f".s.PGSQL.{config.port}"
    if len(str(socket)) > SOCKET_PATH_LIMIT:
        raise EngineError(f"run: {socket} is too long for a socket; choose a shorter directory")
    for directory in config.client_sockets:
        if "," in str(directory) or '"' in str(directory):
            raise EngineError(f"client_socket_directories: {directory}: no commas, no quotes")
    if config.client_sockets and os.geteuid() == 0:
        raise EngineError(
            "client_socket_directories: the agent runs as root, whom PostgreSQL cannot tell from"
            " other users on a socket that all may open; run it as the owner of the data"
        )
    bound = {"max_slot_wal_keep_size": config.max_slot_wal_keep_size}
    for name, value in {**bound, **config.settings}.items():
        if refused := refusal(name, value):
            raise EngineError(f"settings: {name} = {value}: {refused[0]}; {refused[1]}")
    read_secret("password_file", config.password_file)
    if config.rewind_password_file:
        read_secret("rewind_password_file", config.rewind_password_file)


def read_secret(name: str, file: Path) -> str:
    """A password. EngineError when it is missing, open to others, or not ASCII."""
    try:
        mode, text = file.stat().st_mode, file.read_text("ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise EngineError(f"{name}: {file}: {error}") from None
    password = text.rstrip("\n")
    if mode & 0o077:
        raise EngineError(f"{name}: {file} is open to others: chmod 0600")
    if not password or not password.isprintable():
        raise EngineError(f"{name}: {file}: one line, not empty, is needed")
    return password


def argv(config: PostgresConfig, major: int) -> list[str]:
    """How the server is started. Holds no secret: everybody may read it."""
    server = str(config.binaries / "postgres")
    files = {
        "config_file": config.config_file,
        "hba_file": config.hba_file,
        "ident_file": config.ident_file,
        # The DBA's file may name another, and would be believed.
        "data_directory": config.data,
    }
    given = [part for name, path in files.items() for part in ("-c", f"{name}={path}")]
    return [server, "-D", str(config.data), *given, *settings_given(config, major)]


def settings_given(config: PostgresConfig, major: int) -> list[str]:
    """The -c arguments but the files. A new copy is finished with them too: its control file
    remembers some, and a standby does not start with less.
    """
    given = {
        **{name: usual for name, (usual, _, _) in WITHIN_BOUNDS.items()},
        "max_slot_wal_keep_size": config.max_slot_wal_keep_size,
        **config.settings,
        # What is ours stays ours, whatever a caller let through.
        **owned_settings(config, major),
    }
    return [part for name, value in given.items() for part in ("-c", f"{name}={value}")]


def owned_settings(config: PostgresConfig, major: int) -> dict[str, str]:
    """What nobody else sets; `config.enginesettings.AT_START` has the reason for each."""
    owned = {
        "listen_addresses": config.host,
        "port": str(config.port),
        "unix_socket_directories": ",".join(map(str, (config.sockets, *config.client_sockets))),
        # Our own socket's directory is closed to others in any case.
        "unix_socket_permissions": "0777" if config.client_sockets else "0700",
        # In a PID namespace it would say 1, which outside is the host's own first process.
        "external_pid_file": "",
        "cluster_name": config.service,
        "lc_messages": "C",
        "hot_standby": "on",
        "wal_log_hints": "on",
        "track_commit_timestamp": "on",
        "wal_sender_timeout": "5s",
        "wal_receiver_timeout": "5s",
        "wal_receiver_status_interval": "1s",
        "wal_retrieve_retry_interval": "200ms",
        "recovery_target_timeline": "latest",
        "recovery_target_action": "shutdown",
        "recovery_init_sync_method": "syncfs",
        "restart_after_crash": "off",
    }
    if major == 15:
        owned["promote_trigger_file"] = ""
    return owned


def conninfo(config: PostgresConfig, upstream: Upstream) -> str:
    """libpq's words for reaching the upstream, without the password."""
    host, _, port = upstream.address.rpartition(":")
    words = {
        "host": host.strip("[]"),
        "port": port,
        "user": upstream.user,
        "passfile": str(config.passfile),
        "application_name": upstream.application_name,
        "connect_timeout": "3",
        "tcp_user_timeout": "5000",
        **_tls_words(config.tls),
    }
    return " ".join(f"{name}={_libpq_quoted(value)}" for name, value in words.items())


def _tls_words(tls: UpstreamTls | None) -> dict[str, str]:
    if tls is None:
        return {"sslmode": "prefer"}
    words = {"sslmode": "verify-full", "sslrootcert": str(tls.authority)}
    if tls.certificate and tls.key:
        words |= {"sslcert": str(tls.certificate), "sslkey": str(tls.key)}
    return words


def address_of(conninfo_text: str) -> str:
    """host:port of what `conninfo` wrote; empty when it names none."""
    words = dict(re.findall(r"(\w+)='((?:[^'\\]|\\.)*)'", conninfo_text))
    return f"{words['host']}:{words['port']}" if {"host", "port"} <= words.keys() else ""


def _libpq_quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def _guc_quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace("'", "''")
    return f"'{escaped}'"


class Changeable(Struct, frozen=True):
    """The three settings that change while the server runs, as PostgreSQL reads them."""

    conninfo: str = ""
    slot: str = ""
    sync: str = ""

    def following(self, config: PostgresConfig, upstream: Upstream | None) -> Changeable:
        words = conninfo(config, upstream) if upstream else ""
        return Changeable(conninfo=words, slot=upstream.slot if upstream else "", sync=self.sync)

    def waiting_for(self, name: str | None) -> Changeable:
        quoted = (name or "").replace('"', '""')
        sync = f'FIRST 1 ("{quoted}")' if name else ""
        return Changeable(conninfo=self.conninfo, slot=self.slot, sync=sync)


def render(config: PostgresConfig, values: Changeable) -> str:
    """Our postgresql.conf: the DBA's file, then our three lines."""
    dba = config.dba_config or config.data / "postgresql.conf"
    pairs = zip(CHANGEABLE, (values.conninfo, values.slot, values.sync), strict=True)
    lines = [f"{key} = {_guc_quoted(value)}" for key, value in pairs]
    head = "# Written by Saling; edits are lost. The DBA's settings are in the file included here."
    return "\n".join([head, f"include_if_exists {_guc_quoted(str(dba))}", *lines]) + "\n"


def read_back(config: PostgresConfig) -> Changeable:
    """What the last `render` wrote: a restarted agent goes on from there."""
    try:
        text = config.config_file.read_text()
    except FileNotFoundError:
        return Changeable()
    found = dict(re.findall(r"^(\w+) = '(.*)'$", text, flags=re.M))
    plain = [re.sub(r"(''|\\\\)", lambda m: m[0][0], found.get(key, "")) for key in CHANGEABLE]
    return Changeable(*plain)


def without_our_names(auto_conf: str) -> str:
    """postgresql.auto.conf without what would beat our file."""
    names = "|".join(CHANGEABLE)
    return re.sub(rf"^\s*(?:{names})\s*=.*\n?", "", auto_conf, flags=re.M | re.I)
