"""The commands `saling-agent hold` and `saling-agent release`.

They ask the running agent, which alone knows what is under way. Where no agent runs they write
the veto themselves, under the agent's lock, judged by what is durable.
"""

from __future__ import annotations

import os
import time
import uuid

import msgspec

from agents import veto_file as files
from agents.core import veto
from agents.durable import (
    DurableError,
    DurableFile,
    lock_directory,
    prepare_directory,
    running_agent,
)
from agents.veto_file import ASKED, IN_FORCE, Asked, Veto
from config.agent import AgentConfig
from config.problems import Refused
from config.values import parse_duration

ANSWER_S = 8.0
LOOK_S = 0.05
FOR_LEAST_MS = 1000
FOR_MOST_MS = 30 * 24 * 60 * 60 * 1000


class VetoRefused(Exception):
    """A change of the role is ordered or under way; the text says which."""


class VetoError(Exception):
    """It could not be done; the text says why, and the mend."""


def read_time(text: str) -> int:
    """`2h` in milliseconds. Raises ValueError, with the mend."""
    try:
        for_ms = parse_duration(text)
    except Refused as fault:
        raise ValueError(f"--for {text[:40]!a}: {fault.message}; {fault.mend}") from None
    if not FOR_LEAST_MS <= for_ms <= FOR_MOST_MS:
        raise ValueError(f"--for {text[:40]!a}: give a second to 30 days, such as 90m or 2h")
    return for_ms


def ask(config: AgentConfig, asked: Asked) -> None:
    """Place or release it; it is done when this returns. Raises VetoRefused, VetoError."""
    directory = config.state_directory
    try:
        if running_agent(directory) is None:
            _alone(config, asked)
            return
        files.write(directory, ASKED, asked)
        _wait(config, asked)
    except (OSError, DurableError) as error:
        raise VetoError(str(error)) from None


def new_id() -> str:
    """By which the answer is known."""
    return uuid.uuid4().hex


def shown(config: AgentConfig) -> dict[str, object]:
    """What is in force, for people and programs. Raises VetoError."""
    try:
        kept = files.read_veto(config.state_directory)
    except (OSError, DurableError) as error:
        raise VetoError(str(error)) from None
    return {"agent": config.agent, "hold": msgspec.to_builtins(kept) if kept else None}


def as_json(told: dict[str, object]) -> str:
    """One object."""
    return msgspec.json.encode(told).decode()


def as_line(told: dict[str, object]) -> str:
    """A line for people."""
    kept = told["hold"]
    if not isinstance(kept, dict):
        return f"no hold is in force on {told['agent']}"
    left_s = -(-kept["left_ms"] // 1000)
    hours, seconds = divmod(left_s, 3600)
    left = f"{hours} h {seconds // 60} min" if hours else f"{seconds // 60} min {seconds % 60} s"
    return f"{told['agent']} keeps its role, {left} left, by {kept['by']}: {kept['reason']}"


def _wait(config: AgentConfig, asked: Asked) -> None:
    directory = config.state_directory
    end_s = time.monotonic() + ANSWER_S
    while time.monotonic() < end_s:
        answer = files.read_answer(directory)
        if answer is not None and answer.id == asked.id:
            if not answer.accepted:
                raise VetoRefused(answer.text)
            return
        time.sleep(LOOK_S)
    files.forget(directory, ASKED)
    raise VetoError(
        f"the agent {config.agent} has not answered within {ANSWER_S:g} s: see its log, and "
        "`saling-agent hold` for what is in force"
    )


def _alone(config: AgentConfig, asked: Asked) -> None:
    """No agent runs, and none is started meanwhile."""
    directory = config.state_directory
    prepare_directory(directory)
    lock = lock_directory(directory)
    try:
        if not asked.for_ms:
            files.forget(directory, IN_FORCE)
            return
        refusals = [why for one in config.services if (why := _why_not(config, one.name))]
        if refusals:
            raise VetoRefused("; ".join(refusals))
        kept = Veto(asked.by, asked.reason, asked.for_ms, asked.for_ms)
        files.write(directory, IN_FORCE, kept)
    finally:
        os.close(lock)


def _why_not(config: AgentConfig, service: str) -> str:
    file = DurableFile(config.state_directory, config.cluster, config.agent, service)
    if not file.path.exists():
        return ""
    refusal = veto.why_not(file.load().durable, None)
    return f"{service}: {refusal}" if refusal else ""
