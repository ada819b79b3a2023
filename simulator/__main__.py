"""`python -m simulator`: runs seeds, tells the story of one, makes a failing one as small as it
can, plays scenarios, or measures its own speed."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from simulator.command import as_command
from simulator.many import run_many
from simulator.profiles import ALL, DEFAULT_PROFILE, PROFILES
from simulator.run import SECONDS
from simulator.speed import tell_speed
from simulator.tell import shrink_seed, tell_scenarios, tell_seed, unfit_to_save

TASKS = ("replay", "shrink", "scenario", "speed")


def main(arguments: list[str] | None = None) -> int:
    """0 when every promise held, 1 when one was broken, 2 when it was asked wrongly.

    130 when it was interrupted, 141 when nobody reads what it prints.
    """
    parser = _parser()
    options = parser.parse_args(arguments)
    _refuse_misplaced(parser, options)
    return as_command(lambda: _do(parser, options))


def _do(parser: argparse.ArgumentParser, options: argparse.Namespace) -> int:
    if options.speed:
        return tell_speed()
    if options.scenario:
        return tell_scenarios(options.scenario, options.record)
    one = options.replay if options.shrink is None else options.shrink
    if one is None:
        profiles = sorted(PROFILES) if options.profile == ALL else [options.profile]
        return run_many(
            options.seeds, profiles, options.seconds, options.jobs, as_json=options.json
        )
    if options.profile == ALL:
        parser.error("one run is of one profile: name its --profile")
    if options.save and (why := unfit_to_save(options.save)):
        parser.error(f"--save {options.save}: {why}")
    if options.shrink is None:
        return tell_seed(one, options.profile, options.seconds)
    return shrink_seed(one, options.profile, options.seconds, options.save)


BELONGS = {
    "record": ("scenario",),
    "save": ("shrink",),
    "json": ("seeds",),
    "jobs": ("seeds",),
    "profile": ("seeds", "replay", "shrink"),
    "seconds": ("seeds", "replay", "shrink"),
}
"""Of each option: what it may go with. Elsewhere it would be ignored."""


def _refuse_misplaced(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    task = next((task for task in TASKS if _given(parser, options, task)), "seeds")
    for option, tasks in BELONGS.items():
        if task not in tasks and _given(parser, options, option):
            parser.error(f"--{option} belongs to --{' or --'.join(tasks)}, not to --{task}")
    if task != "seeds" and _given(parser, options, "seeds"):
        parser.error(f"--seeds names many nights, --{task} does something else")


def _given(parser: argparse.ArgumentParser, options: argparse.Namespace, name: str) -> bool:
    return bool(getattr(options, name) != parser.get_default(name))


def _parser() -> argparse.ArgumentParser:
    kinds = "; ".join(f"{profile.name}: {profile.about}" for profile in PROFILES.values())
    parser = argparse.ArgumentParser(prog="python -m simulator", description=__doc__, epilog=kinds)
    choices = [*sorted(PROFILES), ALL]
    parser.add_argument(
        "--seeds",
        type=_seeds,
        default=range(100),
        help="A:B, B excluded, or one; 0:100 if nothing is asked",
    )
    parser.add_argument(
        "--jobs", type=_positive, default=1, help="so many processes, no more than cores"
    )
    parser.add_argument(
        "--profile",
        choices=choices,
        default=DEFAULT_PROFILE,
        metavar="P",
        help=f"{DEFAULT_PROFILE}, another one, or {ALL}",
    )
    parser.add_argument("--seconds", type=_positive, default=SECONDS, help="for how long it is bad")
    parser.add_argument(
        "--json",
        action="store_true",
        help="a line of JSON a seed on stdout, and the count on stderr",
    )
    parser.add_argument("--save", type=Path, metavar="FILE", help="keep what --shrink found there")
    parser.add_argument(
        "--record", action="store_true", help="write below each scenario how it went"
    )
    one = parser.add_mutually_exclusive_group()
    one.add_argument("--replay", type=_seed, metavar="SEED", help="tell the story of one seed")
    one.add_argument("--shrink", type=_seed, metavar="SEED", help="make a failing seed small")
    one.add_argument("--scenario", type=Path, nargs="+", metavar="FILE", help="play scenarios")
    one.add_argument("--speed", action="store_true", help="measure 4 sites with 8 services")
    return parser


def _positive(text: str) -> int:
    number = int(text) if text.isdecimal() else 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return number


def _seed(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is no seed: a whole number from 0 on")
    return int(text)


def _seeds(text: str) -> range:
    first, colon, end = text.partition(":")
    if not (first.isdecimal() and (end.isdecimal() or not colon)):
        raise argparse.ArgumentTypeError(f"{text!r} is not A:B, such as 0:1000")
    seeds = range(int(first), int(end) if colon else int(first) + 1)
    if not seeds:
        raise argparse.ArgumentTypeError(f"{text!r} holds no seed: B must be more than A")
    return seeds


if __name__ == "__main__":
    sys.exit(main())
