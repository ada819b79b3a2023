"""The file of a site's own checks: which commands tell an agent that something is not well.

Whoever may change the file or what it runs has the rights of the agent. So both must belong to
root or to the agent's user, and nobody else may write them or the directories above them (of
directories, group root may). That holds for the links on the way and where they stand as well.
What a program itself reads, such as the script that a shell is given, is not looked at.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from config.loader import check_version, has_errors, in_order
from config.model import Declared, quantity
from config.policies import REASONS
from config.problems import ConfigError, Problem, Refused
from config.reader import Document, read
from config.shape import build
from config.values import DurationMs, NameText

CHECKS_AT_MOST = 20
INTERVAL_LEAST_MS = 1000
TIMEOUT_LEAST_MS = 100
LINKS_AT_MOST = 40
"""As the kernel follows."""

OWN_KINDS = tuple(reason for reason in REASONS if reason not in ("disk", "other"))
"""What the agents watch themselves, and what the centre finds: no check and nobody who posts may
speak in their name."""

Word = Annotated[str, Field(max_length=1000, pattern=r"^[^\x00-\x1f]*$")]


class Check(Declared):
    """One command: exit status 0 is well, else its first line says what is not."""

    kind: NameText
    command: Annotated[tuple[Word, ...], Field(min_length=1, max_length=100)]
    """The program by its whole path, and its arguments; no shell reads it."""
    interval_ms: DurationMs = quantity("interval", 30_000, "30s")
    timeout_ms: DurationMs = quantity("timeout", 10_000, "10s")
    on_after_ms: DurationMs = quantity("on_after", 5_000, "5s")
    """It is told only when it is still so after this."""
    off_after_ms: DurationMs = quantity("off_after", 60_000, "60s")
    """It ends only when it was well for so long."""

    @property
    def program(self) -> Path:
        """What is run."""
        return Path(self.command[0])


class Checks(Declared):
    """All checks of one host."""

    version: Literal[1]
    checks: Annotated[tuple[Check, ...], Field(max_length=CHECKS_AT_MOST)]


def load_checks(file: Path) -> Checks:
    """The checks in a file. Raises ConfigError with everything that is wrong."""
    refused = distrust(file)
    if refused is not None:
        raise ConfigError((Problem(file, "", "", refused.message, refused.mend),))
    return checks_of(read(file))


def checks_of(document: Document) -> Checks:
    """The checks in a document that was read before. Raises ConfigError."""
    check_version(document)
    checks = build(document, Checks)
    if checks is not None:
        check_entries(document, checks)
    if checks is None or has_errors(document):
        raise ConfigError(in_order(document))
    return checks


def check_entries(document: Document, checks: Checks) -> None:
    """Notes what one entry cannot know of another, or of itself."""
    first: dict[str, int] = {}
    for index, check in enumerate(checks.checks):
        loc = ("checks", index)
        if check.kind in OWN_KINDS:
            mend = "give it another, such as power or cooling"
            document.add((*loc, "kind"), check.kind, "Saling itself tells of this kind", mend)
        if first.setdefault(check.kind, index) != index:
            message = f"a second check of this kind, the first is checks[{first[check.kind]}]"
            document.add((*loc, "kind"), check.kind, message, "give each a kind of its own")
        if not check.program.is_absolute():
            mend = "name it as /usr/local/sbin/check-power or such"
            program = check.command[0]
            document.add((*loc, "command"), program, "the program has no whole path", mend)
        if check.interval_ms < INTERVAL_LEAST_MS:
            document.add((*loc, "interval"), "", "shorter than a second", "give a second or more")
        if check.timeout_ms < TIMEOUT_LEAST_MS:
            document.add((*loc, "timeout"), "", "shorter than 100 ms", "give 100ms or more")


def distrust(file: Path) -> Refused | None:
    """Why this file may not say what is run, or be run; None if it may."""
    try:
        *above, (actual, status) = _walked(file)
    except OSError as error:
        reason = error.strerror or str(error)
        return Refused(f"{file}: {reason}", "create it, or correct the path and its permissions")
    if not stat.S_ISREG(status.st_mode):
        return Refused(f"{file}: this is no regular file", "name the file itself")
    if refused := _not_ours(actual, status, stat.S_IWGRP | stat.S_IWOTH):
        return refused
    for place, seen in above:
        if refused := _not_ours(place, seen, _open_to(seen)):
            return refused
    return None


def _walked(file: Path) -> list[tuple[Path, os.stat_result]]:
    """All that decides what is found by this name, in the order in which the kernel comes by:
    directories, and links with the directories in which they stand; last the file. Raises OSError.
    """
    place = Path("/")
    walked = [(place, place.lstat())]
    names = list(reversed(file.absolute().parts[1:]))
    links = 0
    while names:
        if (name := names.pop()) == "..":
            # No link is left in the way to here.
            place = place.parent
            walked.append((place, place.lstat()))
            continue
        found = place / name
        seen = found.lstat()
        walked.append((found, seen))
        if not stat.S_ISLNK(seen.st_mode):
            place = found
            continue
        links += 1
        if links > LINKS_AT_MOST:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
        target = found.readlink()
        place = Path("/") if target.is_absolute() else place
        names += reversed(target.parts[1:] if target.is_absolute() else target.parts)
        # A link may be the last name, and lead to where we were before.
        walked.append((place, place.lstat()))
    return walked


def _open_to(seen: os.stat_result) -> int:
    """Which rights to write let somebody else change what a directory or a link leads to."""
    # Of a sticky directory nobody takes what is another one's; a link has no rights of its own.
    if seen.st_mode & stat.S_ISVTX or stat.S_ISLNK(seen.st_mode):
        return 0
    return stat.S_IWOTH if seen.st_gid == 0 else stat.S_IWOTH | stat.S_IWGRP


def _not_ours(place: Path, status: os.stat_result, open_to: int) -> Refused | None:
    if status.st_uid not in (0, os.geteuid()):
        return Refused(
            f"{place}: it belongs to user {status.st_uid}, neither root nor the agent's user",
            f"chown root {place}",
        )
    if status.st_mode & open_to:
        mode = stat.S_IMODE(status.st_mode)
        message = f"{place}: others than its owner may write it (mode {mode:04o})"
        return Refused(message, f"chmod go-w {place}")
    return None
