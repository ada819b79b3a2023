"""The cores decide the same way every time: nothing in them depends on the order of a set."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

CORES = ("controller/core", "agents/core")

ORDERED_BY_ITERATION = {"list", "tuple", "enumerate", "iter", "next", "zip", "map", "filter"}
"""Calls whose result follows the order in which their argument is walked."""

OUTSIDE = {"open", "print", "input", "id", "hash", "eval", "exec", "globals", "__import__"}
"""Builtins that reach out of the rules, or whose answer differs from run to run."""

PRINTERS = {"controller/core/diagram.py"}
"""Makes the diagram in the docs from the table; no rule imports it."""


def is_set(node: ast.expr) -> bool:
    """Whether an expression is plainly a set."""
    if isinstance(node, ast.Set | ast.SetComp):
        return True
    if isinstance(node, ast.BinOp):
        return is_set(node.left) or is_set(node.right)
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in {"set", "frozenset"}
    )


def walks_a_set(node: ast.AST) -> bool:
    """Whether this very node takes the items of a set one by one, in order."""
    if isinstance(node, ast.For | ast.comprehension):
        return is_set(node.iter)
    if isinstance(node, ast.Starred):
        return is_set(node.value)
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in ORDERED_BY_ITERATION
        and any(is_set(argument) for argument in node.args)
    )


def loops_without_order(tree: ast.AST) -> set[ast.comprehension]:
    """The loops whose result has no order: those of set comprehensions."""
    return {
        loop for node in ast.walk(tree) if isinstance(node, ast.SetComp) for loop in node.generators
    }


def faults(text: str) -> list[tuple[int, str]]:
    """Each impurity that can be seen without running the code, with its line."""
    tree = ast.parse(text)
    unordered = loops_without_order(tree)
    found = []
    for node in ast.walk(tree):
        if walks_a_set(node) and node not in unordered:
            line = node.iter.lineno if isinstance(node, ast.comprehension) else node.lineno  # type: ignore[attr-defined]
            found.append((line, "walks a set, whose order differs from run to run; sort it"))
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id in OUTSIDE
        ):
            found.append((node.lineno, f"calls {node.func.id}()"))
        if isinstance(node, ast.AsyncFunctionDef | ast.Await | ast.Global):
            found.append((node.lineno, "is async or global"))
    return found


@pytest.mark.parametrize("place", CORES)
def test_cores_depend_on_nothing_but_their_arguments(root: Path, place: str) -> None:
    """A seed replays bit by bit only if this holds."""
    wrong = [
        f"{file.relative_to(root)}:{line}: {fault}"
        for file in sorted((root / place).rglob("*.py"))
        if str(file.relative_to(root)) not in PRINTERS
        for line, fault in faults(file.read_text(encoding="utf-8"))
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("printer", sorted(PRINTERS))
def test_no_rule_imports_a_printer(root: Path, printer: str) -> None:
    """What may print stays outside of the rules."""
    name = printer.removesuffix(".py").rpartition("/")[2]
    users = [
        str(file.relative_to(root))
        for place in CORES
        for file in sorted((root / place).rglob("*.py"))
        if f".{name} import" in file.read_text(encoding="utf-8")
    ]
    assert users == []


@pytest.mark.parametrize(
    "text",
    [
        "for x in {1, 2}: pass",
        "[x for x in set(y)]",
        "tuple(set(a) - b)",
        "f(*{1, 2})",
        "hash(x)",
        "async def f(): pass",
    ],
)
def test_purity_check_catches_what_it_is_for(text: str) -> None:
    """A check that never fails proves nothing."""
    assert faults(text)


@pytest.mark.parametrize("text", ["sorted({1, 2})", "{x for x in set(y)}", "1 in {1, 2}"])
def test_purity_check_allows_sets_without_order(text: str) -> None:
    """Membership and sorted walks are fine."""
    assert not faults(text)
