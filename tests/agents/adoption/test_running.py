"""Which server runs on a data directory though no guard started it."""

from __future__ import annotations

import asyncio
import os
import pwd
from pathlib import Path

import pytest

from agents.engines.base import EngineError
from agents.engines.pg_hba import hba_text, ident_text, our_rules
from agents.engines.pg_running import need_none_else, running_server
from agents.engines.pg_settings import PostgresConfig, argv

LINES = "{pid}\n{data}\n1700000000\n5433\n/sockets\nlocalhost\n  1 2\nready   \n"


async def test_only_a_live_process_that_works_in_the_directory_counts(tmp_path: Path) -> None:
    file = tmp_path / "postmaster.pid"
    assert running_server(tmp_path) is None
    for text in ("", "no number\n", "1\n", f"{os.getpid()}\n"):
        # Process 1 is a guarded engine's own name for itself; this test works elsewhere.
        file.write_text(text)
        assert running_server(tmp_path) is None
        need_none_else(tmp_path)
    process = await asyncio.create_subprocess_exec("sleep", "60", cwd=tmp_path)
    try:
        file.write_text(LINES.format(pid=process.pid, data=tmp_path))
        running = running_server(tmp_path)
        assert running is not None
        assert (running.pid, running.port, running.sockets) == (process.pid, 5433, Path("/sockets"))
        assert running.serves
        with pytest.raises(EngineError, match="saling-agent adopt"):
            need_none_else(tmp_path)
    finally:
        process.kill()
        await process.wait()
    assert running_server(tmp_path) is None


def config(**changes: object) -> PostgresConfig:
    fields: dict[str, object] = {
        "service": "paspor",
        "data": Path("/data"),
        "run": Path("/run/paspor"),
        "binaries": Path("/bin"),
        "listen": "127.0.0.1:5432",
        "password_file": Path("/password"),
        **changes,
    }
    return PostgresConfig(**fields)  # type: ignore[arg-type]


def test_the_dbas_directory_is_used_and_what_it_says_of_places_is_overruled() -> None:
    words = argv(config(dba_config=Path("/etc/pg/postgresql.conf")), 15)
    assert "data_directory=/data" in words
    assert "hba_file=/run/paspor/pg_hba.conf" in words
    assert "ident_file=/run/paspor/pg_ident.conf" in words
    given = config(dba_config=Path("/etc/pg/postgresql.conf"))
    assert 'include_if_exists "/etc/pg/pg_hba.conf"' in hba_text(given, 16)
    assert 'include_if_exists "/etc/pg/pg_ident.conf"' in ident_text(given, 16)
    assert "external_pid_file=" in words


def test_where_others_may_open_the_socket_only_the_agents_user_is_superuser() -> None:
    assert "local all saling trust" in our_rules(config())
    shared = config(client_sockets=(Path("/var/run/postgresql"),))
    rules = our_rules(shared)
    assert rules[:2] == [
        "local all saling peer map=saling",
        "local postgres saling_probe peer map=saling",
    ]
    assert not any("trust" in rule for rule in rules)
    words = argv(shared, 15)
    assert "unix_socket_directories=/run/paspor/socket,/var/run/postgresql" in words
    assert "unix_socket_permissions=0777" in words
    user = pwd.getpwuid(os.geteuid()).pw_name
    assert ident_text(shared, 16).splitlines()[1:3] == [
        f"saling {user} saling",
        f"saling {user} saling_probe",
    ]
