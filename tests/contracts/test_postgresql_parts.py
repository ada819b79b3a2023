"""The parts of the PostgreSQL engine that need no server."""

from __future__ import annotations

import struct
from pathlib import Path

import asyncpg
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.core.observation import Disk, ProbeKind
from agents.engines.base import EngineError, Upstream
from agents.engines.pg_directory import Directory
from agents.engines.pg_session import classify
from agents.engines.pg_settings import (
    Changeable,
    PostgresConfig,
    address_of,
    argv,
    check,
    conninfo,
    read_back,
    render,
    without_our_names,
)
from agents.engines.pg_wal import (
    Fork,
    format_lsn,
    last_timeline,
    parse_history,
    parse_lsn,
    record_end,
    segment_file,
    written_end,
)

SEGMENT = 1 << 20
UPSTREAM = Upstream(address="10.0.0.1:5432", slot="saling_b", application_name="b")


@pytest.fixture
def config(tmp_path: Path) -> PostgresConfig:
    password = tmp_path / "password"
    password.touch(0o600)
    password.write_text("swordfish\n")
    (tmp_path / "run").mkdir()
    return PostgresConfig(
        service="orders",
        data=Path("/data"),
        run=tmp_path / "run",
        binaries=Path("/bin"),
        listen="127.0.0.1:5432",
        password_file=password,
    )


@given(st.integers(0, 2**64 - 1))
def test_a_position_is_read_as_it_was_written(position: int) -> None:
    assert parse_lsn(format_lsn(position)) == position


@pytest.mark.parametrize("text", ["", "0", "0/", "x/y", "1/2/3"])
def test_what_is_no_position_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse_lsn(text)


def log_with(data: Path, pages: int, start: int) -> None:
    """A first segment of this many pages, then pages of an older use of the file."""
    path = segment_file(data, 1, start, SEGMENT)
    path.parent.mkdir(exist_ok=True)
    content = bytearray(SEGMENT)
    for number in range(SEGMENT // 8192):
        here = start + number * 8192 if number < pages else 7 * SEGMENT + number * 8192
        struct.pack_into("<HHIQ", content, number * 8192, 0xD110, 0, 1, here)
    path.write_bytes(content)


@pytest.mark.parametrize("pages", [1, 2, 77, 127, 128])
def test_the_log_ends_with_the_last_page_that_stands_here(tmp_path: Path, pages: int) -> None:
    log_with(tmp_path, pages, start=3 * SEGMENT)
    end = written_end(tmp_path, 1, 3 * SEGMENT + 40, SEGMENT)
    assert end == 3 * SEGMENT + pages * 8192


def test_of_a_missing_log_nothing_is_said(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        written_end(tmp_path, 1, 3 * SEGMENT, SEGMENT)
    assert last_timeline(tmp_path) == 0


@pytest.mark.parametrize(
    ("offset", "length", "end"),
    [
        (40, 114, 40 + 120),
        (8192 - 120, 114, 8192),
        (8192 - 64, 114, 8192 + 24 + 56),
        (SEGMENT - 64, 114, SEGMENT + 40 + 56),
        (8192 - 8, 8200, 2 * 8192 + 24 + 24),
    ],
)
def test_a_record_ends_behind_the_headers_of_the_pages_it_crosses(
    tmp_path: Path, offset: int, length: int, end: int
) -> None:
    log_with(tmp_path, 128, start=3 * SEGMENT)
    path = segment_file(tmp_path, 1, 3 * SEGMENT, SEGMENT)
    content = bytearray(path.read_bytes())
    struct.pack_into("<I", content, offset, length)
    path.write_bytes(content)
    assert record_end(tmp_path, 1, 3 * SEGMENT + offset, SEGMENT) == 3 * SEGMENT + end


def test_a_history_names_the_timelines_before(tmp_path: Path) -> None:
    text = "1\t0/302B010\tno recovery target specified\n\n2\t1/0\tbecause # of that\n"
    assert parse_history(text) == [Fork(1, 0x302B010), Fork(2, 1 << 32)]


@given(
    st.text(st.characters(min_codepoint=32, max_codepoint=0x2FF)),
    st.text(st.characters(min_codepoint=32, max_codepoint=0x2FF)),
)
def test_our_settings_are_read_back_as_they_were_written(
    tmp_path_factory: pytest.TempPathFactory, words: str, sync: str
) -> None:
    run = tmp_path_factory.mktemp("run")
    config = PostgresConfig(
        service="orders",
        data=Path("/data"),
        run=run,
        binaries=Path("/bin"),
        listen="127.0.0.1:5432",
        password_file=Path("/none"),
    )
    values = Changeable(conninfo=words, slot="saling_b", sync=sync)
    config.config_file.write_text(render(config, values))
    assert read_back(config) == values


def test_the_upstream_is_told_from_its_words(config: PostgresConfig) -> None:
    words = conninfo(config, UPSTREAM)
    assert address_of(words) == UPSTREAM.address
    assert "swordfish" not in words
    assert address_of("") == ""


def test_no_secret_and_no_foreign_setting_beats_ours(config: PostgresConfig) -> None:
    config = msgspec.structs.replace(config, settings={"port": "1", "work_mem": "8MB"})
    with pytest.raises(EngineError, match="port = 1: this setting is Saling's own"):
        check(config)
    words = argv(config, 18)
    assert not any("swordfish" in word for word in words)
    assert [word for word in words if word.startswith("port=")] == ["port=5432"]
    assert "work_mem=8MB" in words


def test_no_setting_makes_a_standby_writable_by_itself(config: PostgresConfig) -> None:
    dba = {"recovery_target_action": "promote", "promote_trigger_file": "/tmp/go"}
    words = argv(msgspec.structs.replace(config, settings=dba), 15)
    assert words.index("recovery_target_action=shutdown") > 0
    assert words.index("promote_trigger_file=") > 0
    assert not any(word in words for word in ("recovery_target_action=promote", "/tmp/go"))


def test_alter_system_keeps_all_but_our_names() -> None:
    text = "work_mem = '8MB'\nprimary_conninfo = 'x'\nsynchronous_standby_names = ''\n"
    assert without_our_names(text) == "work_mem = '8MB'\n"


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"listen": "nowhere"}, "listen: 'nowhere'"),
        ({"listen": "host:99999"}, "listen: 'host:99999'"),
        ({"data": Path("relative")}, "data: relative"),
        ({"run": Path("/" + "x" * 100)}, "run: .* too long"),
        ({"max_slot_wal_keep_size": "-1"}, "max_slot_wal_keep_size"),
        ({"password_file": Path("/nowhere")}, "password_file: /nowhere"),
    ],
)
def test_what_cannot_work_is_named(
    config: PostgresConfig, change: dict[str, object], named: str
) -> None:
    check(config)
    with pytest.raises(EngineError, match=named):
        check(msgspec.structs.replace(config, **change))


def test_a_password_open_to_others_or_empty_is_refused(config: PostgresConfig) -> None:
    config.password_file.chmod(0o644)
    with pytest.raises(EngineError, match="chmod 0600"):
        check(config)
    config.password_file.chmod(0o600)
    config.password_file.write_text("\n")
    with pytest.raises(EngineError, match="not empty"):
        check(config)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (asyncpg.DiskFullError("no space"), ProbeKind.LOCAL),
        (asyncpg.PostgresIOError("I/O error"), ProbeKind.LOCAL),
        (asyncpg.ReadOnlySQLTransactionError("read only"), ProbeKind.SHARED),
        (asyncpg.LockNotAvailableError("locked"), ProbeKind.SHARED),
        (asyncpg.UndefinedTableError("gone"), ProbeKind.SHARED),
        (asyncpg.InsufficientPrivilegeError("not yours"), ProbeKind.SHARED),
        (asyncpg.ProgramLimitExceededError("wraparound"), ProbeKind.SHARED),
        (asyncpg.QueryCanceledError("statement timeout"), ProbeKind.TIMEOUT),
        (asyncpg.TooManyConnectionsError("full"), ProbeKind.LOCAL),
    ],
)
def test_a_failed_commit_is_put_where_it_belongs(
    error: asyncpg.PostgresError, kind: ProbeKind
) -> None:
    assert classify(error).kind is kind


def test_a_directory_says_what_stands_in_it(tmp_path: Path) -> None:
    directory = Directory(tmp_path / "data")
    assert directory.disk() is Disk.EMPTY
    directory.seeding.mkdir()
    assert directory.disk() is Disk.PARTIAL
    directory.seeding.rmdir()
    directory.data.mkdir()
    assert directory.disk() is Disk.EMPTY
    (directory.data / "PG_VERSION").write_text("15")
    assert directory.disk() is Disk.FOREIGN
    (directory.data / "global").mkdir()
    (directory.data / "global" / "pg_control").touch()
    assert directory.disk() is Disk.DATA
    directory.rewinding()
    assert directory.disk() is Disk.PARTIAL
    first = directory.move_aside()
    directory.data.mkdir()
    second = directory.move_aside()
    assert (first.name, second.name) == ("data.old-1", "data.old-2")
    assert directory.disk() is Disk.EMPTY
