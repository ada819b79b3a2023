"""What was posted, in a file of the state directory: it outlives the agent, not the host.

Its times are of the boot-time clock, so they mean nothing after a reboot, and neither do they
have to: who reported that his host is not well looks at it again after that.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import msgspec
import structlog
from msgspec import Struct

from agents.core.symptoms import Post
from agents.durable import write_flushed

NAME = "symptoms.json"

log = structlog.get_logger("symptoms")


class _Kept(Struct, frozen=True):
    boot: str
    posts: tuple[Post, ...]


class PostsFile:
    """Of one start of the host."""

    def __init__(self, directory: Path, boot: str) -> None:
        self._path = directory / NAME
        self._boot = boot

    def read(self) -> tuple[Post, ...]:
        """What was written last; nothing where that cannot be read, for it is said again."""
        try:
            kept = msgspec.json.decode(self._path.read_bytes(), type=_Kept)
        except FileNotFoundError:
            return ()
        except (OSError, ValueError) as error:
            log.warning("what was posted is lost", file=str(self._path), error=str(error))
            return ()
        return kept.posts if kept.boot == self._boot else ()

    def write(self, posts: tuple[Post, ...]) -> None:
        """On disk when it returns. Raises OSError."""
        fresh = self._path.with_suffix(".new")
        write_flushed(fresh, msgspec.json.encode(_Kept(self._boot, posts)))
        fresh.replace(self._path)


class PostsWriter:
    """Writes the file in a thread of its own, once at a time: where the disk hangs, nobody else
    waits for it, and what is written last is the newest.
    """

    def __init__(self, file: PostsFile) -> None:
        self._file = file
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="posts")
        self._next: Future[str] | None = None
        self._newest: tuple[Post, ...] = ()

    def write(self, posts: tuple[Post, ...]) -> Future[str]:
        """When it is on disk, or something newer in its place: what went wrong, empty if nothing
        did.
        """
        self._newest = posts
        # One that has not begun takes these with it.
        if self._next is None or self._next.running() or self._next.done():
            self._next = self._thread.submit(self._write)
        return self._next

    def _write(self) -> str:
        try:
            self._file.write(self._newest)
        except OSError as error:
            return str(error)
        return ""
