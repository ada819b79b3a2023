"""What the containers would run is run here, on loopback: broker, controller and one pair's agents.

Commands, environment, health checks and configuration are those of the Dockerfiles, of the
compose file and of `lab.compose`; only paths, host names and ports are put in the place of those
that a container has.
"""

from __future__ import annotations

import asyncio
import os
import pwd
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from controller.broker import die_with_parent
from lab.base.binaries import wheel_binaries
from lab.base.ports import free_port
from lab.base.processes import end_all, kill_all
from lab.compose import (
    AGENT_PORT,
    BINARIES,
    BROKER,
    BROKER_PORT,
    CONTROLLER,
    CONTROLLER_PORT,
    DATA,
    FIRST_ENGINE_PORT,
    INSIDE,
    RUN,
    make,
)
from tests.docker.images import Image, of_service

MOSQUITTO = shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
AGENTS = ("jabodetabek-1", "batam-1")
WAIT_S = 90.0
LOOK_AGAIN_S = 0.1
pytestmark = [
    pytest.mark.lab,
    pytest.mark.postgres,
    pytest.mark.broker,
    pytest.mark.skipif(MOSQUITTO is None, reason="mosquitto is not installed"),
]


class Containers:
    """What stands in for a container engine: a directory and some ports for each container."""

    def __init__(self, root: Path, directory: Path) -> None:
        self.root = root
        self.directory = directory
        wanted = [(BROKER, BROKER_PORT), (CONTROLLER, CONTROLLER_PORT)]
        for agent in AGENTS:
            wanted += [(agent, AGENT_PORT), (agent, FIRST_ENGINE_PORT)]
            wanted += [(agent, FIRST_ENGINE_PORT + 1)]
        self.ports = {one: free_port() for one in wanted}
        self.processes: dict[str, asyncio.subprocess.Process] = {}

    def here(self, name: str, text: str) -> str:
        """What a container's text comes to on this machine."""
        for (owner, port), free in self.ports.items():
            text = text.replace(f"{owner}:{port}", f"127.0.0.1:{free}")
            if owner == name:
                for own in (f"0.0.0.0:{port}", f"127.0.0.1:{port}"):
                    text = text.replace(own, f"127.0.0.1:{free}")
                text = text.replace(f"listener {port} 0.0.0.0", f"listener {free} 127.0.0.1")
        home = self.directory / name
        text = text.replace(str(INSIDE), str(home)).replace(BINARIES, str(wheel_binaries()))
        return text.replace(str(DATA), str(home / "lib")).replace(str(RUN), str(home / "run"))

    def configure(self, name: str, file: str) -> None:
        path = self.directory / name / file
        path.write_text(self.here(name, path.read_text()))

    def environment(self, name: str, given: dict[str, str]) -> dict[str, str]:
        """The container's own, and nothing of this machine's but where its programs are."""
        bin_directory = Path(sys.executable).parent
        changed = {key: self.here(name, value) for key, value in given.items()}
        path = changed["PATH"].replace("/opt/saling/bin", str(bin_directory))
        return {**changed, "PATH": path, "PYTHONPATH": str(self.root), "HOME": str(self.directory)}

    def command(self, name: str, command: list[str]) -> list[str]:
        words = [self.here(name, word) for word in command]
        if words[:2] == ["/usr/bin/tini", "--"] and shutil.which("tini") is None:
            words = words[2:]
        elif words[0] == "/usr/bin/tini":
            # Here it is not the first process, and tini says so unless it is made a reaper.
            words = ["/usr/bin/tini", "-s", "--", *words[2:]]
        if words[0] == "saling-health":
            words[0] = str(self.root / "docker" / "saling-health")
        return words

    async def start(self, name: str, command: list[str], environment: dict[str, str]) -> None:
        with (self.directory / f"{name}.log").open("wb") as log:
            self.processes[name] = await asyncio.create_subprocess_exec(
                *command,
                cwd=self.directory,
                env=environment,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=die_with_parent,
            )

    async def run(self, name: str) -> Image:
        """Start one of our own images as the compose file would."""
        command, given, made = of_service(self.root, name)
        environment = self.environment(name, given)
        await self.start(name, self.command(name, command), environment)
        return made

    async def health(self, name: str) -> tuple[int, str]:
        """What the image's health check exits with, and says."""
        _, given, made = of_service(self.root, name)
        asked = await asyncio.create_subprocess_exec(
            *self.command(name, made.health),
            env=self.environment(name, given),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await asyncio.wait_for(asked.communicate(), WAIT_S)
        assert asked.returncode is not None
        return asked.returncode, output.decode()

    async def until_healthy(self, name: str, says: str = "200") -> None:
        """Ask as an engine does, until the check is passed and says this."""
        try:
            async with asyncio.timeout(WAIT_S):
                while True:
                    status, told = await self.health(name)
                    if status == 0 and says in told:
                        return
                    assert self.processes[name].returncode is None, self.log(name)
                    await asyncio.sleep(LOOK_AGAIN_S)
        except TimeoutError:
            pytest.fail(f"{name} is not healthy within {WAIT_S} s\n{self.log(name)}")

    def log(self, name: str) -> str:
        return (self.directory / f"{name}.log").read_text()[-3000:]

    async def stop(self) -> None:
        for process in self.processes.values():
            if process.returncode is None:
                process.kill()
            await process.wait()
        kill_all(self.directory)
        await end_all(self.directory)


@pytest_asyncio.fixture
async def containers(root: Path) -> AsyncIterator[Containers]:
    """The broker runs; everything else is configured."""
    with tempfile.TemporaryDirectory(prefix="saling-") as name:
        directory = Path(name)
        made = Containers(root, directory)
        assert make(directory)
        for path in (directory, *directory.rglob("*")):
            os.chown(path, os.geteuid(), os.getegid())
        made.configure(CONTROLLER, "topology.yaml")
        for agent in AGENTS:
            made.configure(agent, "agent.yaml")
        try:
            await _start_broker(made)
            yield made
        finally:
            await made.stop()


async def _start_broker(made: Containers) -> None:
    user = pwd.getpwuid(os.geteuid()).pw_name
    text = made.here(BROKER, (made.root / "docker" / "mosquitto.conf").read_text())
    # Else it gives up being root, and cannot read this directory.
    file = made.directory / "mosquitto.conf"
    file.write_text(f"user {user}\n{text}")
    assert MOSQUITTO is not None
    await made.start(BROKER, [MOSQUITTO, "-c", str(file)], dict(os.environ))


async def test_controller_and_agents_run_as_their_containers_would(containers: Containers) -> None:
    """Their health checks ask them, and a service of the pair comes to be protected."""
    status, told = await containers.health(CONTROLLER)
    assert status == 1 and "refused" in told
    for name in (CONTROLLER, *AGENTS):
        await containers.run(name)
    for name in (CONTROLLER, *AGENTS):
        await containers.until_healthy(name)
    for name in AGENTS:
        # Each is primary for one service, and streams the other one's.
        await containers.until_healthy(name, says='"role": "primary", "writable": true')
        await containers.until_healthy(name, says='"streaming": true')


async def test_a_health_check_refuses_another_agents_certificate(containers: Containers) -> None:
    """It asks the one program of its container, not whoever answers."""
    one, other = AGENTS
    await containers.run(one)
    await containers.until_healthy(one)
    _, given, made = of_service(containers.root, one)
    environment = containers.environment(one, {**given, "SALING_HEALTH_NAME": other})
    asked = await asyncio.create_subprocess_exec(
        *containers.command(one, made.health),
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await asyncio.wait_for(asked.communicate(), WAIT_S)
    assert asked.returncode == 1 and b"certificate" in output.lower()
