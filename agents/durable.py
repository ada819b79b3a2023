"""What must survive the agent: one JSON file a service, and the count of the agent's lives.

A file is replaced whole: written beside, flushed, renamed, the directory flushed. It holds the
SHA-256 of its body, so that a damaged one is told from a sound one. Whatever cannot be read is
an error with the mend; nothing is ever taken as empty that was written before.

Errors: DurableError when something was read that cannot be used; OSError when the disk fails.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import secrets
from pathlib import Path
from typing import TypeVar

import msgspec
from msgspec import Struct

from agents.core.model import Durable

FORMAT = 1
LIVES_FILE = "lives.json"
LOCK_FILE = "agent.lock"
SUFFIX = ".durable.json"


class DurableError(Exception):
    """A file of the state directory cannot be used; the text names it and the mend."""


class Kept(Struct, frozen=True):
    """The durable state of one replica. `service_uid` is empty until the first Order."""

    cluster: str
    agent: str
    service: str
    service_uid: str = ""
    durable: Durable = Durable()


class Lives(Struct, frozen=True):
    """How often the agent was started, and which services have a file."""

    cluster: str
    agent: str
    count: int = 0
    services: tuple[str, ...] = ()


class _File(Struct, frozen=True):
    format: int
    sha256: str
    body: msgspec.Raw


class DurableFile:
    """The durable state of one replica on disk. One writer at a time."""

    def __init__(self, directory: Path, cluster: str, agent: str, service: str) -> None:
        self.path = directory / f"{service}{SUFFIX}"
        self._fresh = Kept(cluster=cluster, agent=agent, service=service)

    def load(self) -> Kept:
        """What was last written. Raises DurableError."""
        kept = _read(self.path, Kept)
        wanted = self._fresh
        if (kept.cluster, kept.agent, kept.service) != (
            wanted.cluster,
            wanted.agent,
            wanted.service,
        ):
            raise DurableError(
                f"{self.path}: is of service {kept.service} on agent {kept.agent} of cluster "
                f"{kept.cluster}, not of this one: give each agent a state_directory of its own, "
                "and put the right file back"
            )
        return kept

    def write(self, service_uid: str, durable: Durable) -> None:
        """Replace the file; on disk when it returns. Raises OSError, then the old one stands."""
        kept = msgspec.structs.replace(self._fresh, service_uid=service_uid, durable=durable)
        _replace(self.path, kept)

    def create(self) -> None:
        """The file of a service that never had one."""
        _replace(self.path, self._fresh)


def begin_life(directory: Path, cluster: str, agent: str, services: tuple[str, ...]) -> str:
    """Count one more life and give its name, such as `12-9f3a61c0`: it never comes again.

    Makes the file of each service that is new here. Raises DurableError, OSError.
    """
    path = directory / LIVES_FILE
    lives = _read(path, Lives) if path.exists() else Lives(cluster, agent)
    if (lives.cluster, lives.agent) != (cluster, agent):
        raise DurableError(
            f"{path}: is of agent {lives.agent} of cluster {lives.cluster}, not of {agent} of "
            f"{cluster}: give each agent a state_directory of its own"
        )
    for service in services:
        file = DurableFile(directory, cluster, agent, service)
        if file.path.exists():
            continue
        if service in lives.services:
            raise _damaged(file.path, "is missing, though it was written before")
        file.create()
    known = tuple(sorted({*lives.services, *services}))
    _replace(path, msgspec.structs.replace(lives, count=lives.count + 1, services=known))
    return f"{lives.count + 1}-{secrets.token_hex(4)}"


def prepare_directory(directory: Path) -> None:
    """Make it, readable by its owner only, unless it stands. Raises OSError."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)


def lock_directory(directory: Path) -> int:
    """A lock that this process holds until it ends. Raises DurableError when another has it."""
    descriptor = os.open(directory / LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        pid = os.pread(descriptor, 32, 0).decode(errors="replace")
        os.close(descriptor)
        raise DurableError(
            f"{directory}: process {pid or 'unknown'} is the agent here already: stop that one, "
            "or name another state_directory"
        ) from None
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, str(os.getpid()).encode(), 0)
    return descriptor


def running_agent(directory: Path) -> int | None:
    """The pid of the agent that holds the lock, None when none does. Raises OSError."""
    try:
        descriptor = os.open(directory / LOCK_FILE, os.O_RDWR)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        text = os.pread(descriptor, 32, 0).decode(errors="replace")
        return int(text) if text.isdecimal() else None
    else:
        return None
    finally:
        os.close(descriptor)


T = TypeVar("T")


def _read(path: Path, kind: type[T]) -> T:
    try:
        file = msgspec.json.decode(path.read_bytes(), type=_File)
    except OSError as error:
        raise DurableError(
            f"{path}: cannot be read ({error.strerror or error}): give the agent's user the right "
            "to read and write it, or mend the disk"
        ) from None
    except (msgspec.DecodeError, ValueError) as error:
        raise _damaged(path, f"is no state file ({error})") from None
    if file.format != FORMAT:
        raise DurableError(
            f"{path}: has format {file.format}, this version reads {FORMAT}: run the version of "
            "Saling that wrote it, or a later one"
        )
    if hashlib.sha256(file.body).hexdigest() != file.sha256:
        raise _damaged(path, "does not fit its own sha256")
    try:
        return msgspec.json.decode(file.body, type=kind)
    except (msgspec.DecodeError, ValueError) as error:
        raise _damaged(path, f"holds something else ({error})") from None


def _damaged(path: Path, what: str) -> DurableError:
    return DurableError(
        f"{path}: {what}; it holds promises, so the agent does not go on without it: put back a "
        "sound copy from this very host; if there is none, keep the engine stopped for longer "
        "than its lease and start with a new, empty state_directory"
    )


def _replace(path: Path, content: Struct) -> None:
    body = msgspec.json.encode(content)
    file = _File(FORMAT, hashlib.sha256(body).hexdigest(), msgspec.Raw(body))
    fresh = path.with_suffix(".new")
    try:
        write_flushed(fresh, msgspec.json.encode(file))
        fresh.replace(path)
    except OSError as error:
        error.filename = error.filename or str(path)  # a write names no file by itself
        # A full disk is not helped by the rest of what did not fit.
        with contextlib.suppress(OSError):
            fresh.unlink(missing_ok=True)
        raise
    _flush_directory(path.parent)


def write_flushed(path: Path, data: bytes) -> None:
    """Make or empty a file of the owner and fill it; on disk when it returns. Raises OSError."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        os.fchmod(descriptor, 0o600)
        view = memoryview(data)
        while view:
            view = view[os.write(descriptor, view) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _flush_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
