"""What is refused of a running server, from facts alone."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from agents.adoption.checks import primary_findings, server_findings, standby_findings
from agents.adoption.facts import Facts, Follower
from agents.adoption.host import file_findings
from agents.adoption.plan import Part, Plan, Step
from agents.adoption.provision import with_entry_rules
from agents.adoption.remote import Upstream
from agents.doctor.findings import Finding, Level
from agents.engines.pg_compare import AT_LEAST
from agents.engines.pg_roles import LESSER_USERS, SUPERUSER
from agents.engines.pg_settings import PostgresConfig
from agents.guard.engine import namespaces_allowed
from config.agent import LocalService

SYSTEM = "7300000000000000001"
GOOD = {
    "data_directory": "/data",
    "config_file": "/data/postgresql.conf",
    "hba_file": "/data/pg_hba.conf",
    "ident_file": "/data/pg_ident.conf",
    "port": "5432",
    "listen_addresses": "localhost",
    "unix_socket_directories": "/tmp",
    "wal_level": "replica",
    "max_wal_senders": "10",
    "max_replication_slots": "10",
    "recovery_min_apply_delay": "0",
    "max_slot_wal_keep_size": "4GB",
    "synchronous_standby_names": "",
    "wal_log_hints": "off",
    "data_checksums": "off",
    "max_connections": "100",
    "ssl": "off",
}
FACTS = Facts(
    standby=False,
    system_identifier=SYSTEM,
    major=16,
    position=100 * 2**20,
    sender_host="",
    sender_port=0,
    roles=frozenset({"postgres", SUPERUSER, *LESSER_USERS}),
    probe_table=True,
    logical_slots=0,
    slots=1,
    settings=GOOD,
    followers=(Follower("ikn-1", "saling_replication", True, 100 * 2**20 - 10, "saling_ikn_1"),),
)
UPSTREAM = Upstream(system_identifier=SYSTEM, slot=True, room={"max_connections": "100"})


def plan(**changes: Any) -> Plan:
    service = LocalService.model_validate(
        {
            "name": "paspor",
            "engine": "postgresql",
            "data_directory": "/data",
            "listen": "127.0.0.1:5432",
            "socket_directory": "/run/paspor",
            "client_socket_directories": ["/tmp"],
            "replication_password_file": "/password",
        }
    )
    engine = PostgresConfig(
        service="paspor",
        data=Path("/data"),
        run=Path("/run/paspor"),
        binaries=Path("/bin"),
        listen="127.0.0.1:5432",
        password_file=Path("/password"),
    )
    made = Plan(
        cluster="testing",
        agent="batam-1",
        service=service,
        engine=engine,
        state_directory=Path("/state"),
        part=Part.PRIMARY,
        system_identifier=SYSTEM,
        partner="ikn-1",
        primary_address="10.0.0.1:5432",
    )
    return replace(made, **changes)


def failed(findings: Any) -> list[Finding]:
    return [finding for finding in findings if finding.level is Level.FAIL]


def test_a_server_with_a_tablespace_elsewhere_is_refused_by_its_name() -> None:
    facts = replace(FACTS, tablespaces=("fast (/mnt/fast)",))
    (finding,) = failed(server_findings(plan(), facts))
    assert "fast (/mnt/fast)" in finding.found
    assert "pg_default" in finding.mend


def test_a_sound_primary_is_not_refused() -> None:
    assert failed(server_findings(plan(), FACTS)) == []
    assert failed(primary_findings(plan(), FACTS)) == []


@pytest.mark.parametrize(
    ("setting", "value", "what"),
    [
        ("port", "5433", "address"),
        ("listen_addresses", "*", "address"),
        ("listen_addresses", "localhost, 10.0.0.1", "address"),
        ("unix_socket_directories", "/tmp, /run/postgresql", "clients' sockets"),
        ("hba_file", "/etc/postgresql/16/main/pg_hba.conf", "the DBA's files"),
        ("data_directory", "/elsewhere", "the DBA's files"),
        ("wal_level", "logical", "settings"),
        ("wal_level", "minimal", "settings"),
        ("max_wal_senders", "20", "settings"),
        ("recovery_min_apply_delay", "5min", "settings"),
    ],
)
def test_a_setting_that_would_hurt_is_refused_with_its_mend(
    setting: str, value: str, what: str
) -> None:
    (finding,) = failed(server_findings(plan(), replace(FACTS, settings={**GOOD, setting: value})))
    assert finding.what == what
    assert finding.mend


@pytest.mark.parametrize("value", ["-1", "0", "100TB"])
def test_a_primary_whose_disk_a_slot_could_fill_is_not_prepared(value: str) -> None:
    unbound = replace(FACTS, settings={**GOOD, "max_slot_wal_keep_size": value})
    (finding,) = failed(server_findings(plan(step=Step.PREPARE), unbound))
    assert finding.what == "slot"
    assert f"max_slot_wal_keep_size is {value}" in finding.found
    assert "ALTER SYSTEM SET max_slot_wal_keep_size = '4GB'; SELECT pg_reload_conf()" in (
        finding.mend
    )
    # Before and after --prepare it is told; under Saling the bound is in force.
    (warned,) = [f for f in server_findings(plan(), unbound) if f.level is Level.WARN]
    assert warned.what == "slot"


def test_a_standby_without_a_bound_is_taken_over_for_it_has_no_slot() -> None:
    unbound = {**GOOD, "max_slot_wal_keep_size": "-1"}
    standby = replace(FACTS, standby=True, settings=unbound)
    found = server_findings(plan(part=Part.STANDBY), standby)
    assert [finding for finding in found if finding.what == "slot"] == []


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"major": 14}, "version"),
        ({"standby": True}, "role"),
        ({"system_identifier": "1"}, "system identifier"),
        ({"logical_slots": 1}, "settings"),
    ],
)
def test_another_server_than_was_declared_is_refused(changes: dict[str, Any], what: str) -> None:
    (finding,) = failed(server_findings(plan(), replace(FACTS, **changes)))
    assert finding.what == what


@pytest.mark.parametrize(
    "change",
    [
        {"name": "other"},
        {"role": "postgres"},
        {"slot": ""},
        {"streaming": False},
        {"flushed": 0},
    ],
)
def test_a_primary_without_its_standby_under_saling_close_behind_is_refused(
    change: dict[str, Any],
) -> None:
    facts = replace(FACTS, followers=(replace(FACTS.followers[0], **change),))
    assert [finding.what for finding in failed(primary_findings(plan(), facts))] == ["standby"]
    assert failed(primary_findings(plan(step=Step.PREPARE), facts)) == []


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"problem": "no pg_hba.conf entry"}, "primary"),
        ({"standby": True}, "primary"),
        ({"system_identifier": "1"}, "primary"),
        ({"slot": False}, "primary"),
        ({"room": {"max_connections": "101"}}, "settings"),
    ],
)
def test_a_standby_that_would_not_stream_afterwards_is_refused(
    change: dict[str, Any], what: str
) -> None:
    facts = replace(FACTS, standby=True, sender_host="10.0.0.1", sender_port=5432)
    standby = plan(part=Part.STANDBY)
    assert failed(standby_findings(standby, facts, UPSTREAM)) == []
    (finding,) = failed(standby_findings(standby, facts, replace(UPSTREAM, **change)))
    assert finding.what == what
    lonely = replace(facts, sender_host="", probe_table=False)
    assert {f.what for f in failed(standby_findings(standby, lonely, UPSTREAM))} == {
        "replication",
        "prepared",
    }


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to give a file to another user")
def test_a_key_of_another_user_is_refused_where_the_engine_has_a_user_namespace(
    tmp_path: Path,
) -> None:
    if not namespaces_allowed():
        pytest.skip("no user namespaces here")
    key = tmp_path / "server.key"
    key.touch()
    (tmp_path / "pg_hba.conf").touch()
    here = plan(engine=replace(plan().engine, data=tmp_path))
    facts = replace(FACTS, settings={**GOOD, "ssl": "on", "ssl_key_file": str(key)})
    assert failed(file_findings(here, facts)) == []
    os.chown(key, 12345, 12345)
    (finding,) = failed(file_findings(here, facts))
    assert "install -o" in finding.mend


def test_nobody_becomes_one_of_ours_on_the_sockets_of_the_old_server() -> None:
    rules = with_entry_rules("local all all trust\n", "postgres")
    assert rules.index("local all saling,saling_probe reject") < rules.index("local all all trust")
    assert "local all saling_probe reject" in with_entry_rules("", "saling")
    assert with_entry_rules(rules, "postgres") == rules


@pytest.mark.parametrize("name", AT_LEAST)
def test_what_a_standby_must_have_no_less_of_is_listed_once(root: Path, name: str) -> None:
    lists = re.compile(rf'^ +"{name}",$', flags=re.MULTILINE)
    found = [f.name for f in (root / "agents").rglob("*.py") if lists.search(f.read_text())]
    assert found == ["pg_compare.py"]


@pytest.mark.parametrize("name", AT_LEAST)
def test_a_standby_with_less_of_it_than_its_primary_is_refused(name: str) -> None:
    standby = replace(FACTS, standby=True, sender_host="10.0.0.1", settings={**GOOD, name: "9"})
    primary = replace(UPSTREAM, room={name: "200"})
    found = failed(standby_findings(plan(part=Part.STANDBY), standby, primary))
    assert [finding.found for finding in found if name in finding.found]
