"""Options in bundles, and the one way to watch what was asked for."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import typer
from typer.core import TyperGroup
from typer.main import get_command

from controller.cli.app import app
from controller.cli.asking import watch
from controller.cli.exits import CommandFailed, Exit, Unreachable
from controller.cli.options import SaidWhy, Session, Watching, bundled


def options(command: Callable[..., None]) -> dict[str, bool]:
    """Of a command: each option's name, and whether it is needed."""
    app = typer.Typer(add_completion=False)
    app.command()(command)
    return {name: one.required for one in get_command(app).params if (name := one.name or "")}


def test_the_options_of_a_bundle_stand_in_its_place_and_reach_the_command_as_one() -> None:
    seen: list[object] = []

    @bundled
    def look(name: str, *, said: SaidWhy, manner: Watching, session: Session) -> Exit:
        """It looks."""
        seen.extend([name, said.body(), manner.no_wait, session.output.value])
        return Exit.DEGRADED

    found = options(look)
    assert list(found) == [
        "name", "by", "reason", "dry_run", "no_wait", "timeout", "controller", "token_file",
        "output",
    ]  # fmt: skip
    assert [name for name, needed in found.items() if needed] == ["name", "reason"]
    app = typer.Typer()
    app.command()(look)
    with pytest.raises(SystemExit) as ended:
        app(["batam", "--reason", "racks", "--no-wait", "-o", "json"])
    assert ended.value.code == Exit.DEGRADED
    assert seen == ["batam", {"by": "", "reason": "racks"}, True, "json"]


def test_every_command_but_those_that_need_no_controller_says_where_it_is() -> None:
    alone = {"validate", "replay", "demo", "version"}
    whole = get_command(app)
    assert isinstance(whole, TyperGroup)
    for name, command in whole.commands.items():
        parts = getattr(command, "commands", {"": command})
        for part, one in parts.items():
            names = {option.name for option in one.params}
            asks = {"controller", "token_file"} <= names
            assert asks == (name not in alone), f"{name} {part}"


def away(*answers: object) -> Callable[[], object]:
    """Gives one after the other; an error is raised."""
    left = list(answers)

    def look() -> object:
        answer = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    return look


def test_a_controller_that_is_away_is_told_once_and_asked_again(
    capsys: pytest.CaptureFixture[str],
) -> None:
    gone = Unreachable("it is away")
    seen = watch(away(1, gone, gone, 2, gone, 3), lambda one: one == 3, 30, 0)
    assert seen == 3
    assert capsys.readouterr().err.count("it is away\nasking again") == 2


def test_what_was_seen_last_is_given_when_the_time_is_over() -> None:
    assert watch(away(1), lambda one: one == 2, 0, 0) == 1
    assert watch(away(Unreachable("it is away")), lambda _one: True, 0, 0) is None


def test_what_asking_again_cannot_mend_ends_the_watching() -> None:
    with pytest.raises(CommandFailed, match="no such plan"):
        watch(away(CommandFailed("no such plan", Exit.USAGE)), lambda _one: False, 30, 0)
