"""Saling's roles can do what they are for and nothing else, on real servers."""

from __future__ import annotations

import asyncio
from pathlib import Path

import asyncpg
import pytest
import structlog

from agents.core.model import Durable, Replica
from agents.core.observation import Observation
from agents.doctor.engine import running_findings
from agents.doctor.findings import Level
from agents.engines.pg_roles import LACKING, Passwords, fits, provision_sql, scram_verifier
from agents.replica.jobs import Fresh
from agents.replica.upkeep import Upkeep
from protocol.messages import Role
from tests.contracts.conftest import MakeSite, Pair, Site, until

PASSWORD = "correct horse: battery\\staple"

ALLOWED = [
    ("saling_probe", "SELECT count(*) FROM saling.probe"),
    ("saling_probe", "INSERT INTO saling.probe VALUES ('x', 1, now())"),
    ("saling_probe", "UPDATE saling.probe SET number = 2"),
    ("saling_probe", "SELECT current_setting('primary_conninfo')"),
    ("saling_probe", "SELECT system_identifier FROM pg_control_system()"),
    ("saling_rewind", "SELECT pg_ls_dir('pg_wal', true, false)"),
    ("saling_rewind", "SELECT pg_stat_file('PG_VERSION', true)"),
    ("saling_rewind", "SELECT pg_read_binary_file('PG_VERSION')"),
    ("saling_rewind", "SELECT pg_read_binary_file('PG_VERSION', 0, 1, true)"),
    ("saling_rewind", "CHECKPOINT"),
    ("saling_rewind", "SELECT current_setting('shared_preload_libraries')"),
]
DENIED = [
    ("saling_probe", "CREATE TABLE public.t ()"),
    ("saling_probe", "DELETE FROM saling.probe"),
    ("saling_probe", "DROP TABLE saling.probe"),
    ("saling_probe", "CREATE TABLE saling.t ()"),
    ("saling_probe", "CREATE ROLE x"),
    ("saling_probe", "CHECKPOINT"),
    ("saling_probe", "SELECT pg_read_binary_file('PG_VERSION')"),
    ("saling_probe", "SELECT rolpassword FROM pg_authid"),
    ("saling_probe", "SELECT secret FROM public.theirs"),
    ("saling_rewind", "SELECT count(*) FROM saling.probe"),
    ("saling_rewind", "SELECT secret FROM public.theirs"),
    ("saling_rewind", "SELECT rolpassword FROM pg_authid"),
    ("saling_rewind", "CREATE TABLE public.t ()"),
    ("saling_rewind", "ALTER SYSTEM SET work_mem = '1MB'"),
    ("saling_rewind", "SELECT pg_create_physical_replication_slot('x')"),
    ("saling_rewind", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"),
]
COMING = [
    ("saling", "tcp", "postgres"),
    ("saling_probe", "tcp", "postgres"),
    ("saling_replication", "tcp", "postgres"),
    ("saling_replication", "socket", "postgres"),
    ("saling_rewind", "socket", "postgres"),
    ("saling_probe", "socket", "template1"),
]


async def connected(site: Site, user: str, way: str, database: str) -> asyncpg.Connection:
    host = "127.0.0.1" if way == "tcp" else str(site.config.sockets)
    return await asyncpg.connect(
        host=host, port=site.config.port, user=user, database=database, password=PASSWORD
    )


async def as_role(site: Site, user: str) -> asyncpg.Connection:
    return await connected(site, user, "socket" if user == "saling_probe" else "tcp", "postgres")


@pytest.mark.postgres
async def test_each_role_can_do_what_it_is_for_and_nothing_else(
    make_site: MakeSite, template: Path
) -> None:
    site = make_site("a")
    await site.start_as_primary(template)
    await site.sql("CREATE TABLE public.theirs (secret text)")
    for user, statement in ALLOWED:
        connection = await as_role(site, user)
        await connection.execute(statement)
        await connection.close()
    for user, statement in DENIED:
        connection = await as_role(site, user)
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(statement)
        await connection.close()
    for user, way, database in COMING:
        with pytest.raises(asyncpg.InvalidAuthorizationSpecificationError, match=r"reject|hba"):
            await connected(site, user, way, database)
    assert await site.sql(LACKING) == []


@pytest.mark.postgres
async def test_the_probes_connections_are_those_of_the_least_role(
    make_site: MakeSite, template: Path
) -> None:
    site = make_site("a")
    await site.start_as_primary(template)
    await site.engine.probe(10_000)
    await site.engine.observe()
    users = (
        "SELECT array_agg(usename::text) FROM pg_stat_activity WHERE application_name = 'saling'"
    )
    assert await site.sql(users) == ["saling_probe", "saling_probe"]


@pytest.mark.postgres
async def test_when_all_connections_are_taken_the_probe_takes_the_superusers(
    make_site: MakeSite, template: Path
) -> None:
    site = make_site("a")
    await site.start_as_primary(template)
    await site.sql("CREATE ROLE app LOGIN PASSWORD 'x'")
    await site.sql("ALTER ROLE saling_probe CONNECTION LIMIT 0")
    await site.restart_agent()
    assert (await site.engine.probe(10_000)).position_bytes > 0
    assert (await site.engine.observe()).system_identifier


@pytest.mark.postgres
async def test_a_cluster_of_an_older_version_gets_what_it_lacks_and_loses_what_is_too_much(
    pair: Pair,
) -> None:
    primary = pair.primary
    await primary.sql("DROP OWNED BY saling_rewind")
    await primary.sql("DROP ROLE saling_rewind")
    await primary.sql("GRANT pg_checkpoint TO saling_replication")
    await primary.sql("GRANT EXECUTE ON FUNCTION pg_read_binary_file(text) TO saling_replication")
    await primary.sql("REVOKE ALL ON saling.probe FROM saling_probe")
    await primary.restart_agent()
    assert (await primary.engine.probe(10_000)).position_bytes > 0
    lacking = await primary.sql(LACKING)
    assert isinstance(lacking, list)
    assert [line.split(":")[0] for line in lacking] == ["saling_rewind", "saling_probe"]
    await primary.engine.upkeep()
    assert await primary.sql(LACKING) == []
    assert not await primary.sql(
        "SELECT pg_has_role('saling_replication', 'pg_checkpoint', 'USAGE')"
    )
    verifier = "SELECT rolpassword FROM pg_authid WHERE rolname = 'saling_rewind'"
    before = await primary.sql(verifier)
    await primary.engine.upkeep()
    assert await primary.sql(verifier) == before
    await pair.caught_up()
    assert await pair.backup.sql(LACKING) == []


@pytest.mark.postgres
async def test_a_lock_that_keeps_roles_from_being_set_is_told_and_no_verifier_with_it(
    make_site: MakeSite, template: Path
) -> None:
    site = make_site("a")
    await site.start_as_primary(template)
    await site.engine.upkeep()
    await site.sql("ALTER SYSTEM SET lock_timeout = '50ms'")
    await site.sql("SELECT pg_reload_conf()")
    site.config.password_file.write_text("another\n")
    holder = await connected(site, "saling", "socket", "postgres")
    await holder.execute("BEGIN; ALTER ROLE saling_rewind CONNECTION LIMIT 5")
    replica = Replica(
        "a", "orders", "uid", "life", 0, Durable(), observation=Observation(role=Role.PRIMARY)
    )
    fresh = Fresh()
    fresh.guarded = True
    upkeep = Upkeep("orders", site.engine, lambda: replica, fresh)
    with structlog.testing.capture_logs() as logged:
        task = asyncio.create_task(upkeep.run())

        async def told() -> bool:
            return bool(upkeep.problem)

        await until(told, "the upkeep says what is the matter")
        task.cancel()
        await asyncio.wait([task])
    holder.terminate()
    why = "roles and passwords cannot be set: canceling statement due to lock timeout"
    assert upkeep.problem == f"passwords and roles: {why}"
    assert why in str(logged)
    for text in (upkeep.problem, str(logged), site.config.log.read_text()):
        assert "SCRAM-SHA-256" not in text
        assert "NOSUPERUSER" not in text


def test_what_is_stored_of_a_password_fits_it_alone_and_does_not_hold_it() -> None:
    verifier = scram_verifier("swordfish")
    assert fits(verifier, "swordfish")
    assert not fits(verifier, "swordfisH")
    assert not fits(None, "swordfish")
    assert not fits("md5abc", "swordfish")
    made = provision_sql(Passwords(replication="swordfish", rewind="anchovy"))
    assert "swordfish" not in made
    assert "anchovy" not in made


@pytest.mark.postgres
async def test_the_doctor_asks_a_running_engine_and_names_what_is_wrong(pair: Pair) -> None:
    primary = pair.primary
    (well,) = await running_findings("orders", primary.config)
    assert well.level is Level.OK
    await primary.sql("REVOKE pg_checkpoint FROM saling_rewind")
    await primary.sql("ALTER SYSTEM SET wal_sender_timeout = '1h'")
    primary.config.password_file.write_text("another\n")
    found = [f.found for f in await running_findings("orders", primary.config)]
    assert len(found) == 3, found
    assert found[0].startswith("roles lack: saling_rewind")
    assert "password" in found[1]
    assert found[2].startswith("ALTER SYSTEM sets wal_sender_timeout")
    await primary.engine.upkeep()
    found = [f.found for f in await running_findings("orders", primary.config)]
    assert len(found) == 2, found
