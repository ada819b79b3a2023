"""The files of a local veto in the state directory: what is in force, what is asked, the answer.

`hold.json` is the veto: its time left is counted by the agent on the boot clock and written down
regularly, so that neither a restart nor a reboot ends it early; time in which no agent runs is
not counted. `saling-agent hold` asks a running agent through `hold.asked.json` and reads what
became of it in `hold.answer.json`. Files are replaced whole, and flushed.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TypeVar

import msgspec
from msgspec import Struct

from agents.durable import DurableError, write_flushed

IN_FORCE, ASKED, ANSWER = "hold.json", "hold.asked.json", "hold.answer.json"
ASKING = "hold.lock"
"""Locked by the one command that asks; the agent does not look at it."""


class Veto(Struct, frozen=True):
    """A veto in force."""

    by: str
    reason: str
    for_ms: int
    left_ms: int
    """When this was written."""

    @property
    def text(self) -> str:
        """Who, and why."""
        return f"{self.by}: {self.reason}"


class Asked(Struct, frozen=True):
    """What the command wants of the agent."""

    id: str
    by: str = ""
    reason: str = ""
    for_ms: int = 0
    """0: release."""


class Answer(Struct, frozen=True):
    """What became of it."""

    id: str
    accepted: bool
    text: str


T = TypeVar("T", Veto, Asked, Answer)


def read_veto(directory: Path) -> Veto | None:
    """The veto that was written last. Raises DurableError, OSError."""
    path = directory / IN_FORCE
    try:
        return _read(path, Veto)
    except (msgspec.DecodeError, ValueError) as error:
        raise DurableError(
            f"{path}: is no hold ({error}): whether one was in force is not known; place it anew "
            "or end it, with `saling-agent hold` or `saling-agent release`"
        ) from None


def read_asked(directory: Path) -> Asked | None:
    """What is asked; what is not understood is taken away. Raises OSError."""
    try:
        return _read(directory / ASKED, Asked)
    except (msgspec.DecodeError, ValueError):
        forget(directory, ASKED)
        return None


def read_answer(directory: Path) -> Answer | None:
    """The last answer. Raises OSError."""
    try:
        return _read(directory / ANSWER, Answer)
    except (msgspec.DecodeError, ValueError):
        return None


def write(directory: Path, name: str, content: Veto | Asked | Answer) -> None:
    """On disk when it returns, and the directory's owner's. Raises OSError."""
    path = directory / name
    fresh = path.with_suffix(f".{os.getpid()}.new")
    try:
        write_flushed(fresh, msgspec.json.encode(content))
        give_to_owner(directory, fresh)
        fresh.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            fresh.unlink(missing_ok=True)
        raise
    _flush(directory)


def give_to_owner(directory: Path, file: Path | int) -> None:
    """Root may run the command of an agent that is not root's. Raises OSError."""
    if os.geteuid() == 0:
        owner = directory.stat()
        os.chown(file, owner.st_uid, owner.st_gid)


def forget(directory: Path, name: str) -> None:
    """Take a file away for good. Raises OSError."""
    with contextlib.suppress(FileNotFoundError):
        (directory / name).unlink()
        _flush(directory)


def _read(path: Path, kind: type[T]) -> T | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except FileNotFoundError:
        return None


def _flush(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
