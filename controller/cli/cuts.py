"""`--cut A B`: an option of two values that may stand several times, which typer has not."""

from __future__ import annotations

from typing import Any

from typer.core import TyperCommand

from controller.cli.exits import CommandFailed, Exit

OPTION = "--cut"


class CutsInPairs(TyperCommand):
    """A command whose `--cut A B` is read as `--cut A,B`, which may be written, too."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """As the base class does."""
        return super().parse_args(ctx, joined(args))


def joined(args: list[str]) -> list[str]:
    """The same arguments with the two places of each cut in one; no option is taken for a place."""
    told, rest = [], list(args)
    while rest:
        told.append(rest.pop(0))
        ends = rest[:2]
        whole = len(ends) == 2 and not any(end.startswith("-") or "," in end for end in ends)
        if told[-1] == OPTION and whole:
            told.append(",".join(ends))
            del rest[:2]
    return told


def pairs(cuts: list[str]) -> tuple[tuple[str, str], ...]:
    """The two places of each cut. Raises CommandFailed."""
    told = []
    for cut in cuts:
        first, _, second = cut.partition(",")
        if not first or not second or second.startswith("-") or "," in second:
            text = f"--cut {cut.strip(',')[:80]!a}: it takes two places, as in --cut batam bali"
            raise CommandFailed(text, Exit.USAGE)
        if first == second:
            text = f"--cut {first[:80]!a} {first[:80]!a}: both are one place; name two places"
            raise CommandFailed(text, Exit.USAGE)
        told.append((first, second))
    return tuple(told)
