"""Which server runs on a data directory though no guard started it."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from agents.engines.base import EngineError
from agents.engines.pg_running import need_none_else, running_server
from agents.engines.pg_settings import PostgresConfig, argv, local_rule, with_our_ident

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
    assert "hba_file=/etc/pg/pg_hba.conf" in words
    assert "ident_file=/etc/pg/pg_ident.conf" in words
    assert "external_pid_file=" in words
    assert not any(word.startswith("hba_file") for word in argv(config(), 15))


def test_where_others_may_open_the_socket_only_the_agents_user_is_superuser() -> None:
    assert local_rule(config()) == "local all saling trust"
    shared = config(client_sockets=(Path("/var/run/postgresql"),))
    assert local_rule(shared) == "local all saling peer map=saling"
    words = argv(shared, 15)
    assert "unix_socket_directories=/run/paspor/socket,/var/run/postgresql" in words
    assert "unix_socket_permissions=0777" in words
    once = with_our_ident("theirs root postgres\n", "postgres")
    assert "\nsaling postgres saling\n" in once
    assert once.endswith("theirs root postgres\n")
    assert with_our_ident(once, "postgres") == once
