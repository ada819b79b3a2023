"""The controller's own broker: its accounts, the agents' password files, and its keeper."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterable
from pathlib import Path

import structlog

from controller.broker import (
    Account,
    BrokerError,
    EmbeddedBroker,
    agent_account,
    controller_account,
    split_address,
)
from protocol.messages import CONTROLLER
from protocol.session import BrokerLogin

PASSWORD_BYTES = 24
RETRY_S = 1.0

log = structlog.get_logger("broker")


def make_broker(
    cluster: str, listen: str, directory: Path, agents: Iterable[str]
) -> tuple[EmbeddedBroker, str]:
    """The broker, not started yet, and the controller's own password, which is new each time.

    Each agent's password stands in `<directory>/passwords/<agent>`, for its host to be given;
    it is made when it is absent. Raises BrokerError.
    """
    password = secrets.token_urlsafe(PASSWORD_BYTES)
    accounts = _accounts(cluster, password, directory, agents)
    return EmbeddedBroker(directory, listen, accounts), password


def _accounts(cluster: str, password: str, directory: Path, agents: Iterable[str]) -> list[Account]:
    known = [agent_account(cluster, agent, _password(directory, agent)) for agent in agents]
    return [controller_account(cluster, CONTROLLER, password), *known]


def embedded_login(listen: str, password: str) -> BrokerLogin:
    """How the controller connects to its own broker."""
    host, port = split_address(listen)
    return BrokerLogin(listen, host.strip("[]"), port, CONTROLLER, password)


class BrokerKeeper:
    """Keeps the broker running. Its trouble is told, and never stops the controller."""

    def __init__(self, broker: EmbeddedBroker) -> None:
        self._broker = broker
        self._said = ""

    def declare(self, cluster: str, login: BrokerLogin, agents: Iterable[str]) -> None:
        """Let these agents connect from now on, and no others; the controller with its login."""
        try:
            password = login.password or ""
            self._broker.declare(_accounts(cluster, password, self._broker.directory, agents))
        except (BrokerError, OSError) as error:
            log.error("the embedded broker does not know the new agents", problem=str(error))

    async def run(self) -> None:
        """Start the broker again whenever it ends, until cancelled; then stop it."""
        try:
            while True:
                await self._keep()
                await asyncio.sleep(RETRY_S)
        finally:
            await self._broker.stop()

    async def _keep(self) -> None:
        try:
            await self._broker.start()
            self._said = ""
            await self._broker.died.wait()
            self._tell("the broker ended by itself")
            await self._broker.stop()
        except (BrokerError, OSError) as error:
            self._tell(str(error))

    def _tell(self, problem: str) -> None:
        if problem != self._said:
            self._said = problem
            log.error("the embedded broker does not run; it is tried again", problem=problem)


def _password(directory: Path, agent: str) -> str:
    path = directory / "passwords" / agent
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not path.exists():
            _write_private(path, secrets.token_urlsafe(PASSWORD_BYTES))
        return path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise BrokerError(
            f"password of agent {agent}: {path}: {error}: let the controller's user read and "
            "write there"
        ) from None


def _write_private(path: Path, text: str) -> None:
    """Whole or not at all, and never readable to others."""
    fresh = path.with_name(f".{path.name}.new")
    fresh.unlink(missing_ok=True)
    fresh.touch(mode=0o600, exist_ok=False)
    fresh.write_text(text, encoding="ascii")
    fresh.replace(path)
