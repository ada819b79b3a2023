"""How a command ends: the exit codes, and the errors that carry them.

CommandFailed
  Unreachable    the controller gave no answer
  Conflict       the service is not what the request takes it for
  Refused        a safety rule forbids it; `unmet` says what is missing
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any

POSSIBLE_IF = "would be possible if this did not stand in the way:"
"""Before each unmet condition, which says what is the case now, or what must be."""


class Exit(IntEnum):
    """What a script reads from `saling`."""

    OK = 0
    ERROR = 1
    USAGE = 2
    DEGRADED = 3
    REFUSED = 4
    CONFLICT = 5
    INTERRUPTED = 130


class CommandFailed(Exception):
    """A command that ends early: the text for stderr, and the exit code."""

    def __init__(self, text: str, code: Exit = Exit.ERROR, body: Any = None) -> None:
        self.text = text
        self.code = code
        self.body = body
        """What the controller answered, if it did."""
        super().__init__(text)


class Unreachable(CommandFailed):
    """The controller gave no answer."""


class Conflict(CommandFailed):
    """The service is not what the request takes it for."""

    def __init__(self, text: str, body: Any) -> None:
        super().__init__(f"conflict: {text}", Exit.CONFLICT, body)


class Refused(CommandFailed):
    """A safety rule forbids it."""

    def __init__(self, text: str, unmet: tuple[str, ...], body: Any) -> None:
        self.unmet = unmet
        lines = [f"refused: {text}", *(f"  {POSSIBLE_IF} {x}" for x in unmet)]
        super().__init__("\n".join(lines), Exit.REFUSED, body)
