"""`saling reload`: validated, compared, asked of the rules; whole, or the old stays."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
import yaml
from aiohttp.test_utils import TestClient, TestServer

from config.loader import load_topology
from config.topology import Topology
from controller.core.model import Phase
from controller.inbox import Busy, RulesFailed
from controller.journal import files, numbered
from controller.metrics.exporter import Metrics
from controller.metrics.own import configuration
from controller.reload.reload import Reloads, digest
from controller.reload.risks import risks
from controller.replay import replay
from controller.specs import Wish
from controller.stores.base import StoreFailed
from controller.web.app import create_app
from controller.web.configuring import Configuring
from tests.controller.cluster import Cluster, service, write_key
from tests.controller.desk import Desk

SITI = Wish("siti", "a drill")


class Reloading:
    """A runtime that turns, and its file."""

    def __init__(self, desk: Desk) -> None:
        self.desk, self.cluster = desk, desk.cluster
        self.reloads = Reloads(load_topology(desk.cluster.config))
        self.declared: list[list[str]] = []
        desk.runtime._configuration = lambda: self.reloads.status
        self.reloads.attach(desk.runtime.configure, self._in_force, lambda: desk.runtime.status)

    def _in_force(self, topology: Topology) -> None:
        self.declared.append([agent.id for agent in topology.agents])

    def edit(self, **parts: Any) -> None:
        """Write the file anew, with some parts of it as here."""
        known = yaml.safe_load(self.cluster.config.read_text())
        self.cluster.config.write_text(yaml.safe_dump(known | parts, sort_keys=False))

    def content(self) -> dict[str, Any]:
        loaded: dict[str, Any] = yaml.safe_load(self.cluster.config.read_text())
        return loaded


@pytest.fixture
def reloading(turning: Desk) -> Reloading:
    return Reloading(turning)


def sentences(told: Any) -> list[str]:
    return [f"{change.kind} {change.name}: {change.text}" for change in told.changes]


async def test_a_file_that_says_what_is_in_force_changes_nothing(reloading: Reloading) -> None:
    told = await reloading.reloads.reload(SITI)
    assert (told.applied, told.changes) == (True, ())
    assert told.text == "the file says what is in force"


async def test_another_address_of_a_primary_and_another_key_of_an_agent_that_is_heard_are_warned_of(
    reloading: Reloading,
) -> None:
    primary = reloading.desk.state.services["paspor"].record.primary
    old = reloading.desk.runtime.status.topology
    new = old.model_copy(deep=True)
    status = replace(reloading.desk.runtime.status, heard_ms={primary: 10**12}, now_ms=10**12)
    assert risks(reloading.cluster.config, old, new, status) == ()
    agents = tuple(a.model_copy(update={"public_key": "x"}) for a in old.agents)
    copies = tuple(
        r.model_copy(update={"address": "10.9.9.9:5432"}) for r in old.services[0].replicas
    )
    moved = old.services[0].model_copy(update={"replicas": copies})
    new = old.model_copy(update={"agents": agents, "services": (moved, *old.services[1:])})
    told = risks(reloading.cluster.config, old, new, status)
    assert [one.subject for one in told] == [f"agent {primary}", "service paspor"]
    assert all(one.severity == "warning" for one in told)


async def test_another_bound_counts_at_once_and_is_told_in_the_history(
    reloading: Reloading,
) -> None:
    services = reloading.content()["services"]
    services[0]["loss_bound"] = "4MiB"
    reloading.edit(services=services)
    told = await reloading.reloads.reload(SITI)
    assert told.applied
    assert sentences(told) == [
        "service paspor: loss_bound: from 16777216 to 4194304; counts at once, also in a "
        "countdown that is under way"
    ]
    spec = reloading.desk.state.services["paspor"].spec
    assert spec.loss_bound_bytes == 4 * 2**20
    assert reloading.desk.runtime.status.topology.services[0].loss_bound_bytes == 4 * 2**20


async def test_links_are_compared_told_and_in_force_at_once(reloading: Reloading) -> None:
    between = {"between": ["batam", "jabodetabek"]}
    first = [
        between | {"name": "north", "shared_risk_links": ["x"]},
        between | {"name": "south", "shared_risk_links": ["y", "z"]},
    ]
    reloading.edit(links=first)
    before = reloading.desk.state
    told = await reloading.reloads.reload(SITI)
    end = "; named at once where the link is cut, and changes nothing else"
    assert sentences(told) == [
        f"link batam <-> jabodetabek north: is new over x{end}",
        f"link batam <-> jabodetabek south: is new over y, z{end}",
    ]
    specs = reloading.desk.state.nation.link_specs
    assert [(one.name, one.shared_risk) for one in specs] == [
        ("north", ("x",)),
        ("south", ("y", "z")),
    ]
    turned = {"between": ["jabodetabek", "batam"], "name": "south", "shared_risk_links": ["y"]}
    reloading.edit(links=[turned])
    told = await reloading.reloads.reload(SITI)
    assert sentences(told) == [
        f"link batam <-> jabodetabek south: shared_risk_links: from y, z to y{end}",
        f"link batam <-> jabodetabek north: is taken out{end}",
    ]
    assert len(reloading.desk.state.nation.link_specs) == 1
    records = {uid: one.record for uid, one in reloading.desk.state.services.items()}
    assert records == {uid: one.record for uid, one in before.services.items()}


async def test_a_dry_run_says_the_same_and_changes_nothing(reloading: Reloading) -> None:
    services = reloading.content()["services"]
    services[0]["tier"] = "strategis"
    reloading.edit(services=services)
    before = reloading.desk.state.services["paspor"].spec
    told = await reloading.reloads.reload(Wish("siti", dry_run=True))
    assert (told.applied, told.dry_run, len(told.changes)) == (False, True, 1)
    assert reloading.desk.state.services["paspor"].spec == before
    assert reloading.reloads.status.tried_at_ms == 0
    assert reloading.declared == []


async def test_a_file_with_an_error_leaves_the_old_one_in_force_and_names_file_line_and_key(
    reloading: Reloading,
) -> None:
    before = reloading.desk.runtime.status.topology
    reloading.cluster.change("tier: tinggi", "tier: sedang")
    told = await reloading.reloads.reload(SITI)
    assert not told.applied
    finding = told.findings[0]
    assert finding.key == "services[0].tier"
    text = reloading.cluster.config.read_text().splitlines()
    assert text[finding.line - 1].strip() == "tier: sedang"
    assert told.file == str(reloading.cluster.config)
    assert reloading.desk.runtime.status.topology is before
    failed = reloading.reloads.status.failed
    assert f"line {finding.line}: services[0].tier" in failed
    assert reloading.reloads.status.tried_by == "siti"


async def test_a_reload_after_a_failed_one_clears_it(reloading: Reloading) -> None:
    reloading.cluster.change("tier: tinggi", "tier: sedang")
    await reloading.reloads.reload(SITI)
    reloading.cluster.change("tier: sedang", "tier: rendah")
    told = await reloading.reloads.reload(SITI)
    assert told.applied
    known = reloading.reloads.status
    assert (known.failed, known.sha256) == ("", digest(reloading.cluster.config))


async def test_what_the_rules_refuse_is_said_and_nothing_else_of_the_file_is_taken(
    reloading: Reloading,
) -> None:
    services = reloading.content()["services"]
    services[0]["tier"] = "rendah"
    reloading.edit(services=services[:1])
    told = await reloading.reloads.reload(SITI)
    assert not told.applied
    assert "service pajak is not begun by this configuration" in told.unmet[0]
    assert reloading.desk.state.services["paspor"].spec.tier == "tinggi"
    assert "pajak" in reloading.reloads.status.failed


async def test_what_needs_a_restart_is_said_and_kept_and_the_rest_is_taken(
    reloading: Reloading,
) -> None:
    content = reloading.content()
    content["controller"]["listen"] = "127.0.0.1:9"
    content["controller"]["report_interval"] = "1s"
    reloading.edit(controller=content["controller"], store={"kind": "sqlite", "path": "other.db"})
    told = await reloading.reloads.reload(SITI)
    assert told.applied
    assert told.waits_for_restart == ("controller.listen", "store")
    assert sentences(told) == [
        "cluster : controller.report_interval: from 500 to 1000; in force at once"
    ]
    topology = reloading.desk.runtime.status.topology
    assert topology.controller.listen == reloading.cluster.listen
    assert topology.controller.report_interval_ms == 1000
    assert reloading.reloads.status.waits_for_restart == ("controller.listen", "store")
    again = await reloading.reloads.reload(SITI)
    assert again.waits_for_restart == ("controller.listen", "store")


async def test_the_file_of_another_cluster_is_refused(reloading: Reloading) -> None:
    reloading.edit(cluster={"name": "Test", "uid": "c2"})
    told = await reloading.reloads.reload(SITI)
    assert not told.applied
    assert "the file of cluster c2, not of c1" in told.text


async def test_a_new_site_with_a_new_service_is_begun_while_the_controller_leads(
    reloading: Reloading,
) -> None:
    content = reloading.content()
    new = []
    for site in ("ikn", "labuan-bajo"):
        content["sites"].append({**content["sites"][0], "id": site})
        key = write_key(reloading.cluster.directory / f"{site}.key")
        new.append({"id": f"{site}-1", "site": site, "address": f"{site}:1", "public_key": key})
    reloading.edit(
        sites=content["sites"],
        pairs=[*content["pairs"], {"sites": ["ikn", "labuan-bajo"]}],
        agents=[*content["agents"], *new],
        services=[*content["services"], service("visa", "ikn", "labuan-bajo", 40005)],
    )
    told = await reloading.reloads.reload(SITI)
    assert told.applied, told
    assert [s for s in sentences(told) if s.startswith(("site", "agent"))] == [
        "site ikn: is new, active: its agents are expected, and its copies may take over",
        "site labuan-bajo: is new, active: its agents are expected, and its copies may take over",
        "site ikn: and labuan-bajo become a pair",
        "agent ikn-1: is new in ikn: it is heard from now on",
        "agent labuan-bajo-1: is new in labuan-bajo: it is heard from now on",
    ]
    assert "visa" in reloading.desk.store.records().records
    assert reloading.desk.state.services["visa"].record.primary == "ikn-1"
    assert reloading.declared[-1][-2:] == ["ikn-1", "labuan-bajo-1"]
    assert "ikn" in reloading.desk.state.nation.sites


async def test_a_service_is_retired_first_and_taken_out_then(reloading: Reloading) -> None:
    services = reloading.content()["services"]
    services[1]["state"] = "retired"
    reloading.edit(services=services)
    told = await reloading.reloads.reload(SITI)
    assert "is retired" in sentences(told)[0]
    assert list(reloading.desk.state.services) == ["paspor"]
    reloading.edit(services=services[:1])
    assert (await reloading.reloads.reload(SITI)).applied
    services[1]["state"] = "active"
    reloading.edit(services=services)
    assert (await reloading.reloads.reload(SITI)).applied
    assert reloading.desk.record("pajak").revision == 1


async def test_the_journal_of_a_reload_replays_to_the_same(reloading: Reloading) -> None:
    content = reloading.content()
    reloading.edit(services=[*content["services"], service("visa", "batam", "jabodetabek", 40005)])
    await reloading.reloads.reload(SITI)
    reloading.desk.journal.close()
    told = replay(files(reloading.cluster.topology.journal.directory))
    assert told.identical
    lines = [line for file in files(reloading.cluster.topology.journal.directory)
             for _n, _s, line in numbered(file)]  # fmt: skip
    assert any("visa" in str(line) for line in lines)


@pytest.fixture
async def client(reloading: Reloading) -> AsyncIterator[TestClient[Any, Any]]:
    app = create_app(
        reloading.desk.runtime,
        "1.0",
        lambda: b"",
        None,
        more=Configuring(reloading.reloads).routes(),
    )
    one = TestClient(TestServer(app))
    await one.start_server()
    yield one
    await one.close()


async def test_the_api_answers_with_the_changes_or_with_what_is_wrong(
    client: TestClient[Any, Any], reloading: Reloading
) -> None:
    services = reloading.content()["services"]
    services[0]["tier"] = "rendah"
    reloading.edit(services=services)
    async with client.post("/api/v1/reload", json={"by": "siti", "dry_run": True}) as answer:
        body = await answer.json()
        assert (answer.status, body["dry_run"], body["applied"]) == (200, True, False)
        assert body["changes"][0]["name"] == "paspor"
    reloading.edit(services=services[:1])
    async with client.post("/api/v1/reload", json={"by": "siti"}) as answer:
        body = await answer.json()
        assert answer.status == 412
        assert body["unmet"] and "stays" in body["refused"]
    reloading.cluster.config.write_text("version: 1\n")
    async with client.post("/api/v1/reload", json={"by": "siti"}) as answer:
        body = await answer.json()
        assert answer.status == 422
        assert {"error", "where", "mend", "findings"} <= set(body)
    async with client.get("/api/v1/state") as answer:
        known = (await answer.json())["configuration"]
    assert known["last_reload"]["by"] == "siti"
    assert "stays" in known["last_reload"]["failed"]


async def test_metrics_tell_how_the_last_reload_ended(reloading: Reloading) -> None:
    reloading.cluster.change("tier: tinggi", "tier: sedang")
    await reloading.reloads.reload(SITI)
    families = {m.name: m.samples for m in configuration(reloading.reloads.status)}
    assert families["saling_config_last_reload_successful"][0].value == 0
    assert families["saling_config_info"][0].labels["sha256"] != digest(reloading.cluster.config)
    assert Metrics("1.0").render()


async def test_a_protected_service_keeps_its_lease_over_a_reload(reloading: Reloading) -> None:
    await reloading.desk.protect()
    before = reloading.desk.state.services["paspor"]
    services = reloading.content()["services"]
    services[0]["loss_bound"] = "4MiB"
    reloading.edit(services=services)
    assert (await reloading.reloads.reload(SITI)).applied
    after = reloading.desk.state.services["paspor"]
    assert after.record == before.record
    assert after.record.phase is Phase.PROTECTED
    assert after.promise_end_ms == before.promise_end_ms


def test_a_cluster_whose_file_is_gone_has_no_digest(cluster: Cluster) -> None:
    cluster.config.unlink()
    assert digest(cluster.config) == ""


async def test_a_reload_of_a_file_that_is_gone_names_no_key_of_it(reloading: Reloading) -> None:
    reloading.cluster.config.unlink()
    await reloading.reloads.reload(SITI)
    failed = reloading.reloads.status.failed
    assert failed.endswith("stays; there is no such file")


@pytest.mark.parametrize("error", [RulesFailed("boom"), Busy("too much"), StoreFailed("no disk")])
async def test_a_reload_that_raises_is_told_as_the_last_one_that_failed(
    reloading: Reloading, error: Exception
) -> None:
    async def broken(*_: Any) -> Any:
        raise error

    services = reloading.content()["services"]
    services[0]["loss_bound"] = "4MiB"
    reloading.edit(services=services)
    in_force = reloading.reloads.status.sha256
    reloading.reloads._configure = broken
    with pytest.raises(type(error)):
        await reloading.reloads.reload(Wish("siti", dry_run=True))
    assert reloading.reloads.status.tried_at_ms == 0
    with pytest.raises(type(error)):
        await reloading.reloads.reload(SITI)
    status = reloading.reloads.status
    assert (status.tried_by, status.sha256) == ("siti", in_force)
    assert status.failed == f"{error}; the old one stays"
    shown = {metric.name: metric.samples[0].value for metric in configuration(status)}
    assert shown["saling_config_last_reload_successful"] == 0
