"""The data directory and what stands beside it.

    <data>             a copy, or nothing
    <data>.seeding     a copy that is being made; never finished: made anew
    <data>.creating    the same for a new database
    <data>.rewinding   a mark: pg_rewind was at work, the copy is not whole until it is gone
    <data>.old-<n>     an earlier copy, which held nothing that is not elsewhere too
    <data>.kept-<n>    an earlier copy that may hold what nobody else has: never removed here

A copy at rest always holds standby.signal, so that whoever starts it gets a standby.
Nothing here removes a copy of a database but `remove` and what was never finished.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from agents.core.observation import Disk
from agents.engines.base import EngineError
from agents.engines.pg_settings import PostgresConfig, without_our_names

OLD, KEPT = "old", "kept"


class Directory:
    """One data directory. All its changes are on disk when a method returns."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.seeding = _beside(data, "seeding")
        self.creating = _beside(data, "creating")
        self._rewinding = _beside(data, "rewinding")
        self._standby = data / "standby.signal"

    def disk(self) -> Disk:
        """What stands there now."""
        try:
            names = {entry.name for entry in self.data.iterdir()}
        except FileNotFoundError:
            names = set()
        except OSError:
            return Disk.FOREIGN
        if not names:
            partial = self.seeding.exists() or self.creating.exists()
            return Disk.PARTIAL if partial else Disk.EMPTY
        if "PG_VERSION" in names and (self.data / "global" / "pg_control").is_file():
            return Disk.PARTIAL if self._rewinding.exists() else Disk.DATA
        return Disk.FOREIGN

    def need_data(self) -> None:
        """EngineError unless a whole copy stands there."""
        if (disk := self.disk()) is not Disk.DATA:
            raise EngineError(f"{self.data}: {disk.value}, not a whole copy: seed it first")

    def need_nothing(self) -> None:
        """EngineError unless the directory is absent or empty."""
        if self.data.exists() and (self.data.is_file() or any(self.data.iterdir())):
            raise EngineError(
                f"{self.data}: not empty, so it is left as it is;"
                " move it away or name another data directory"
            )

    def fresh(self, path: Path) -> Path:
        """An empty place for a copy to be made; an unfinished one there is removed."""
        if path.exists():
            shutil.rmtree(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def put_in_place(self, made: Path) -> None:
        """The finished copy becomes the data directory, which is absent or empty."""
        (made / "standby.signal").touch()
        sync(made)
        # A mark that outlived the copy it spoke of would condemn this one.
        self.rewound()
        with contextlib.suppress(FileNotFoundError):
            self.data.rmdir()
        made.rename(self.data)
        sync(self.data.parent)

    def move_aside(self, for_good: bool = False) -> Path:
        """The present copy becomes <data>.old-<n>, or .kept-<n>; returns where it is now."""
        kind = KEPT if for_good else OLD
        taken = (int(path.suffix.rpartition("-")[2]) for path in self._aside(kind))
        aside = _beside(self.data, f"{kind}-{1 + max(taken, default=0)}")
        self.data.rename(aside)
        sync(self.data.parent)
        self.rewound()
        return aside

    def old_copies(self) -> list[Path]:
        """What held nothing that is not elsewhere too."""
        return self._aside(OLD)

    def kept_copies(self) -> list[Path]:
        """What only a human removes."""
        return self._aside(KEPT)

    def _aside(self, kind: str) -> list[Path]:
        found = self.data.parent.glob(f"{self.data.name}.{kind}-*")
        return sorted(path for path in found if path.suffix.rpartition("-")[2].isdigit())

    def remove(self, copies: list[Path]) -> None:
        """Only of what `old_copies` names."""
        for copy in copies:
            shutil.rmtree(copy)

    def rewinding(self) -> None:
        """Mark the copy as not whole."""
        self._rewinding.touch()
        sync(self.data.parent)

    def rewound(self) -> None:
        self._rewinding.unlink(missing_ok=True)
        sync(self.data.parent)

    def make_standby(self) -> None:
        """At rest, and as soon as it runs: the next start is a standby's."""
        if not self._standby.exists():
            self._standby.touch(mode=0o600)
            sync(self.data)

    def make_primary(self) -> None:
        """Only right before a start that the guard agreed to."""
        self._standby.unlink(missing_ok=True)
        sync(self.data)

    def forget_dead_server(self) -> None:
        """Only when no process of the engine is left: take away a pid file that would be believed.

        It may name process 1 of a namespace that is gone, which outside of it is the host's own,
        or a process that was killed and whose new parent has not noticed yet.
        """
        pid_file = self.data / "postmaster.pid"
        try:
            first = pid_file.read_text().splitlines()[0].strip()
            dead = first == "1" or _is_zombie(first)
        except (FileNotFoundError, IndexError):
            return
        if dead:
            pid_file.unlink()

    def prepare(self, config: PostgresConfig) -> None:
        """Before a start: what another site's copy or ALTER SYSTEM would bring in is undone."""
        for directory in config.client_sockets:
            self._forget_dead_socket(directory / f".s.PGSQL.{config.port}")
        rewrite(self.data / "postgresql.auto.conf", without_our_names)

    def _forget_dead_socket(self, socket: Path) -> None:
        """Only when no process of the engine is left: the lock of its socket may be believed."""
        lock = socket.with_name(f"{socket.name}.lock")
        with contextlib.suppress(FileNotFoundError, IndexError):
            if lock.read_text().splitlines()[1] == str(self.data):
                socket.unlink(missing_ok=True)
                lock.unlink()


def rewrite(path: Path, change: Callable[[str], str]) -> None:
    """Write the file anew if the change changes it."""
    old = path.read_text() if path.exists() else ""
    if (new := change(old)) != old:
        write_whole(path, new)


def write_if_other(path: Path, text: str) -> bool:
    """Write it if it is not so already; whether it was written."""
    with contextlib.suppress(OSError):
        if path.read_text() == text:
            return False
    write_whole(path, text)
    return True


def _is_zombie(pid: str) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except OSError:
        return False


def write_whole(path: Path, text: str) -> None:
    """The old content or the new one, never a part, whatever dies in between. Mode 0600."""
    part = path.with_name(path.name + ".part")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(descriptor)
    part.replace(path)
    sync(path.parent)


def sync(path: Path) -> None:
    """A directory's entries, or a file's content, are on disk when this returns."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _beside(data: Path, what: str) -> Path:
    return data.with_name(f"{data.name}.{what}")
