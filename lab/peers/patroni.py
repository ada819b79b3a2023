"""Patroni with etcd on the lab's ground: two sites, three etcd members, the same delays.

The engines, their settings, the writer and the probers are those that measure Saling. Each
program is the first process of a PID namespace of its own, so that it reaps what its engine
leaves behind, and is killed with everything below it.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg

from agents.engines.base import Quarantined
from lab.base.database import Login, make_role
from lab.base.geography import ARBITER, ROUND_TRIPS_MS
from lab.base.owned import Owned
from lab.base.plan import Plan, agent_of, site_of
from lab.base.processes import Child, command_of, end_all, kill_all, pids_of
from lab.peers import install
from lab.peers.patroni_files import (
    CLIENT_PORT,
    ENGINE_PORT,
    PEER_PORT,
    Timing,
    etcd_command,
    rest_port,
    write_patroni,
)
from lab.peers.places import NamespacePlaces, Places, ProxyPlaces
from lab.roads.network import Network
from lab.running.freezing import family_of, freeze, thaw
from lab.running.ground import Heard

LOGIN = "lab"
WAIT_S = 120.0
MOVE_TIMEOUT_S = 60.0
LOOK_AGAIN_S = 0.1
HEAR_AGAIN_S = 0.5
"""Each look makes its engine answer queries: it is to be heard, not slowed."""
LOOK_TIMEOUT = aiohttp.ClientTimeout(total=3.0, connect=1.0)
UNREACHABLE = (aiohttp.ClientError, TimeoutError, OSError)

MakePlaces = Callable[[Plan], Places]


def proxies(plan: Plan) -> Places:
    """Places on loopback with the lab's delays between them."""
    member = (CLIENT_PORT, PEER_PORT)
    ports = {site: (ENGINE_PORT, rest_port(plan, site), *member) for site in plan.sites}
    return ProxyPlaces(plan.directory, ROUND_TRIPS_MS, {**ports, ARBITER: member})


def namespaces(plan: Plan) -> Places:
    """Places with networks of their own, the lab's delays between them, and clients in each."""
    return NamespacePlaces(plan.directory, ROUND_TRIPS_MS)


PLACES: dict[str, MakePlaces] = {"proxies": proxies, "namespaces": namespaces}
"""By the names that `lab.running.four_sites` gives to networks."""


class Patroni(Owned):
    """One cluster of the plan's only service. `async with` leaves nothing behind."""

    def __init__(self, plan: Plan, timing: Timing, make_places: MakePlaces = proxies) -> None:
        if len(plan.services) != 1:
            raise ValueError(f"services: Patroni is set up for one, not {len(plan.services)}")
        self.plan = plan
        self.service = plan.services[0]
        self.timing = timing
        self.places = make_places(plan)
        for site in plan.sites:
            address = f"{self.places.address(site)}:{ENGINE_PORT}"
            plan.ports[f"engine {self.service.name} {site}"] = address
        self._password = secrets.token_urlsafe(16)
        self._children: dict[str, list[Child]] = {}
        self._doors: dict[str, str] = {}
        self._primary = agent_of(self.service.sites[0])

    async def start(self) -> None:
        """Start everything; return when the backup streams. Raises TimeoutError, RuntimeError."""
        etcd, patroni = await asyncio.to_thread(_programs)
        self._password_file.touch(mode=0o600)
        self._password_file.write_text(self._password)
        await self.places.open()
        for place in (*self.plan.sites, ARBITER):
            command = etcd_command(etcd, self.plan, self.places, place)
            self._children[place] = [self._child(place, "etcd", command)]
            self._children[place][0].start()
        for site in self.service.sites:
            name, arguments = self.service.name, (self.timing, self._password)
            file = write_patroni(self.plan, self.places, name, site, *arguments)
            self._doors[site] = await self.places.door(site, rest_port(self.plan, site))
            child = self._child(site, "patroni", [str(patroni), str(file)])
            self._children[site].append(child)
            child.start()
            # The first one makes the database, that it be where the service's sites say.
            await self._wait(f"Patroni at {site}", partial(self._runs, site))
        await self.wait_until_whole(self.service.name)
        await self._prepare()

    async def stop(self) -> None:
        """Kill every process of it, and close the roads between them."""
        try:
            for place in (*self.plan.sites, ARBITER):
                self.thaw_site(place)
                for child in self._children.get(place, []):
                    await child.end(signal.SIGKILL)
                await end_all(self.plan.site_directory(place))
        finally:
            await self.places.close()

    # Faults.

    def kill_engine(self, service: str, site: str) -> None:
        """Kill every process of the engine. Raises RuntimeError where none runs."""
        data = str(self.plan.data_directory(site) / service)
        main = [p for p in pids_of(self.plan.site_directory(site)) if _runs_postgres(p, data)]
        if not main:
            raise RuntimeError(f"no engine of {service} runs at {site}")
        for pid in family_of(main):
            _send(pid, signal.SIGKILL)

    def kill_site(self, site: str) -> None:
        """Every process of the site: Patroni, its engine, the etcd member."""
        kill_all(self.plan.site_directory(site))

    def start_site(self, site: str) -> None:
        for child in self._children[site]:
            child.start()

    async def freeze_site(self, site: str, also: Iterable[int] = ()) -> int:
        """Every process of the site stands still, and these too; returns how many do."""
        return await freeze(self.plan.site_directory(site), also)

    def thaw_site(self, site: str, also: Iterable[int] = ()) -> None:
        thaw(self.plan.site_directory(site), also)

    async def switch_over(self, service: str) -> None:
        """By Patroni's REST API, which answers when it is done. Raises RuntimeError."""
        leader = await self.primary_site(service)
        candidate = next(site for site in self.service.sites if site != leader)
        body = {"leader": agent_of(leader), "candidate": agent_of(candidate)}
        timeout = aiohttp.ClientTimeout(total=MOVE_TIMEOUT_S)
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.post(self._rest(leader, "switchover"), json=body) as answer,
        ):
            if answer.status != 200:
                raise RuntimeError(f"switchover: {answer.status}: {await answer.text()}")

    # What is seen.

    @property
    def links(self) -> Network:
        return self.places.links

    def inside(self, place: str) -> tuple[str, ...]:
        return self.links.inside(place)

    def login(self) -> Login:
        return Login("postgres", LOGIN, str(self._password_file))

    async def last_known(self, service: str) -> dict[str, Any]:
        """The member that is primary; of two that say so, the one of the higher timeline."""
        await self._find_primary()
        return {"primary": self._primary, "lease_ttl_ms": self.timing.ttl_s * 1000}

    async def heard(self, _service: str) -> Heard | None:
        """None while no member is primary. It tells no reasons, and no lag."""
        await asyncio.sleep(HEAR_AGAIN_S)
        site = await self._find_primary()
        return Heard(site, serving=True) if site else None

    async def lease_end_ms(self, _service: str, _site: str) -> float | None:
        """Nobody tells when the right of its primary ends."""
        return None

    def quarantines(self, _service: str, _site: str) -> list[Quarantined] | None:
        """It keeps none."""
        return None

    async def primary_site(self, service: str) -> str:
        return site_of((await self.last_known(service))["primary"])

    async def decisions(self, _service: str) -> list[dict[str, Any]]:
        """Patroni keeps no reasons."""
        return []

    async def wait_until_whole(self, service: str, wait_s: float = WAIT_S) -> None:
        """Wait until one member leads and the other streams in its timeline."""
        await self._wait(f"{service} to be whole", self._whole, wait_s)

    async def as_superuser(self, service: str, site: str) -> asyncpg.Connection:
        return await asyncpg.connect(
            host=str(self.plan.run_directory(service, site) / "socket"),
            port=ENGINE_PORT,
            user="postgres",
            database="postgres",
            timeout=5,
            command_timeout=10,
        )

    @property
    def _password_file(self) -> Path:
        return self.plan.directory / "lab.password"

    def _child(self, place: str, name: str, command: list[str]) -> Child:
        # Our own packages have short names, which must not stand in front of the peer's.
        command = self.places.command(place, ["env", "-u", "PYTHONPATH", *command])
        log = self.plan.site_directory(place) / f"{name}.log"
        return Child(f"{name} at {place}", log, command[1:], program=command[0])

    def _rest(self, site: str, path: str) -> str:
        return f"http://{self._doors[site]}/{path}"

    async def _find_primary(self) -> str:
        """The site of the one that says so; empty when none does."""
        seen = {site: await self._look(site, "patroni") for site in self.service.sites}
        primaries = {
            site: int(one.get("timeline", 0))
            for site, one in seen.items()
            if one.get("role") in ("primary", "master") and one.get("state") == "running"
        }
        if not primaries:
            return ""
        site = max(primaries, key=lambda site: primaries[site])
        self._primary = agent_of(site)
        return site

    async def _look(self, site: str, path: str) -> dict[str, Any]:
        """An answer of one member's REST API; empty while it gives none."""
        try:
            async with (
                aiohttp.ClientSession(timeout=LOOK_TIMEOUT) as session,
                session.get(self._rest(site, path)) as answer,
            ):
                found: dict[str, Any] = await answer.json(content_type=None)
                return found
        except (*UNREACHABLE, ValueError):
            return {}

    async def _runs(self, site: str) -> bool:
        return (await self._look(site, "patroni")).get("state") == "running"

    async def _whole(self) -> bool:
        site = await self.primary_site(self.service.name)
        members = (await self._look(site, "cluster")).get("members", [])
        states = sorted((m.get("role"), m.get("state")) for m in members)
        # One that still has writes of its own streams for a moment, too, in vain.
        timelines = {m.get("timeline") for m in members}
        return states == [("leader", "running"), ("replica", "streaming")] and len(timelines) == 1

    async def _wait(self, what: str, holds: Callable[[], Any], wait_s: float = WAIT_S) -> None:
        deadline = asyncio.get_running_loop().time() + wait_s
        while not await holds():
            if asyncio.get_running_loop().time() > deadline:
                raise TimeoutError(f"waited {wait_s} s for {what}\n{self._last_words()}")
            await asyncio.sleep(LOOK_AGAIN_S)

    async def _prepare(self) -> None:
        site = await self.primary_site(self.service.name)
        connection = await self.as_superuser(self.service.name, site)
        try:
            await make_role(connection, LOGIN, self._password)
        finally:
            await connection.close(timeout=2)

    def _last_words(self) -> str:
        children = [child for place in self._children.values() for child in place]
        return "\n".join(f"--- {child.name}\n{child.last_words(5)}" for child in children)


def _programs() -> tuple[Path, Path]:
    return install.etcd(), install.patroni()


def _runs_postgres(pid: int, data: str) -> bool:
    words = command_of(pid)
    return bool(words) and words[0].endswith("/postgres") and data in words


def _send(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return
