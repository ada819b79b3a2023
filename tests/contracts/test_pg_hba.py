"""Our pg_hba.conf: ours first, the DBA's unchanged."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from agents.engines.pg_hba import hba_text, our_rules, with_absolute_names
from agents.engines.pg_settings import PostgresConfig, UpstreamTls

THEIRS = "host all all 10.0.0.0/8 scram-sha-256\n"


@pytest.fixture
def config(tmp_path: Path) -> PostgresConfig:
    return PostgresConfig(
        service="orders",
        data=tmp_path / "data",
        run=tmp_path / "run",
        binaries=Path("/bin"),
        listen="127.0.0.1:5432",
        password_file=tmp_path / "password",
        dba_config=tmp_path / "their files" / "postgresql.conf",
    )


@pytest.mark.parametrize("major", [16, 17, 18])
def test_a_version_that_can_includes_the_dbas_file_after_our_rules(
    config: PostgresConfig, major: int
) -> None:
    lines = hba_text(config, major).splitlines()
    assert lines[1:-1] == our_rules(config)
    assert lines[-1] == f'include_if_exists "{config.dba_hba}"'


def test_for_postgresql_15_the_dbas_text_is_copied_behind_our_rules(
    config: PostgresConfig,
) -> None:
    assert hba_text(config, 15).splitlines()[-1] == f"# there is no {config.dba_hba}"
    config.dba_hba.parent.mkdir()
    config.dba_hba.write_text(THEIRS)
    assert hba_text(config, 15).rstrip().endswith(THEIRS.rstrip())
    assert config.dba_hba.read_text() == THEIRS


def test_a_copied_list_of_names_is_found_where_it_was(tmp_path: Path) -> None:
    text = "host @some,other,@more all 10.0.0.0/8 md5\nhost @/etc/x all all md5\n"
    assert with_absolute_names(text, Path("/etc/pg")) == (
        'host @"/etc/pg/some",other,@"/etc/pg/more" all 10.0.0.0/8 md5\nhost @/etc/x all all md5\n'
    )


def test_the_last_of_our_rules_refuses_our_roles_everything_else(config: PostgresConfig) -> None:
    ours = "saling,saling_replication,saling_rewind,saling_probe"
    assert our_rules(config)[-2:] == [
        f"local all,replication {ours} reject",
        f"host all,replication {ours} all reject",
    ]


def test_with_tls_nobody_replicates_in_the_clear(config: PostgresConfig) -> None:
    plain = UpstreamTls(authority=Path("/ca"))
    rules = our_rules(replace(config, tls=plain))
    assert "hostssl replication saling_replication all scram-sha-256" in rules
    shown = UpstreamTls(authority=Path("/ca"), certificate=Path("/c"), key=Path("/k"))
    rules = our_rules(replace(config, tls=shown))
    assert "hostssl all saling_rewind all scram-sha-256 clientcert=verify-ca" in rules
