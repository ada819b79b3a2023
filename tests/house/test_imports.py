"""The layers that import-linter cannot say: which modules may know which, by full list."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

OURS = {"protocol", "config", "controller", "agents", "lab", "simulator"}

IMPURE = {
    "aiohttp",
    "aiomqtt",
    "asyncio",
    "asyncpg",
    "contextvars",
    "datetime",
    "io",
    "logging",
    "os",
    "pathlib",
    "random",
    "secrets",
    "select",
    "shutil",
    "signal",
    "socket",
    "sqlite3",
    "structlog",
    "subprocess",
    "sys",
    "tempfile",
    "threading",
    "time",
    "uuid",
}
"""A rule that reads a clock, a socket, a log or a dice cannot be replayed."""

CORES = ("controller/core", "agents/core")

MAY_IMPORT = {
    "protocol": {"protocol"},
    "config": {"config", "protocol"},
    "controller/core": {"controller.core", "protocol", "config"},
    "agents/core": {"agents.core", "protocol", "config"},
    "simulator": {
        "simulator",
        "controller.core",
        "agents.core",
        "protocol",
        "config.leases",
        "config.tiers",
        # Scenarios write times and sizes as the configuration does.
        "config.values",
        "config.problems",
    },
}
"""Of our own modules. A package and all that is under it."""

SESSION = "protocol/session.py"
AT_THE_SESSION_ONLY = {"aiomqtt", "asyncio", "socket", "structlog", "protocol.session"}
"""What nothing else of `protocol`, and nothing that is pure, may import."""


def imports(file: Path) -> list[tuple[int, str]]:
    """Every module that a file imports, with its line; relative imports are refused."""
    found = []
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}:{node.lineno}: write the import path in full"
            assert node.module is not None
            found += [(node.lineno, f"{node.module}.{alias.name}") for alias in node.names]
    return found


def is_under(module: str, packages: set[str]) -> bool:
    """Whether a module is one of these packages or stands inside one."""
    return any(module == package or module.startswith(f"{package}.") for package in packages)


@pytest.mark.parametrize("place", CORES)
def test_cores_import_nothing_that_touches_the_world(root: Path, place: str) -> None:
    """The rules live in pure modules."""
    wrong = [
        f"{file.relative_to(root)}:{line}: imports {module}"
        for file in sorted((root / place).rglob("*.py"))
        for line, module in imports(file)
        if module.split(".")[0] in IMPURE
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("place", sorted(MAY_IMPORT))
def test_packages_import_only_what_their_layer_allows(root: Path, place: str) -> None:
    """What is not on the list is refused."""
    wrong = [
        f"{file.relative_to(root)}:{line}: imports {module}"
        for file in sorted((root / place).rglob("*.py"))
        for line, module in imports(file)
        if module.split(".")[0] in OURS and not is_under(module, MAY_IMPORT[place])
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("place", ["protocol", "config", *CORES])
def test_only_the_session_speaks_to_brokers(root: Path, place: str) -> None:
    """Messages, topics and windows can be used where there is no network."""
    wrong = [
        f"{file.relative_to(root)}:{line}: imports {module}"
        for file in sorted((root / place).rglob("*.py"))
        for line, module in imports(file)
        if file != root / SESSION and is_under(module, AT_THE_SESSION_ONLY)
    ]
    assert not wrong, "\n".join(wrong)


def reached(root: Path, start: Path) -> list[Path]:
    """A file of ours and all the files of ours that it imports, however far."""
    found = [start]
    for file in found:
        for _, module in imports(file):
            parts = module.split(".")
            for length in range(1, len(parts) + 1):
                place = root.joinpath(*parts[:length])
                for candidate in (place.with_suffix(".py"), place / "__init__.py"):
                    if candidate.is_file() and candidate not in found:
                        found.append(candidate)
    return found


def test_guard_imports_only_the_standard_library(root: Path) -> None:
    """The guard must start and kill whatever happens to the environment around it.

    It stands in agents/guard/, without the agent's side of it, and agents/fences/ for its layers.
    """
    files = reached(root, root / "agents" / "guard" / "guard.py")
    names = {str(file.relative_to(root)) for file in files} - {"agents/__init__.py"}
    assert all(name.startswith(("agents/guard/", "agents/fences/")) for name in names), names
    assert "agents/guard/client.py" not in names
    wrong = [
        f"{file.relative_to(root)}:{line}: imports {module}"
        for file in files
        for line, module in imports(file)
        if module.split(".")[0] not in sys.stdlib_module_names | {"agents"}
    ]
    assert not wrong, "\n".join(wrong)


def test_our_names_hide_no_module_of_the_standard_library() -> None:
    """Our top-level names are short; none may stand in front of Python's own."""
    assert not OURS & sys.stdlib_module_names
