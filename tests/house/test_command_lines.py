"""Every command line of the documents names commands and options that there are."""

from __future__ import annotations

import re
import shlex
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

from typer.main import get_command

from agents.daemon import application
from controller.cli.app import app
from tests.house.test_tidy import tracked

CODE = re.compile(r"```\w*\n(.*?)```|`([^`\n]+)`", re.DOTALL)
COMMAND = re.compile(r"(?:^|\s|/)(saling|saling-agent) (--[a-z].*|[a-z].*)$")
NEXT = re.compile(r"&&|;|#")


def plain(command: Any) -> Any:
    """Without the frames around its help, which take most of the time here."""
    command.rich_markup_mode = None
    for part in getattr(command, "commands", {}).values():
        plain(part)
    return command


PROGRAMS = {"saling": plain(get_command(app)), "saling-agent": plain(get_command(application))}


def command_lines(root: Path) -> list[tuple[str, str, list[str]]]:
    """File, program and words of each; a backslash goes on in the next line."""
    found = []
    for file in tracked(root):
        if file.suffix != ".md":
            continue
        for block, inline in CODE.findall(file.read_text(encoding="utf-8")):
            for line in (block or inline).replace("\\\n", " ").splitlines():
                for part in NEXT.split(line):
                    if match := COMMAND.search(part.strip()):
                        # What may be left out stands in brackets, and a choice with a bar.
                        words = shlex.split(re.sub(r"[][]|\.\.\.", " ", match[2]))
                        found.append((str(file.relative_to(root)), match[1], words))
    return found


def refusal(program: str, words: list[str]) -> str:
    """Why the program does not take these words; empty if it does. Nothing is run."""
    said = StringIO()
    with redirect_stdout(said), redirect_stderr(said):
        try:
            PROGRAMS[program]([*words, "--help"], program)
        except SystemExit as ended:
            return said.getvalue() if ended.code else ""
    raise AssertionError(f"{program} {' '.join(words)} --help did not end")


def test_every_command_line_of_the_documents_is_understood(root: Path) -> None:
    """Options, commands and their order; not what their values may be."""
    lines = command_lines(root)
    assert len(lines) > 40
    wrong = [
        f"{file}: {program} {' '.join(words)}\n{why}"
        for file, program, words in lines
        if (why := refusal(program, words))
    ]
    assert not wrong, "\n".join(wrong)


def test_an_option_before_its_command_is_noticed() -> None:
    """As it once stood in a document."""
    assert "No such option" in refusal("saling", ["--token-file", "x", "status"])
