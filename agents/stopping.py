"""Ends what runs on this host in order: the agent, then its engines, then their guards."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable
from typing import NamedTuple

from agents.assembly import engine_of
from agents.durable import running_agent
from agents.engines.base import EngineError
from agents.engines.postgresql import PostgreSQL
from agents.fences.base import FenceError
from agents.fences.nftables import Nftables
from agents.guard.client import GuardBusy, GuardClient, GuardError, GuardGone
from config.agent import AgentConfig, LocalService

AGENT_LIMIT_S = 10.0
ENGINE_LIMIT_MS = 60_000
GUARD_LIMIT_S = 5.0
LOOK_EVERY_S = 0.05

Say = Callable[[str], None]


class StopError(Exception):
    """Something did not end; the text names it and the mend."""


class PrimaryHere(StopError):
    """A copy on this host may write: stopping it would be a failover that nobody planned."""


async def stop_host(config: AgentConfig, say: Say, primaries_too: bool = False) -> None:
    """Returns when nothing of this agent runs. Raises StopError naming all that did not end.

    Raises PrimaryHere, and does nothing, where a primary may write, unless `primaries_too`.
    """
    stand = await asyncio.gather(*(_stand(service) for service in config.services))
    primaries = [one.name for one, how in zip(config.services, stand, strict=True) if how.writable]
    if primaries and not primaries_too:
        raise PrimaryHere(_move_first(config, primaries))
    if running_agent(config.state_directory) is None and not any(how.runs for how in stand):
        say(f"nothing of agent {config.agent} runs on this host")
        return
    await stop_agent(config, say)
    outcomes = await asyncio.gather(*(_stop_service(service, say) for service in config.services))
    problems = [problem for problem in outcomes if problem]
    if problems:
        raise StopError("; ".join(problems))


def _move_first(config: AgentConfig, primaries: list[str]) -> str:
    moves = "; ".join(f"saling switchover {name}" for name in primaries)
    return (
        f"the primary of {', '.join(primaries)} writes on {config.agent}: to stop it is an outage "
        f"that ends with a failover at best; move it first: {moves}; or stop it all the same with "
        "--yes; nothing was stopped"
    )


class _Stand(NamedTuple):
    """Whether anything of a service runs here, and whether it may write."""

    runs: bool
    writable: bool


async def _stand(service: LocalService) -> _Stand:
    try:
        guard = GuardClient(service.socket_directory.absolute(), service.data_directory.absolute())
    except GuardError:
        # Stopping says what is wrong with it.
        return _Stand(True, False)
    try:
        status = await guard.status()
    except GuardGone:
        # What a dead guard left over is ended by every stop, and says nothing if there is nothing.
        return _Stand((service.data_directory / "postmaster.pid").exists(), False)
    except (GuardError, TimeoutError):
        return _Stand(True, False)
    finally:
        await guard.close()
    leased = status.permission == "leased" and (status.deadline_ms or 0) > status.now_ms
    return _Stand(True, status.engine is not None and (leased or status.permission == "alone"))


async def stop_agent(config: AgentConfig, say: Say) -> None:
    """The agent first: it would start an engine again that stopped. Raises StopError."""
    pid = running_agent(config.state_directory)
    if pid is None:
        return
    say(f"stopping agent {config.agent} (process {pid})")
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
    try:
        async with asyncio.timeout(AGENT_LIMIT_S):
            await _until_unlocked(config)
    except TimeoutError:
        raise StopError(
            f"agent {config.agent}, process {pid}, did not end in {AGENT_LIMIT_S:.0f} s: look at "
            "its log, then end that process with kill -9; engines stay under their guards"
        ) from None


async def _until_unlocked(config: AgentConfig) -> None:
    # Another process lets go of a lock without a word.
    while running_agent(config.state_directory) is not None:  # noqa: ASYNC110
        await asyncio.sleep(LOOK_EVERY_S)


async def _stop_service(service: LocalService, say: Say) -> str:
    """What went wrong; empty when nothing runs any more."""
    try:
        engine = engine_of(service)
    except (EngineError, GuardError) as error:
        return f"{service.name}: {error}"
    try:
        await _stop_engine(engine, service.name, say)
        await _stop_guard(engine)
        await asyncio.to_thread(_take_down_door, service)
    except (EngineError, GuardError, TimeoutError) as error:
        return f"{service.name}: {error}"
    finally:
        await engine.close()
    return ""


def _take_down_door(service: LocalService) -> None:
    """A guard that was killed left it, and no process that it was shut on runs any more."""
    with contextlib.suppress(FenceError, ValueError):
        Nftables(service.name, service.listen).remove()


async def _stop_engine(engine: PostgreSQL, name: str, say: Say) -> None:
    try:
        status = await engine.guard.status()
    except GuardGone:
        await engine.kill()
        return
    if status.engine is not None:
        say(f"stopping the engine of {name} (process {status.engine.pid})")
        await engine.stop(ENGINE_LIMIT_MS)


async def _stop_guard(engine: PostgreSQL) -> None:
    with contextlib.suppress(GuardGone):
        async with asyncio.timeout(GUARD_LIMIT_S):
            # It may end before it has answered; then nothing answers any more.
            with contextlib.suppress(GuardBusy):
                await engine.guard.shutdown()
            while True:
                await engine.guard.status()
                await asyncio.sleep(LOOK_EVERY_S)
