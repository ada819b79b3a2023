"""What is wrong with a configuration: where, which value, why, and the mend.

A Problem is one finding. Errors are raised together in one ConfigError, warnings are
returned beside what was loaded. Secrets are never shown.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

Loc = tuple[str | int, ...]
"""The way from the top of a file to a value: keys and indexes."""

SHOWN_AT_MOST = 80

SECRET_KEY = re.compile(r"password|passwd|passphrase|secret|token|credential|private|signing_key")
SECRET_TEXT = re.compile(r"-----BEGIN|://[^/\s]*@")


class Severity(StrEnum):
    """Whether a finding stops the loading."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True)
class Problem:
    """One finding.

    `path` reads like `services[2].replicas[1].site`, empty for the whole file. `value` is
    what stands there, as it may be shown. `line` counts from 1, 0 when it is not known.
    `subject` says what the path is about, such as `service paspor`.
    """

    file: Path
    path: str
    value: str
    message: str
    mend: str
    severity: Severity = Severity.ERROR
    line: int = 0
    subject: str = ""

    def render(self) -> str:
        """Two lines: what is wrong and where, and the mend."""
        place = f"{self.file}:{self.line}" if self.line else str(self.file)
        key = self.path
        if self.subject:
            key = f"{key} ({self.subject})" if key else self.subject
        if self.value:
            key = f"{key} = {self.value}" if key else self.value
        middle = f"{key}: " if key else ""
        return f"{self.severity}: {place}: {middle}{self.message}\n  mend: {self.mend}"


class ConfigError(Exception):
    """A configuration that cannot be used, with everything that is wrong with it."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        self.problems = problems
        super().__init__("\n".join(problem.render() for problem in problems))


class Refused(ValueError):
    """One value that cannot be used: why, and the mend; `key` when it stands inside a mapping."""

    def __init__(self, message: str, mend: str, key: str = "") -> None:
        self.message = message
        self.mend = mend
        self.key = key
        super().__init__(message)


def path_text(loc: Loc) -> str:
    """The way to a value as one reads it: `services[2].replicas[1].site`."""
    text = ""
    for part in loc:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += f".{part}" if text else part
    return text


def shown(loc: Loc, value: Any) -> str:
    """A value as it may be shown: short, on one line, and never a secret."""
    if any(isinstance(part, str) and SECRET_KEY.search(part.lower()) for part in loc):
        return "(not shown)"
    if isinstance(value, dict):
        return f"a mapping of {len(value)}"
    if isinstance(value, list | tuple):
        return f"a list of {len(value)}"
    if value is None:
        return "(blank)"
    if isinstance(value, bool):
        return str(value).lower()
    text = str(value)
    if SECRET_TEXT.search(text):
        return "(not shown)"
    if len(text) > SHOWN_AT_MOST:
        text = text[:SHOWN_AT_MOST] + "..."
    if isinstance(value, str):
        return '"' + text.encode("unicode_escape").decode() + '"'
    return text
