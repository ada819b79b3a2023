"""Where words go: data to stdout, everything else to stderr; colours only for people."""

from __future__ import annotations

import json
import os
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import Any

from rich.console import Console
from rich.text import Text

from controller.cli.exits import CommandFailed

WIDTH_WITHOUT_TERMINAL = 100
PROSE = 80
"""So wide are sentences that are folded here, on any terminal."""
NO_COLOR = bool(os.environ.get("NO_COLOR"))


class Output(StrEnum):
    """In which form data is printed."""

    TABLE = "table"
    JSON = "json"


def data_console() -> Console:
    """For stdout. Colours only on a terminal, and not with NO_COLOR."""
    return _console(stderr=False)


def note_console() -> Console:
    """For stderr: progress, questions, errors."""
    return _console(stderr=True)


def say(text: str, style: str = "") -> None:
    """One message to stderr."""
    note_console().print(Text(text, style=style), soft_wrap=True)


def folded(text: str, indent: str = "  ") -> str:
    """Prose of one line in lines that fit a narrow terminal, cut at blanks only."""
    return textwrap.fill(
        text, PROSE, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )


def print_json(data: Any, compact: bool = False) -> None:
    """One JSON document on stdout; on one line when compact."""
    indent = None if compact else 2
    sys.stdout.write(json.dumps(data, indent=indent) + "\n")
    sys.stdout.flush()


@contextmanager
def answers(output: Output) -> Iterator[None]:
    """For programs, also the answer of a controller that says no is data."""
    try:
        yield
    except CommandFailed as error:
        if output is Output.JSON and error.body is not None:
            print_json(error.body)
        raise


def _console(stderr: bool) -> Console:
    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() or "COLUMNS" in os.environ else WIDTH_WITHOUT_TERMINAL
    return Console(
        file=stream,
        width=width,
        force_terminal=stream.isatty(),
        # Without a colour system there is neither bold nor underline: NO_COLOR means none of it.
        color_system="auto" if stream.isatty() and not NO_COLOR else None,
        highlight=False,
        markup=False,
        emoji=False,
    )
