"""The commands `saling-agent hold` and `saling-agent release`.

They ask the running agent, which alone knows what is under way. Where no agent runs they write
the veto themselves, under the agent's lock, judged by what is durable. One asks at a time.
"""

from __future__ import annotations

import fcntl
import os
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from agents.core import veto
from agents.durable import (
    DurableError,
    DurableFile,
    lock_directory,
    prepare_directory,
    running_agent,
)
from agents.veto import file as files
from agents.veto.file import ASKED, ASKING, IN_FORCE, Asked, Veto
from config.agent import AgentConfig
from config.problems import Refused
from config.values import parse_duration

ANSWER_S = 8.0
TURN_S = 10.0
"""For so long a command waits for another: longer than one waits for its answer."""
LOOK_S = 0.05
FOR_LEAST_MS = 60_000
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
        raise ValueError(f"--for {text[:40]!a}: give a minute to 30 days, such as 90m or 2h")
    return for_ms


def ask(config: AgentConfig, asked: Asked) -> bool:
    """Place or release it; it is done when this returns. Raises VetoRefused, VetoError.

    Whether one was in force before, also one whose file was damaged.
    """
    directory = config.state_directory
    try:
        prepare_directory(directory)
        with _my_turn(directory):
            was_in_force = (directory / IN_FORCE).exists()
            if running_agent(directory) is None:
                _alone(config, asked)
            else:
                files.write(directory, ASKED, asked)
                _wait(config, asked)
            return was_in_force
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


@contextmanager
def _my_turn(directory: Path) -> Iterator[None]:
    """There is one file for a request: a second command would write over the first one's."""
    descriptor = os.open(directory / ASKING, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        files.give_to_owner(directory, descriptor)
        end_s = time.monotonic() + TURN_S
        while not _locked(descriptor):
            if time.monotonic() >= end_s:
                raise VetoError("another `saling-agent hold` or `release` is asking: try again")
            time.sleep(LOOK_S)
        yield
    finally:
        os.close(descriptor)


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _wait(config: AgentConfig, asked: Asked) -> None:
    """The agent takes the request away after its answer: until then it is nobody else's turn."""
    directory = config.state_directory
    end_s = time.monotonic() + ANSWER_S
    while time.monotonic() < end_s and (directory / ASKED).exists():
        time.sleep(LOOK_S)
    _take_back(directory, asked)
    answer = files.read_answer(directory)
    if answer is not None and answer.id == asked.id:
        if not answer.accepted:
            raise VetoRefused(answer.text)
        return
    raise VetoError(
        f"the agent {config.agent} has not answered within {ANSWER_S:g} s: see its log, and "
        "`saling-agent hold` for what is in force"
    )


def _take_back(directory: Path, asked: Asked) -> None:
    left = files.read_asked(directory)
    if left is not None and left.id == asked.id:
        files.forget(directory, ASKED)


def _alone(config: AgentConfig, asked: Asked) -> None:
    """No agent runs, and none is started meanwhile."""
    directory = config.state_directory
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
