"""The lab: real sites on one machine, with the delays between them, and the faults.

Everything that runs is the shipped program as a process of its own: controller, agents, guards,
PostgreSQL, brokers. The lab only starts, links, kills and asks.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg

from agents.engines.base import Quarantined
from agents.engines.pg_quarantine import all_in
from controller.broker import agent_account, controller_account
from lab.base.database import Login, make_role
from lab.base.geography import ARBITER, ROUND_TRIPS_MS
from lab.base.keys import LabKeys, make_keys
from lab.base.owned import Owned
from lab.base.plan import CLUSTER, Plan, agent_of, port_of, site_of, write_agent, write_topology
from lab.base.processes import (
    Child,
    command_of,
    end_all,
    has_argument,
    kill_all,
    module,
    pids_of,
)
from lab.roads.links import Links
from lab.roads.namespaces import Namespaces
from lab.roads.network import Network
from lab.running.api import Api, ApiError
from lab.running.brokers import Broker
from lab.running.freezing import freeze, thaw
from lab.running.ground import Heard
from lab.running.leases import lease_end_ms

LOGIN = "lab"
WAIT_S = 90.0
LOOK_AGAIN_S = 0.05
SERVING = ("ALONE", "ARMING", "PROTECTED")
NETWORKS: dict[str, type[Links] | type[Namespaces]] = {"proxies": Links, "namespaces": Namespaces}
UNREACHABLE = (aiohttp.ClientError, TimeoutError, OSError, ApiError)

Say = Callable[[str], None]


def silently(_text: str) -> None:
    """Say nothing."""


class Lab(Owned):
    """One lab. `async with Lab(plan) as lab:` starts it and leaves nothing behind.

    `network` is one of NETWORKS; `namespaces` needs root, see `lab.roads.namespaces.why_not`.
    """

    def __init__(self, plan: Plan, say: Say = silently, network: str = "proxies") -> None:
        self.links: Network = NETWORKS[network](plan.directory / "links", ROUND_TRIPS_MS)
        self.plan = plan = replace(plan, hosts=self.links.hosts)
        self.say = say
        self.api = Api(plan.address("controller"))
        self.brokers: list[Broker] = []
        self.controller = Child(
            "controller",
            plan.directory / ARBITER / "controller.log",
            module("controller.daemon", "--config", str(plan.topology_file)),
        )
        self.agents = {
            site: Child(
                agent_of(site),
                plan.site_directory(site) / "agent.log",
                module("agents.daemon", "--config", str(plan.agent_file(site))),
            )
            for site in plan.sites
        }
        self.keys: LabKeys | None = None
        self._known: dict[str, dict[str, Any]] = {}

    async def start(self) -> None:
        """Start everything and wait until every service is protected. Raises TimeoutError."""
        await self.launch()
        await self.wait_until_protected()
        for service in self.plan.services:
            await self.prepare_database(service.name)

    async def launch(self) -> None:
        """Start everything, without waiting for the services."""
        self.plan.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.say("making keys and certificates")
        hosts = {agent_of(site): [host] for site, host in self.plan.hosts.items()}
        named = {agent: hosts[agent] for agent in self.plan.agents if agent in hosts}
        self.keys = make_keys(self.plan.directory / "keys", self.plan.agents, named)
        self.say("starting the links and the brokers")
        await self.links.start()
        self._take_places()
        await self._start_brokers(self.keys)
        write_topology(self.plan, self.keys)
        for site in self.plan.sites:
            write_agent(self.plan, self.keys, site, await self._roads_from(site))
        await self.links.door(ARBITER, port_of(self.plan.address("controller")))
        self.say("starting the controller and the agents")
        self.controller.start()
        for agent in self.agents.values():
            agent.start()

    async def stop(self) -> None:
        """End every process of this lab, agents first."""
        for child in (*self.agents.values(), self.controller):
            await child.end(signal.SIGKILL)
        for site in self.plan.sites:
            await end_all(self.plan.site_directory(site))
        for broker in self.brokers:
            await broker.stop()
        await self.links.stop()

    async def remove(self) -> None:
        """Delete the lab's directory."""
        await asyncio.to_thread(shutil.rmtree, self.plan.directory, ignore_errors=True)

    # Faults.

    def kill_engine(self, service: str, site: str) -> None:
        """Kill the engine's processes; its guard and its agent live on."""
        data = self.plan.data_directory(site) / service
        engines = [p for p in pids_of(data.parent) if has_argument(p, str(data))]
        if not engines:
            raise RuntimeError(f"no engine of {service} runs at {site}")
        for pid in engines:
            _send(pid, signal.SIGKILL)

    def kill_guard(self, service: str, site: str) -> None:
        """Kill the guard, and nothing else by hand."""
        for pid in self.guards(service, site):
            _send(pid, signal.SIGKILL)

    def guards(self, service: str, site: str) -> list[int]:
        run = str(self.plan.run_directory(service, site))
        return [
            pid
            for pid in pids_of(self.plan.site_directory(site))
            if has_argument(pid, run) and any("guard" in word for word in command_of(pid))
        ]

    def kill_site(self, site: str) -> None:
        """Every process of the site, at once."""
        kill_all(self.plan.site_directory(site))

    def start_site(self, site: str) -> None:
        self.agents[site].start()

    async def freeze_site(self, site: str, also: Iterable[int] = ()) -> int:
        """Every process of the site stands still, and these too; returns how many do."""
        return await freeze(self.plan.site_directory(site), also)

    def thaw_site(self, site: str, also: Iterable[int] = ()) -> None:
        """All go on as if no time had passed."""
        thaw(self.plan.site_directory(site), also)

    async def kill_agent(self, site: str) -> None:
        """The agent alone: its guards and engines live on."""
        await self.agents[site].end(signal.SIGKILL)

    async def kill_controller(self) -> None:
        await self.controller.end(signal.SIGKILL)

    async def kill_brokers(self) -> None:
        for broker in self.brokers:
            await broker.stop()

    async def start_brokers(self) -> None:
        for broker in self.brokers:
            if broker.pid is None:
                await broker.start()

    async def ask_until_accepted(self, service: str, kind: str, wait_s: float = WAIT_S) -> None:
        """Ask again while it is refused for something that passes. Raises TimeoutError.

        A controller that dies of the question has accepted it.
        """
        deadline = asyncio.get_running_loop().time() + wait_s
        while True:
            try:
                await self.api.ask(service, kind, reason="the lab asks")
                return
            except ApiError as error:
                if asyncio.get_running_loop().time() > deadline:
                    raise TimeoutError(f"{kind} of {service}: {error}") from None
            except UNREACHABLE:
                return
            await asyncio.sleep(LOOK_AGAIN_S)

    async def switch_over(self, service: str) -> None:
        """Move a service as planned; return when its partner is primary. Raises TimeoutError."""
        await self.ask_until_accepted(service, "switchover")
        await self.wait_for_phase(service, "ALONE", "ARMING", "PROTECTED")

    # What is seen.

    async def services(self) -> dict[str, dict[str, Any]]:
        """Every service explained, by name; empty while the controller is down."""
        try:
            state = await self.api.state()
        except UNREACHABLE:
            return {}
        return {service["service"]: service for service in state["services"]}

    async def last_known(self, service: str) -> dict[str, Any]:
        """The service explained, as last heard while the controller lived."""
        self._known.update(await self.services())
        return self._known[service]

    async def decisions(self, service: str) -> list[dict[str, Any]]:
        """What the controller decided, newest first; empty while it is down."""
        try:
            return await self.api.history(service)
        except UNREACHABLE:
            return []

    async def primary_site(self, service: str) -> str:
        """Where the primary stands, as last heard while the controller lived."""
        return site_of((await self.last_known(service))["primary"])

    async def heard(self, service: str) -> Heard | None:
        """None while the controller is down."""
        seen = (await self.services()).get(service)
        if seen is None:
            return None
        primary, phase = site_of(seen["primary"]), seen["phase"]
        return Heard(primary, phase in SERVING, seen["lag_bytes"], phase, seen["because"])

    async def lease_end_ms(self, service: str, site: str) -> float | None:
        """As the guard says over its unix socket, which no cut touches."""
        return await lease_end_ms(self.plan, service, site)

    def quarantines(self, service: str, site: str) -> list[Quarantined] | None:
        """Beside the copy of the service, where agents put them."""
        return all_in(self.plan.data_directory(site) / f"{service}.quarantine", service)

    async def wait_for(
        self,
        what: str,
        holds: Callable[[dict[str, Any]], bool],
        service: str,
        wait_s: float = WAIT_S,
    ) -> dict[str, Any]:
        """Wait until a service's explanation satisfies this. Raises TimeoutError with the why."""
        self.say(f"waiting for {what}")
        deadline = asyncio.get_running_loop().time() + wait_s
        seen: dict[str, Any] = {}
        while asyncio.get_running_loop().time() < deadline:
            seen = (await self.services()).get(service, seen)
            if seen and holds(seen):
                return seen
            await asyncio.sleep(LOOK_AGAIN_S)
        raise TimeoutError(f"{service}: {what} did not come within {wait_s} s; {_story(seen)}")

    async def wait_for_phase(
        self, service: str, *phases: str, wait_s: float = WAIT_S
    ) -> dict[str, Any]:
        return await self.wait_for(
            f"{service} to be {' or '.join(phases)}",
            lambda s: s["phase"] in phases,
            service,
            wait_s,
        )

    async def wait_until_whole(self, service: str, wait_s: float = WAIT_S) -> dict[str, Any]:
        """Wait until the service is PROTECTED and both of its replicas are heard."""
        what = f"{service} to be PROTECTED"
        return await self.wait_for(what, lambda s: bool(s["protected"]), service, wait_s)

    async def wait_until_protected(self, wait_s: float = WAIT_S) -> None:
        """Wait until every service has an eligible backup."""
        for service in self.plan.services:
            try:
                await self.wait_until_whole(service.name, wait_s)
            except TimeoutError as error:
                raise TimeoutError(f"{error}\n{self.last_words()}") from None

    def last_words(self) -> str:
        children = [self.controller, *self.agents.values()]
        return "\n".join(f"--- {child.name}\n{child.last_words()}" for child in children)

    # Databases.

    async def as_superuser(self, service: str, site: str) -> asyncpg.Connection:
        """A connection over the engine's own socket. Raises OSError while it is down."""
        port = port_of(self.plan.engine(service, site))
        return await asyncpg.connect(
            host=str(self.plan.run_directory(service, site) / "socket"),
            port=port,
            user="saling",
            database="postgres",
            timeout=5,
            command_timeout=10,
        )

    def inside(self, place: str) -> tuple[str, ...]:
        """What stands before a command that shall run in a place."""
        return self.links.inside(place)

    def login(self) -> Login:
        """The lab's own role. Raises RuntimeError before the launch, which makes its password."""
        if self.keys is None:
            raise RuntimeError("the lab was not launched")
        return Login("postgres", LOGIN, str(self.keys.database_password_file))

    async def prepare_database(self, service: str) -> None:
        """The lab's own role, which may make tables."""
        password = Path(self.login().password_file).read_text().strip()
        for site in self.plan.service(service).sites:
            await self._admit_clients(service, site)
        connection = await self.as_superuser(service, await self.primary_site(service))
        try:
            await make_role(connection, LOGIN, password)
        finally:
            await connection.close(timeout=2)

    async def _admit_clients(self, service: str, site: str) -> None:
        """The lab's own role may come from elsewhere and over the socket, as initdb lets nobody."""
        rules = self.plan.data_directory(site) / service / "pg_hba.conf"
        ours = f"local postgres {LOGIN} scram-sha-256\nhost postgres {LOGIN} all scram-sha-256\n"
        theirs = rules.read_text()
        if not theirs.startswith(ours):
            rules.write_text(ours + theirs)
            connection = await self.as_superuser(service, site)
            try:
                await connection.execute("SELECT pg_reload_conf()")
            finally:
                await connection.close(timeout=2)

    def _take_places(self) -> None:
        """The programs start in their places; known only now that the network stands."""
        self.controller.inside = self.links.inside(ARBITER)
        for site, agent in self.agents.items():
            agent.inside = self.links.inside(site)

    async def _start_brokers(self, keys: LabKeys) -> None:
        accounts = [
            controller_account(CLUSTER, "controller", keys.controller.password_file.read_text())
        ]
        for name, party in keys.agents.items():
            accounts.append(agent_account(CLUSTER, name, party.password_file.read_text()))
        for number in range(self.plan.broker_count):
            self.brokers.append(
                Broker(
                    self.plan.directory / ARBITER / f"broker-{number}",
                    self.plan.address(f"broker {number}"),
                    accounts,
                    self.links.inside(ARBITER),
                )
            )
        await self.start_brokers()

    async def _roads_from(self, site: str) -> dict[str, str]:
        """From every address elsewhere to the link by which this site reaches it."""
        roads = {}
        for number in range(self.plan.broker_count):
            address = self.plan.address(f"broker {number}")
            roads[address] = await self.links.link(site, ARBITER, address)
        for other in self.plan.sites:
            if other == site:
                continue
            shared = [s for s in self.plan.services_at(site) if other in s.sites]
            addresses = [self.plan.engine(service.name, other) for service in shared]
            # Agents look whether those of every other site are there.
            addresses.append(self.plan.address(f"agent {other}"))
            for address in addresses:
                roads[address] = await self.links.link(site, other, address)
        return roads


def _story(seen: dict[str, Any]) -> str:
    if not seen:
        return "the controller says nothing of it"
    problems = [
        f"{copy['agent']}: {copy['report']['role']} {copy['report'].get('doing', '')} "
        f"{copy['report'].get('problem', '')}"
        for copy in seen["copies"]
        if copy["report"]
    ]
    return f"it is {seen['phase']}: {seen['because']}; {'; '.join(problems)}"


def _send(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return
