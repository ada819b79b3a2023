"""An option that takes two values and may be repeated: typer can do either, but not both."""

from __future__ import annotations

import typer
from typer.core import TyperCommand

from controller.cli.exits import CommandFailed, Exit

CUT = "--cut"


class TakesCuts(TyperCommand):
    """A command whose `--cut A B` reaches it as one text for each cut."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override]
        return super().parse_args(ctx, joined(args))


def joined(args: list[str]) -> list[str]:
    """Each `--cut A B` as `--cut "A B"`; what is no whole pair stays as it is."""
    found, rest = [], list(args)
    while rest:
        word = rest.pop(0)
        found.append(word)
        pair = rest[:2]
        if word == CUT and len(pair) == 2 and not any(end.startswith("-") for end in pair):
            found.append(" ".join(pair))
            del rest[:2]
    return found


def pairs(cuts: list[str]) -> tuple[tuple[str, str], ...]:
    """The two places of each cut. Raises CommandFailed."""
    return tuple(_pair(cut) for cut in cuts)


def _pair(cut: str) -> tuple[str, str]:
    ends = cut.split()
    if len(ends) != 2:
        text = f"{CUT} {cut[:80]}: names {len(ends)} places; name the two, as in {CUT} batam bali"
        raise CommandFailed(text, Exit.USAGE)
    return ends[0], ends[1]
