"""Every mistake in a topology is refused with file, key, value and mend, all at once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from config.brokers import EmbeddedForm
from config.loader import load_topology
from config.problems import ConfigError, Problem
from config.validate import Report

Judge = Callable[[dict[str, Any] | str], Report]
Spoil = Callable[..., dict[str, Any]]
Said = Callable[[Report, str], Problem]

REPLICA = "services.0.replicas.1."
LEASE = {
    "ttl": "3s",
    "renew": "500ms",
    "fence_budget": "300ms",
    "restart_budget": "1s",
    "drain_budget": "3s",
}
THREE = [
    {"site": site, "agent": agent, "priority": rank, "address": f"10.0.0.{rank}:5432"}
    for rank, (site, agent) in enumerate((("barat", "b"), ("timur", "t"), ("timur", "u")), 1)
]
OWN_LISTEN = {"controller.listen": "10.0.0.5:8700"}
SITI = {"name": "siti", "token_file": "/etc/saling/tokens/siti"}
BUDI = {"name": "budi", "token_file": "/etc/saling/tokens/budi"}
LOOKS = {"name": "dashboard", "token_file": "/etc/saling/tokens/dashboard", "role": "viewer"}
BOTH = {"controller.operators": [SITI, BUDI], "controller.api_token_file": "/etc/saling/token"}


def test_the_small_topology_is_clean(judge: Judge, topology: Spoil) -> None:
    """What the other tests spoil is whole."""
    report = judge(topology())
    assert report.problems == ()
    assert report.exit_code == 0


@pytest.mark.parametrize(
    ("changes", "path", "message"),
    [
        # places
        ({REPLICA + "site": "bandung"}, "services[0].replicas[1].site", "no such site"),
        ({"agents.2.site": "bandung"}, "agents[2].site", "no such site"),
        ({"pairs.0.sites": ["barat", "x"]}, "pairs[0].sites[1]", "no such site"),
        ({REPLICA + "agent": "x-1"}, "services[0].replicas[1].agent", "no such agent"),
        ({REPLICA + "agent": "utara-1"}, "services[0].replicas[1].agent", "stands in utara"),
        ({"agents.2.site": "timur"}, "services[0].replicas[1].agent", "timur has 2 agents"),
        ({REPLICA + "site": "utara"}, "services[0].replicas", "not a pair"),
        ({"services.0.replicas": THREE}, "services[0].replicas", "at most 2"),
        ({REPLICA + "site": "barat"}, "services[0].replicas", "one site"),
        ({REPLICA + "site": "barat"}, "services[0].replicas[1].agent", "duplicate agent"),
        # pairs
        ({"pairs.0.sites": ["barat", "barat"]}, "pairs[0].sites", "paired with itself"),
        ({"pairs.0.sites": ["barat"]}, "pairs[0].sites", "at least 2"),
        ({"pairs.0.sites": ["barat", "timur", "utara"]}, "pairs[0].sites", "at most 2"),
        (
            {"pairs": [{"sites": ["barat", "timur"]}, {"sites": ["utara", "barat"]}]},
            "pairs[1].sites[1]",
            "in two pairs",
        ),
        # identities
        ({"sites.1.id": "barat"}, "sites[1].id", "duplicate site id"),
        ({"agents.1.id": "barat-1"}, "agents[1].id", "duplicate agent id"),
        ({"agents.1.id": "controller"}, "agents[1].id", "controller's own name"),
        ({"agents.1.address": "127.0.0.1:8701"}, "agents[1].address", "duplicate agent address"),
        ({"services.1.name": "paspor"}, "services[1].name", "duplicate service name"),
        ({"services.1.uid": "paspor"}, "services[1].uid", "duplicate service uid"),
        (
            {"services.0.system_identifier": "73", "services.1.system_identifier": "73"},
            "services[1].system_identifier",
            "duplicate system identifier",
        ),
        (
            {"services.1.replicas.1.address": "127.0.0.2:5432"},
            "services[1].replicas[1].address",
            "another engine at this address",
        ),
        ({REPLICA + "priority": 1}, "services[0].replicas[1].priority", "duplicate priority"),
        # leases
        ({"services.0.lease_profile": "quick"}, "services[0].lease_profile", "no such lease"),
        ({"services.0.lease": {**LEASE, "ttl": "1300ms"}}, "services[0].lease.ttl", "too short"),
        ({"services.0.lease": {**LEASE, "ttl": "-3s"}}, "services[0].lease.ttl", "negative"),
        ({"services.0.lease": {**LEASE, "ttl": "9999d"}}, "services[0].lease.ttl", "a year"),
        ({"services.0.lease": {**LEASE, "ttl": 3}}, "services[0].lease.ttl", "without a unit"),
        (
            {"services.0.lease": {**LEASE, "fence_budget": "100ms"}},
            "services[0].lease.fence_budget",
            "less than 300 ms",
        ),
        (
            {"services.0.lease": LEASE, "services.0.lease_profile": "fast"},
            "services[0].lease",
            "at once",
        ),
        ({"lease_profiles": {"fast": LEASE}}, "lease_profiles.fast", "built-in"),
        # brokers
        ({"brokers": []}, "brokers", "at least 1"),
        ({"brokers": "mosquitto"}, "brokers", "not one of the choices"),
        ({"brokers": None}, "brokers", "blank"),
        ({"brokers": [{"url": "http://b:1883"}]}, "brokers[0].url", "no broker's address"),
        ({"brokers": [{"url": "mqtt://b"}]}, "brokers[0].url", "no port"),
        ({"brokers": {"embedded": {"listen": "b"}}}, "brokers.embedded.listen", "no port"),
        (
            {"brokers": [{"url": "mqtts://b:8883", "key": "k.pem"}]},
            "brokers[0]",
            "belong together",
        ),
        # controller and store
        (OWN_LISTEN, "controller.api_token_file", "beyond this machine"),
        (BOTH, "controller.api_token_file", "anybody could claim any name"),
        (
            {"controller.operators": [SITI, {**BUDI, "name": " Si ti "}]},
            "controller.operators",
            "one name twice (siti,  Si ti )",
        ),
        (
            {"controller.operators": [SITI, {**BUDI, "token_file": "/etc/saling/./tokens/siti"}]},
            "controller.operators[1].token_file",
            "duplicate token file",
        ),
        (
            {"controller.operators": [{**SITI, "role": "admin"}]},
            "controller.operators[0].role",
            "not one of the choices",
        ),
        ({"controller.report_interval": "10ms"}, "controller.report_interval", "outside"),
        ({"controller.public_key": "abc"}, "controller.public_key", "base64"),
        ({"controller.signing_key": None}, "controller.signing_key", "blank"),
        ({"store.kind": "etcd"}, "store.kind", "not one of the choices"),
        ({"journal.keep": 0}, "journal.keep", "less than 1"),
        ({"journal.keep": True}, "journal.keep", "whole number"),
        ({"journal.keep": "8"}, "journal.keep", "whole number"),
        # shape
        ({"sites.0.state": "aktif"}, "sites[0].state", "not one of the choices"),
        ({"sites.0.location.latitude": 91}, "sites[0].location.latitude", "more than 90"),
        ({"sites.0.location": [1, 2]}, "sites[0].location", "mapping"),
        ({"sites": {}}, "sites", "a list is wanted"),
        ({"services.0.engine": "oracle"}, "services[0].engine", "not one of the choices"),
        ({"services.0.loss_bound": 16}, "services[0].loss_bound", "without a unit"),
        ({"services.0.backup_loss": "block"}, "services[0].backup_loss", "this one is async"),
        ({"services.0.name": ""}, "services[0].name", "blank"),
        ({"services.0.name": "../etc"}, "services[0].name", "no name"),
        ({"services.0.replicas": []}, "services[0].replicas", "at least 1"),
        ({"services.0.system_identifier": 73}, "services[0].system_identifier", "reads this as 73"),
        ({"services.0.databases": [7]}, "services[0].databases[0]", "reads this as 7"),
        ({"services.0.replcas": []}, "services[0].replcas", "unknown key"),
        ({"cluster.uid": None}, "cluster.uid", "blank"),
        ({"version": "1"}, "version", "not one of the choices"),
    ],
)
def test_mistakes_are_named_where_they_stand(
    judge: Judge, topology: Spoil, said: Said, changes: dict[str, Any], path: str, message: str
) -> None:
    """One mistake, one finding at its place."""
    report = judge(topology(changes))
    assert report.exit_code == 2
    assert message in said(report, path).message


@pytest.mark.parametrize(
    "key", ["version", "cluster", "controller", "store", "journal", "brokers", "sites", "agents"]
)
def test_required_keys_that_are_absent_are_named(
    judge: Judge, topology: Spoil, said: Said, removed: object, key: str
) -> None:
    """With what to add."""
    problem = said(judge(topology({key: removed})), key)
    assert "absent" in problem.message
    assert key in problem.mend


def test_unknown_keys_come_with_the_nearest_known_one(
    judge: Judge, topology: Spoil, said: Said
) -> None:
    """A slip of the finger is told from a wish."""
    problem = said(judge(topology({"services.0.lose_bound": "1MiB"})), "services[0].lose_bound")
    assert problem.mend == "did you mean loss_bound?"
    assert problem.subject == "service paspor"


def test_all_errors_come_at_once(judge: Judge, topology: Spoil) -> None:
    """Of the shape and between entries, in the order of the lines."""
    changes = {
        "services.0.lose_bound": "1MiB",
        "services.0.replicas.0.site": "bandung",
        "services.1.loss_bound": 5,
        "services.1.replicas.1.priority": 1,
        "agents.1.address": "nowhere",
        "agents.2.site": "surabaya",
        "controller.report_interval": "fast",
    }
    report = judge(topology(changes))
    assert {problem.path for problem in report.errors} == {
        "services[0].lose_bound",
        "services[0].replicas[0].site",
        "services[1].loss_bound",
        "services[1].replicas[1].priority",
        "agents[1].address",
        "agents[2].site",
        "controller.report_interval",
    }
    lines = [problem.line for problem in report.problems]
    assert lines == sorted(lines)
    assert lines[0] > 0


def test_files_of_a_later_schema_are_not_judged_by_this_one(
    judge: Judge, topology: Spoil, said: Said
) -> None:
    """One finding, and not a hundred unknown keys."""
    report = judge(topology({"version": 2, "wings": True}))
    assert len(report.problems) == 1
    assert "newer Saling" in said(report, "version").message


def test_words_that_yaml_misreads_are_named_once(judge: Judge, topology: Spoil, said: Said) -> None:
    """The reader's complaint stands; the model does not repeat it."""
    text = yaml.safe_dump(topology()).replace("name: Uji", "name: no").replace("keep: 8", "")
    text = text.replace("priority: 2", "priority: 1:30", 1)
    report = judge(text)
    assert "reads no as false" in said(report, "cluster.name").message
    assert "750" not in report.text() and "the number 90" in report.text()


@pytest.mark.parametrize(
    ("changes", "path", "message"),
    [
        ({"sites.1.state": "suspended"}, "services[0].replicas[1].site", "suspended"),
        ({"controller.failure_domain": "timur"}, "services[0].replicas[1].site", "fence"),
        ({"controller.failure_domain": "barat"}, "services[0].replicas[0].site", "nobody"),
        ({"services.0.peak_rate": "3MiB/s"}, "services[0].loss_bound", "22020096 bytes"),
        ({"brokers": [{"url": "mqtt://b.example:1883"}]}, "brokers[0].url", "unencrypted"),
        ({"services.0.tier": "strategis"}, "controller.operators", "what each says of himself"),
        ({"controller.operators": [SITI, LOOKS]}, "controller.operators", "there is 1"),
        (
            {"services.0.tier": "strategis", "controller.operators": [SITI, LOOKS]},
            "controller.operators",
            "losing data of paspor",
        ),
    ],
)
def test_what_weakens_the_protection_is_a_warning(
    judge: Judge, topology: Spoil, said: Said, changes: dict[str, Any], path: str, message: str
) -> None:
    """It can be loaded, and it is said."""
    report = judge(topology(changes))
    assert report.exit_code == 0, report.text()
    assert report.warnings
    assert message in said(report, path).message


def test_a_service_without_a_backup_is_a_warning(judge: Judge, topology: Spoil, said: Said) -> None:
    """Sites come up one after the other; one must work, and be told."""
    alone = topology()["services"][0]["replicas"][:1]
    report = judge(topology({"services.0.replicas": alone}))
    assert report.exit_code == 0
    assert "no backup" in said(report, "services[0].replicas").message


def test_the_bound_is_compared_with_the_lease_in_use(judge: Judge, topology: Spoil) -> None:
    """A shorter lease needs a smaller bound."""
    changes = {"services.0.peak_rate": "3MiB/s", "services.0.lease_profile": "fast"}
    assert judge(topology(changes)).problems == ()


@pytest.mark.parametrize(
    "changes",
    [
        {"brokers": [{"url": "mqtts://admin:hunter2@b:8883"}]},
        {"brokers": [{"url": "mqtts://b:8883", "password": "hunter2"}]},
        {"controller.api_token": "hunter2"},
        {"cluster.uid": "-----BEGIN PRIVATE KEY-----hunter2"},
        {"controller.signing_key": ["hunter2"]},
    ],
)
def test_secrets_are_never_shown(judge: Judge, topology: Spoil, changes: dict[str, Any]) -> None:
    """Neither as text nor as JSON."""
    report = judge(topology(changes))
    assert report.exit_code == 2
    assert "hunter2" not in report.text() + report.as_json()


def test_syntax_errors_do_not_show_the_line(judge: Judge) -> None:
    """A secret may stand in it."""
    report = judge("a: 1\npassword: 'hunter2\n")
    assert report.exit_code == 2
    assert "hunter2" not in report.text()


def load(tmp_path: Path, data: dict[str, Any]) -> Any:
    """The topology of plain values, through a file."""
    file = tmp_path / "topology.yaml"
    file.write_text(yaml.safe_dump(data), encoding="utf-8")
    return load_topology(file).value


def test_replicas_come_out_with_their_agent(tmp_path: Path, topology: Spoil) -> None:
    """The only agent of the site stands in for the one left out."""
    got = load(tmp_path, topology())
    assert [replica.agent for replica in got.services[0].replicas] == ["barat-1", "timur-1"]
    assert got.services[0].uid == "paspor"
    assert got.partner_site("timur") == "barat"
    assert got.partner_site("utara") is None


def test_the_preferred_primary_comes_first_by_priority(tmp_path: Path, topology: Spoil) -> None:
    """Whatever the order in the file."""
    changes = {"services.0.replicas.0.priority": 9}
    (first, _) = load(tmp_path, topology(changes)).service("paspor").by_priority
    assert first.site == "timur"


def test_relative_paths_start_at_the_file(tmp_path: Path, topology: Spoil) -> None:
    """Wherever the process was started."""
    got = load(tmp_path, topology())
    assert got.store.path == tmp_path / "store.db"
    assert got.controller.signing_key == tmp_path / "c.key"


def test_lease_terms_follow_profile_or_own_numbers(tmp_path: Path, topology: Spoil) -> None:
    """Built in, declared, or inline."""
    changes = {
        "lease_profiles": {"harbour": {**LEASE, "ttl": "4s"}},
        "services.0.lease_profile": "harbour",
        "services.1.lease": LEASE,
    }
    got = load(tmp_path, topology(changes))
    assert [got.lease_terms(service).ttl_ms for service in got.services] == [4000, 3000]


@pytest.mark.parametrize(
    ("brokers", "urls"),
    [
        ("embedded", ["mqtt://127.0.0.1:1883"]),
        ({"embedded": {"listen": "127.0.0.1:1999"}}, ["mqtt://127.0.0.1:1999"]),
        (
            [{"url": "mqtts://a.example:8883"}, {"url": "mqtts://b.example:8883"}],
            ["mqtts://a.example:8883", "mqtts://b.example:8883"],
        ),
    ],
)
def test_brokers_may_be_written_in_three_ways(
    tmp_path: Path, topology: Spoil, brokers: Any, urls: list[str]
) -> None:
    """A word, a mapping, a list."""
    got = load(tmp_path, topology({"brokers": brokers}))
    assert [broker.url for broker in got.broker_list] == urls
    assert (got.embedded_broker is None) == isinstance(brokers, list)
    assert isinstance(got.brokers, EmbeddedForm) == isinstance(brokers, dict)


def test_models_are_frozen_after_loading(tmp_path: Path, topology: Spoil) -> None:
    """What was judged stays what was judged."""
    got = load(tmp_path, topology())
    with pytest.raises(ValueError, match="frozen"):
        got.services[0].name = "other"


def test_the_error_holds_every_problem(tmp_path: Path) -> None:
    """As data and as text."""
    file = tmp_path / "t.yaml"
    file.write_text("version: 1\nsites: []\n", encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_topology(file)
    assert len(caught.value.problems) > 5
    assert str(caught.value).count("mend:") == len(caught.value.problems)


def test_two_people_with_a_token_each_are_told_apart(judge: Judge, topology: Spoil) -> None:
    """Then nothing is to be warned of, and the API may listen beyond this machine."""
    changes = {**OWN_LISTEN, "services.0.tier": "strategis", "controller.operators": [SITI, BUDI]}
    assert judge(topology(changes)).problems == ()
