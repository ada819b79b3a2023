"""The checkers can fail: rules dropped or misread on purpose are caught."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from simulator.run import run

SECONDS = 20


def _load(name: str) -> ModuleType:
    """A module beside this one; tests are no package."""
    path = Path(__file__).with_name(f"{name}.py")
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


MUTANTS = _load("simulation_mutants").MUTANTS


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_rule_that_is_misread_is_caught(mutant: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Within its number of seeds, and as a break of the promise that it threatens."""
    mutant.apply(monkeypatch)
    rules = []
    for seed in range(mutant.seeds_at_most):
        result = run(seed, mutant.profile, SECONDS)
        rules.append(result.rule)
        if result.rule in mutant.caught_as:
            return
    pytest.fail(f"{mutant.name} went through {mutant.seeds_at_most} worlds; broken: {rules}")
