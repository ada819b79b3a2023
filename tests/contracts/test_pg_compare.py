"""What must match before a standby may take over, on real pairs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from agents.engines.base import EngineBusy, EngineError
from agents.engines.pg_compare import AT_LEAST, Places, settings_that_differ
from agents.engines.pg_settings import PostgresConfig
from tests.contracts.conftest import Pair, Site, until


def settings(**changes: Any) -> dict[str, Any]:
    usual = {**dict.fromkeys(AT_LEAST, 10), "major": 18, "hints": True, "libraries": ""}
    return usual | changes


def test_equal_or_more_on_the_standby_is_fit() -> None:
    assert settings_that_differ(settings(max_connections=11), settings()) == []


@pytest.mark.parametrize("name", AT_LEAST)
def test_less_on_the_standby_is_named_with_both_values(name: str) -> None:
    (found,) = settings_that_differ(settings(**{name: 9}), settings())
    assert found.startswith(f"{name}: 9 here, 10 at the upstream")
    assert "set 10 or more" in found


def test_another_version_and_an_unrewindable_side_are_named() -> None:
    assert "PostgreSQL 17 here, 18" in settings_that_differ(settings(major=17), settings())[0]
    assert "off here" in settings_that_differ(settings(hints=False), settings())[0]
    assert "off at the upstream" in settings_that_differ(settings(), settings(hints=False))[0]


def test_a_library_is_found_as_postgresql_finds_it(tmp_path: Path) -> None:
    own, further = tmp_path / "lib", tmp_path / "further"
    for file in (own / "hstore.so", further / "other.so"):
        file.parent.mkdir()
        file.touch()
    places = Places(own, ("$libdir", str(further)))
    for name in ("$libdir/hstore", "hstore", "hstore.so", "other", str(further / "other.so")):
        assert places.has(name), name
    for name in ("$libdir/nowhere", "nowhere", str(tmp_path / "x.so")):
        assert not places.has(name), name


async def unfit(pair: Pair) -> str:
    upstream = pair.primary.upstream("b", pair.identifier)
    return "; ".join(await pair.backup.engine.unfit(upstream))


async def restart_with(site: Site, config: PostgresConfig) -> None:
    site.config = config
    await site.restart_agent()


@pytest.mark.postgres
async def test_what_the_primary_recorded_and_installed_is_held_against_the_standbys_host(
    pair: Pair,
) -> None:
    assert await unfit(pair) == ""
    await pair.primary.sql(
        "UPDATE pg_database SET datcollversion = '0.1' WHERE datname = 'template1'"
    )
    await pair.primary.sql("UPDATE pg_extension SET extname = 'nowhere' WHERE extname = 'plpgsql'")
    await pair.primary.sql(
        "UPDATE pg_proc SET probin = '$libdir/no_such' WHERE proname = 'plpgsql_validator'"
    )
    await pair.caught_up()
    found = await unfit(pair)
    assert "database template1: its collation was made with version 0.1, this host has" in found
    assert "database postgres: extension nowhere is installed at the upstream" in found
    assert "database postgres: library $libdir/no_such is used at the upstream" in found


@pytest.mark.postgres
async def test_a_collation_that_something_uses_is_compared(pair: Pair) -> None:
    await pair.primary.sql('CREATE COLLATION public.ours FROM "C"')
    await pair.primary.sql("UPDATE pg_collation SET collversion = '0.1' WHERE collname = 'ours'")
    await pair.caught_up()
    assert await unfit(pair) == ""
    await pair.primary.sql("CREATE TABLE public.t (name text COLLATE public.ours)")
    await pair.caught_up()
    found = await unfit(pair)
    assert "collation public.ours was made with version 0.1" in found


@pytest.mark.postgres
async def test_a_tablespace_outside_the_data_directory_makes_a_standby_unfit(
    pair: Pair, directory: Path
) -> None:
    place = directory / "fast"
    place.mkdir(mode=0o700)
    await pair.primary.sql("ALTER ROLE saling SET allow_in_place_tablespaces = on")
    await pair.primary.sql("CREATE TABLESPACE inside LOCATION ''")
    await pair.caught_up()
    assert await unfit(pair) == ""
    await pair.primary.sql(f"CREATE TABLESPACE fast LOCATION '{place}'")
    await pair.caught_up()
    found = await unfit(pair)
    assert f"tablespace fast ({place}): stands outside the data directory" in found
    assert "move what is in it to pg_default" in found


@pytest.mark.postgres
async def test_a_primary_restarted_with_more_connections_makes_its_standby_unfit(
    pair: Pair,
) -> None:
    primary = pair.primary
    await primary.engine.stop(30_000)
    more = replace(primary.config, settings={"max_connections": "150"})
    await restart_with(primary, more)
    await primary.lease()
    await primary.engine.start_primary(30_000)

    async def told() -> bool:
        return "max_connections: 100 here, 150 at the upstream" in await unfit(pair)

    await until(told, "the comparison names max_connections")


@pytest.mark.postgres
async def test_an_upstream_that_does_not_let_the_role_in_leaves_it_untold(pair: Pair) -> None:
    await pair.primary.sql("ALTER ROLE saling_rewind NOLOGIN")
    with pytest.raises(EngineBusy, match="does not tell its settings to saling_rewind"):
        await unfit(pair)


@pytest.mark.postgres
async def test_a_password_is_rotated_while_replication_runs_and_a_copy_is_made_with_it(
    pair: Pair,
) -> None:
    primary, backup = pair.primary, pair.backup
    receiver = "SELECT pid FROM pg_stat_wal_receiver WHERE status = 'streaming'"
    streams = await backup.sql(receiver)
    assert streams
    primary.config.password_file.write_text("a new: pass\\word\n")
    await primary.engine.upkeep()
    await backup.engine.upkeep()
    await pair.caught_up()
    assert await backup.sql(receiver) == streams
    assert await unfit(pair) == ""
    await primary.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_replication")

    async def again() -> bool:
        return await backup.sql(receiver) not in (None, streams)

    await until(again, "the standby comes back with the new password")
    assert "a new: pass" not in primary.config.log.read_text()
    await backup.engine.stop(30_000)
    backup.config.data.rename(backup.config.data.with_name("gone"))
    upstream = primary.upstream("b", pair.identifier)
    await backup.engine.seed(upstream, lambda _: None)
    await backup.engine.start_standby(upstream)
    await backup.observed(streaming=True)


@pytest.mark.postgres
async def test_half_a_password_file_changes_nothing(pair: Pair) -> None:
    passfile = pair.backup.config.passfile.read_text()
    pair.backup.config.password_file.write_text("")
    with pytest.raises(EngineError, match="one line, not empty"):
        await pair.backup.engine.upkeep()
    assert pair.backup.config.passfile.read_text() == passfile


@pytest.mark.postgres
async def test_the_dbas_rules_count_behind_ours_and_are_taken_up_when_they_change(
    pair: Pair,
) -> None:
    primary = pair.primary
    await primary.sql("CREATE ROLE app LOGIN PASSWORD 'x'")
    hba = primary.config.data / "pg_hba.conf"
    hba.write_text("host all all 127.0.0.1/32 trust\nhost all app ::1/128 reject\n")
    theirs = hba.read_text()
    await primary.engine.upkeep()
    await primary.engine.guard.signal("SIGHUP")

    async def read() -> bool:
        rules = "SELECT count(*) FROM pg_hba_file_rules WHERE user_name = '{app}'"
        return await primary.sql(rules) == 1

    await until(read, "the rules in force are the DBA's too")
    errors = "SELECT count(*) FROM pg_hba_file_rules WHERE error IS NOT NULL"
    assert await primary.sql(errors) == 0
    assert hba.read_text() == theirs
