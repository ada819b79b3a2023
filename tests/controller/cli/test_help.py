"""What the help of each command says: an example that is understood, and where it is listed."""

from __future__ import annotations

import shlex

import pytest
from typer.core import TyperGroup
from typer.main import get_command

from controller.cli.app import app
from controller.cli.examples import EXAMPLES, PANELS
from tests.controller.cli.conftest import Saling


def commands() -> set[str]:
    """The name of each command, with that of its group."""
    whole = get_command(app)
    assert isinstance(whole, TyperGroup)
    return {
        " ".join(filter(None, (name, part)))
        for name, command in whole.commands.items()
        for part in getattr(command, "commands", {"": None})
    }


def test_each_command_has_its_examples_and_its_place() -> None:
    assert set(EXAMPLES) == commands()
    listed = [name for names in PANELS.values() for name in names]
    assert sorted(listed) == sorted({name.split()[0] for name in commands()})


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_each_example_is_one_of_that_command_and_is_understood(saling: Saling, name: str) -> None:
    for line in EXAMPLES[name]:
        program, *words = shlex.split(line.partition(" > ")[0])
        assert program == "saling"
        assert words[: len(name.split())] == name.split()
        run = saling(*words, "--help")
        assert run.code == 0, run.err
        assert "Examples:" in run.out


def test_commands_stand_in_the_order_in_which_one_needs_them(saling: Saling) -> None:
    out = saling("--help").out
    places = [out.index(panel) for panel in PANELS]
    assert places == sorted(places)
