"""House rules for every file of the repository."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

import pytest

LINES_AT_MOST = 400

FUNCTION_LINES_AT_MOST = 50
SHIPPED = ("agents", "config", "controller", "protocol")

LONG_FILES: frozenset[str] = frozenset()
"""Python files that may be longer, each with its reason beside it."""

TEXT = {"", ".cfg", ".ini", ".json", ".lock", ".md", ".py", ".sh", ".toml", ".txt", ".yaml", ".yml"}

# Written in two parts, so that this file does not hold what it forbids.
FORBIDDEN = {
    "a package registry's address": re.compile(
        "|".join(
            [
                r"pypi\." + "org",
                "python" + "hosted",
                r"registry\.npm" + r"js",
                r"deb\.debian\." + "org",
            ]
        )
    ),
    "an absolute path of one machine": re.compile("/wo" + "rk/|/ro" + "ot/"),
    "a merge that was not resolved": re.compile("^(?:<<<<" + "<<<|>>>>" + ">>>) "),
    "work left for later": re.compile(r"\b(TO" + "DO|FIX" + "ME)\b"),
}

ROOMS = "agents|config|controller|docs|lab|protocol|simulator|tests"
NAMED_FILE = re.compile(rf"(?<![\w/.-])(?:{ROOMS})/[\w/-]+\.(?:py|md)\b")


def tracked(root: Path) -> list[Path]:
    """Every file of the repository, those included that are not committed yet."""
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=root,
        capture_output=True,
        check=False,
        timeout=300,
    )
    if listing.returncode != 0:
        pytest.skip("this is no git checkout: " + listing.stderr.decode().strip())
    names = listing.stdout.decode().split("\0")
    return [root / name for name in sorted(names) if name and (root / name).is_file()]


def python_files(root: Path) -> list[Path]:
    """Every Python file of the repository."""
    return [file for file in tracked(root) if file.suffix == ".py"]


def functions(file: Path) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Every function that a file defines."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return [
        node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]


def test_no_file_holds_what_belongs_elsewhere(root: Path) -> None:
    """No registry addresses, paths of one machine, unresolved merges, work left for later."""
    wrong = []
    for file in tracked(root):
        if file.suffix not in TEXT:
            continue
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
            wrong += [
                f"{file.relative_to(root)}:{number}: {what}"
                for what, pattern in FORBIDDEN.items()
                if pattern.search(line)
            ]
    assert not wrong, "\n".join(wrong)


def test_every_file_that_is_named_is_there(root: Path) -> None:
    """Files are moved, and what speaks of them forgets it; the changelog tells of what was."""
    wrong = []
    for file in tracked(root):
        if file.suffix not in (".md", ".py") or file.name == "CHANGELOG.md":
            continue
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
            wrong += [
                f"{file.relative_to(root)}:{number}: there is no {name}"
                for name in NAMED_FILE.findall(line)
                if not (root / name).is_file()
            ]
    assert not wrong, "\n".join(wrong)


def test_no_python_file_is_too_long(root: Path) -> None:
    """A file does one thing."""
    wrong = []
    for file in python_files(root):
        name = str(file.relative_to(root))
        lines = len(file.read_text(encoding="utf-8").splitlines())
        if lines > LINES_AT_MOST and name not in LONG_FILES:
            wrong.append(f"{name}: {lines} lines, at most {LINES_AT_MOST}")
    assert not wrong, "\n".join(wrong)


def test_no_shipped_function_is_too_long(root: Path) -> None:
    """A function is read at one look; tests and the lab tell longer stories."""
    wrong = []
    for file in python_files(root):
        if file.relative_to(root).parts[0] not in SHIPPED:
            continue
        for function in functions(file):
            lines = (function.end_lineno or 0) - function.lineno + 1
            if lines > FUNCTION_LINES_AT_MOST:
                where = f"{file.relative_to(root)}:{function.lineno}: {function.name}"
                wrong.append(f"{where}: {lines} lines, at most {FUNCTION_LINES_AT_MOST}")
    assert not wrong, "\n".join(wrong)


def test_every_module_says_what_it_is(root: Path) -> None:
    """An empty __init__.py has nothing to say."""
    wrong = []
    for file in python_files(root):
        text = file.read_text(encoding="utf-8")
        if file.name == "__init__.py" and not text.strip():
            continue
        if not ast.get_docstring(ast.parse(text)):
            wrong.append(f"{file.relative_to(root)}: no module docstring")
    assert not wrong, "\n".join(wrong)


def test_every_test_is_named_by_a_sentence(root: Path) -> None:
    """The name of a test says what holds, in three words or more."""
    wrong = [
        f"{file.relative_to(root)}:{function.lineno}: {function.name}"
        for file in python_files(root)
        if file.name.startswith("test_")
        for function in functions(file)
        if function.name.startswith("test_") and len(function.name.split("_")) < 4
    ]
    assert not wrong, "\n".join(wrong)


def test_lock_file_pins_every_requirement_by_hash(root: Path) -> None:
    """What is installed is what was locked, and nothing tells where it came from."""
    text = (root / "requirements.lock").read_text(encoding="utf-8")
    assert "://" not in text
    entries = re.split(r"\n(?=\S)", text.strip())
    assert entries
    assert [entry for entry in entries if "==" not in entry or "--hash=sha256:" not in entry] == []
