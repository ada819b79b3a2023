"""The agent's own file: mistakes, defaults, and where its paths start."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from config.agentcheck import FULL_DISK_BYTES
from config.loader import load_agent, load_topology
from config.problems import ConfigError, Problem
from config.validate import Report
from controller.core.moment.disks import PROMOTION_NEEDS_BYTES

Judge = Callable[[dict[str, Any] | str], Report]
Spoil = Callable[..., dict[str, Any]]
Said = Callable[[Report, str], Problem]


def test_the_small_agent_file_is_clean(judge: Judge, agent: Spoil) -> None:
    """What the other tests spoil is whole."""
    report = judge(agent())
    assert (report.kind, report.problems, report.exit_code) == ("agent", (), 0)


@pytest.mark.parametrize(
    ("changes", "path", "message"),
    [
        ({"agent": "controller"}, "agent", "controller's own name"),
        ({"brokers": []}, "brokers", "at least 1"),
        ({"brokers": "embedded"}, "brokers", "a list is wanted"),
        ({"tls": None}, "tls", "blank"),
        ({"reach": {"x": "127.0.0.1:1"}}, "reach.x", "no port"),
        ({"reach": {"a:1": "b"}}, "reach.a:1", "no port"),
        ({"services.1.name": "paspor"}, "services[1].name", "duplicate service name"),
        ({"services.1.listen": "127.0.0.1:5432"}, "services[1].listen", "duplicate address"),
        ({"services.1.listen": "127.0.0.1:8701"}, "services[1].listen", "duplicate address"),
        (
            {"services.1.data_directory": "paspor/data"},
            "services[1].data_directory",
            "duplicate directory",
        ),
        (
            {"services.0.socket_directory": "/run/" + "x" * 100},
            "services[0].socket_directory",
            "at most 107",
        ),
        (
            {"services.0.quarantine_directory": "paspor/data/q"},
            "services[0].quarantine_directory",
            "lies in the data directory",
        ),
        ({"services.0.data_directory": "/"}, "services[0].data_directory", "whole file system"),
        (
            {"services.0.socket_directory": "/run/saling/../saling/pajak"},
            "services[1].socket_directory",
            "duplicate socket directory",
        ),
        ({"services.0.quarantine": "all"}, "services[0].quarantine", "one of the choices"),
        ({"services.0.old_copies": "no"}, "services[0].old_copies", "one of the choices"),
        ({"services.0.seed_rate": "32MiB"}, "services[0].seed_rate", "a size a second"),
        (
            {"services.0.settings": {"max_connections": 300}},
            "services[0].settings.max_connections",
            "reads this as 300",
        ),
        (
            {"services.0.settings": {"a b": "x"}},
            "services[0].settings.a b",
            "no name of a setting",
        ),
        ({"services.0.replication_user": "x; drop"}, "services[0].replication_user", "choices"),
        ({"version": 7}, "version", "newer Saling"),
        ({"services.0.fences": {"nftables": False}}, "services[0].fences.nftables", "choices"),
        (
            {"services.0.fences": {"watchdog": "required", "watchdog_device": "dev/watchdog"}},
            "services[0].fences.watchdog_device",
            "no path from the root",
        ),
        ({"services.0.fences": {"nfables": "off"}}, "services[0].fences.nfables", "unknown"),
        (
            {
                "services.0.fences": {"watchdog": "required"},
                "services.1.fences": {"watchdog": "if_present"},
            },
            "services[1].fences.watchdog_device",
            "watchdog of service paspor",
        ),
    ],
)
def test_mistakes_in_an_agent_file_are_named(
    judge: Judge, agent: Spoil, said: Said, changes: dict[str, Any], path: str, message: str
) -> None:
    """One mistake, one finding at its place."""
    report = judge(agent(changes))
    assert report.exit_code == 2
    assert message in said(report, path).message


@pytest.mark.parametrize(
    ("changes", "path", "message"),
    [
        ({"services.0.disk_floor": "255MiB"}, "services[0].disk_floor", "promoted all the same"),
        (
            {"services.0.fences": {"watchdog_device": "/dev/watchdog1"}},
            "services[0].fences.watchdog_device",
            "the watchdog is off",
        ),
    ],
)
def test_what_helps_nobody_in_an_agent_file_is_warned_of(
    judge: Judge, agent: Spoil, said: Said, changes: dict[str, Any], path: str, message: str
) -> None:
    report = judge(agent(changes))
    assert report.errors == ()
    assert message in said(report, path).message


def test_a_floor_is_warned_of_where_the_centre_calls_a_disk_full(
    judge: Judge, agent: Spoil
) -> None:
    assert FULL_DISK_BYTES == PROMOTION_NEEDS_BYTES
    assert judge(agent({"services.0.disk_floor": "256MiB"})).problems == ()


def test_agent_files_come_out_with_defaults_and_absolute_paths(
    tmp_path: Path, agent: Spoil
) -> None:
    """Relative paths start at the file."""
    file = tmp_path / "agent.yaml"
    reach = {"10.0.0.1:8701": "127.0.0.1:9001"}
    file.write_text(yaml.safe_dump(agent({"reach": reach})), encoding="utf-8")
    got = load_agent(file).value
    service = got.service("paspor")
    assert service.data_directory == tmp_path / "paspor" / "data"
    assert service.seed_rate_bytes_s == 32 * 2**20
    assert service.replication_user == "saling_replication"
    assert service.binaries is None
    assert got.reached("10.0.0.1:8701") == "127.0.0.1:9001"
    assert got.reached("10.0.0.2:8701") == "10.0.0.2:8701"


def test_all_settings_of_a_service_are_judged_though_one_is_malformed(
    judge: Judge, agent: Spoil
) -> None:
    settings = {"Bad-Name": "1", "port": 5, "wal_level": "minimal", "hba_file": "x", "a": "b\tc"}
    report = judge(agent({"services.0.settings": settings}))
    named = {problem.path.rpartition(".")[2] for problem in report.problems}
    assert named == set(settings)
    assert "pattern" not in report.text()


def test_no_words_of_a_library_come_through(judge: Judge, topology: Spoil) -> None:
    spoiled = {"services.0.name": "X X", "cluster.name": "", "journal.keep": 0, "pairs.0.sites": []}
    text = judge(topology(spoiled)).text()
    for words in ("default factory", "String should", "Input should", "Tuple should"):
        assert words not in text
    assert "services[0].name" in text
    assert "services[0].uid" not in text


def test_a_file_of_the_other_kind_is_one_error(tmp_path: Path, agent: Spoil) -> None:
    file = tmp_path / "agent.yaml"
    file.write_text(yaml.safe_dump(agent()), encoding="utf-8")
    with pytest.raises(ConfigError) as raised:
        load_topology(file)
    assert [problem.message for problem in raised.value.problems] == [
        "this is an agent's file, not a topology"
    ]
