"""A peer stands on the same ground as Saling: its files, its places, its processes."""

from __future__ import annotations

import asyncio
import re
import signal
import subprocess
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml

from lab.base.geography import ARBITER, ROUND_TRIPS_MS
from lab.base.plan import ENGINE_SETTINGS, Plan, Service
from lab.base.processes import Child
from lab.benches.systems import PEERS, systems_of
from lab.peers.install import LOCK
from lab.peers.patroni import Patroni, namespaces, proxies
from lab.peers.patroni_files import (
    ENGINE_PORT,
    TIMINGS,
    Timing,
    etcd_command,
    rest_port,
    write_patroni,
)
from lab.peers.places import ProxyPlaces
from lab.roads.namespaces import why_not
from lab.running.ground import Heard

SITES = ("jabodetabek", "batam")
PORT = 7421


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    return Plan(tmp_path, (Service("paspor", SITES),), binaries=tmp_path)


def test_a_peer_is_measured_by_default_and_as_tight_as_it_may_be() -> None:
    assert [s.profile for peer in PEERS for s in systems_of(peer)] == ["default", "tightest"]
    assert systems_of("") == ()


@pytest.mark.parametrize("timing", TIMINGS, ids=lambda timing: timing.name)
def test_patroni_would_not_change_what_it_is_set_to(timing: Timing) -> None:
    assert timing.loop_wait_s + 2 * timing.retry_timeout_s <= timing.ttl_s
    assert timing.ttl_s >= 20 and timing.loop_wait_s >= 1 and timing.retry_timeout_s >= 3


def test_a_members_file_gives_its_engine_what_saling_gives_its_own(plan: Plan) -> None:
    file = write_patroni(plan, proxies(plan), "paspor", "batam", TIMINGS[0], "secret")
    assert file.stat().st_mode & 0o077 == 0
    read = yaml.safe_load(file.read_text())
    settings = read["bootstrap"]["dcs"]["postgresql"]
    assert settings["parameters"].items() >= ENGINE_SETTINGS.items()
    assert settings["use_pg_rewind"] is True
    assert read["bootstrap"]["dcs"]["synchronous_mode"] is False
    assert [h.partition(".")[0] for h in read["etcd3"]["hosts"]] == [
        "batam",
        "jabodetabek",
        ARBITER,
    ]


def test_etcd_has_a_member_in_both_sites_and_at_the_arbiters(plan: Plan) -> None:
    commands = [
        etcd_command(Path("etcd"), plan, proxies(plan), place) for place in (*SITES, ARBITER)
    ]
    clusters = {command[command.index("--initial-cluster") + 1] for command in commands}
    assert len(clusters) == 1
    assert re.findall(r"([a-z]+)=", clusters.pop()) == [*SITES, ARBITER]


def test_patroni_takes_one_service_alone(tmp_path: Path) -> None:
    two = (Service("paspor", SITES), Service("pajak", SITES))
    with pytest.raises(ValueError, match="one, not 2"):
        Patroni(Plan(tmp_path, two, binaries=tmp_path), TIMINGS[0])


async def test_of_two_members_that_say_they_lead_the_later_timeline_is_heard(
    plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    peer = Patroni(plan, TIMINGS[0])
    says: dict[str, dict[str, Any]] = {}

    async def look(site: str, _path: str) -> dict[str, Any]:
        return says.get(site, {})

    monkeypatch.setattr("lab.peers.patroni.HEAR_AGAIN_S", 0)
    monkeypatch.setattr(peer, "_look", look)
    assert await peer.heard("paspor") is None
    says["jabodetabek"] = {"role": "primary", "state": "running", "timeline": 1}
    assert await peer.heard("paspor") == Heard("jabodetabek", serving=True)
    says["batam"] = {"role": "primary", "state": "running", "timeline": 2}
    assert await peer.heard("paspor") == Heard("batam", serving=True)
    assert await peer.primary_site("paspor") == "batam"


@pytest.mark.parametrize(("timeline", "whole"), [(1, False), (2, True)])
async def test_a_peer_is_whole_when_both_members_are_in_one_timeline(
    plan: Plan, monkeypatch: pytest.MonkeyPatch, timeline: int, whole: bool
) -> None:
    peer = Patroni(plan, TIMINGS[0])
    members = [
        {"role": "leader", "state": "running", "timeline": 2},
        {"role": "replica", "state": "streaming", "timeline": timeline},
    ]

    async def look(_site: str, _path: str) -> dict[str, Any]:
        return {"members": members}

    monkeypatch.setattr(peer, "_look", look)
    assert await peer._whole() is whole


async def test_what_patroni_does_not_tell_is_not_known(plan: Plan) -> None:
    peer = Patroni(plan, TIMINGS[0])
    assert await peer.lease_end_ms("paspor", "batam") is None
    assert peer.quarantines("paspor", "batam") is None


async def test_each_place_reaches_another_by_a_road_of_its_own(tmp_path: Path) -> None:
    """The names are the same everywhere, and what stands behind them is not."""
    ports = dict.fromkeys((*SITES, ARBITER), (PORT,))
    places = ProxyPlaces(tmp_path, ROUND_TRIPS_MS, ports)
    heard: list[str] = []

    async def hear(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append((await reader.readline()).decode())
        writer.write(b"yes\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(hear, places.address("batam"), PORT)
    try:
        await places.open()
        seen = {}
        for place in (*SITES, ARBITER):
            lines = (tmp_path / "hosts" / place).read_text().splitlines()
            seen[place] = next(one.split()[0] for one in lines if one.endswith(" batam.lab"))
            reader, writer = await asyncio.open_connection(seen[place], PORT)
            writer.write(place.encode() + b"\n")
            assert await asyncio.wait_for(reader.readline(), 10) == b"yes\n"
            writer.close()
        assert seen["batam"] == places.address("batam")
        assert len(set(seen.values())) == 3
        assert heard == [f"{place}\n" for place in (*SITES, ARBITER)]
    finally:
        await places.close()
        server.close()
        await server.wait_closed()


def test_in_namespaces_a_place_is_known_by_its_own_address(plan: Plan) -> None:
    places = namespaces(plan)
    file = write_patroni(plan, places, "paspor", "batam", TIMINGS[0], "secret")
    read = yaml.safe_load(file.read_text())
    own = places.links.hosts["batam"]
    assert (places.host("batam"), places.address("batam")) == (own, own)
    assert read["postgresql"]["listen"] == f"{own}:{ENGINE_PORT}"
    assert read["restapi"]["connect_address"] == f"{own}:{rest_port(plan, 'batam')}"
    assert rest_port(plan, "batam") != rest_port(plan, "jabodetabek")


@pytest.mark.root
@pytest.mark.skipif(bool(why_not()), reason=why_not())
async def test_a_program_runs_in_its_namespace_as_its_first_process_and_no_root(plan: Plan) -> None:
    places = namespaces(plan)
    await places.open()
    try:
        command = places.command("batam", ["sh", "-c", "echo $$ $(id -u); ip -4 -o addr"])
        done = await asyncio.to_thread(
            subprocess.run, command, capture_output=True, text=True, timeout=30, check=True
        )
    finally:
        await places.close()
    assert done.stdout.splitlines()[0] == "1 1000"
    assert f" {places.address('batam')}/" in done.stdout


@pytest.mark.root
@pytest.mark.skipif(bool(why_not()), reason=why_not())
async def test_what_is_asked_of_a_place_comes_by_its_door_though_it_is_cut_off(plan: Plan) -> None:
    places, port = namespaces(plan), rest_port(plan, "batam")
    await places.open()
    try:
        address = await places.door("batam", port)
        await places.links.isolate("batam")
        serve = ["-m", "http.server", "-b", places.address_with_door("batam"), str(port)]
        log, inside = plan.directory / "server.log", places.links.inside("batam")
        server = Child("server", log, serve, inside)
        server.start()
        try:
            assert await answers(f"http://{address}/") == 200
        finally:
            await server.end(signal.SIGKILL)
    finally:
        await places.close()


async def answers(url: str, wait_s: float = 30.0) -> int:
    """The status of the first answer. Raises TimeoutError."""
    async with asyncio.timeout(wait_s), aiohttp.ClientSession() as session:
        while True:
            try:
                async with session.get(url) as answer:
                    return answer.status
            except aiohttp.ClientError:
                await asyncio.sleep(0.05)


def test_the_peers_packages_are_locked_by_hash() -> None:
    text = LOCK.read_text()
    entries = re.split(r"\n(?=\S)", text.strip())
    assert "://" not in text and any(entry.startswith("patroni==") for entry in entries)
    assert [entry for entry in entries if "==" not in entry or "--hash=sha256:" not in entry] == []
