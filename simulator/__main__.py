"""`python -m simulator`: runs seeds, tells the story of one, or makes a failing one smaller."""

from __future__ import annotations

import argparse
import sys

from simulator.many import run_many
from simulator.profiles import ALL, DEFAULT_PROFILE, PROFILES
from simulator.run import SECONDS, run


def main(arguments: list[str] | None = None) -> int:
    """0 when every promise held, 1 when one was broken, 2 when it was asked wrongly."""
    options = _parser().parse_args(arguments)
    if options.replay is not None:
        return _replay(options)
    profiles = sorted(PROFILES) if options.profile == ALL else [options.profile]
    return run_many(options.seeds, profiles, options.seconds, options.jobs, as_json=options.json)


def _parser() -> argparse.ArgumentParser:
    kinds = "; ".join(f"{profile.name}: {profile.about}" for profile in PROFILES.values())
    parser = argparse.ArgumentParser(prog="python -m simulator", description=__doc__, epilog=kinds)
    choices = [*sorted(PROFILES), ALL]
    parser.add_argument("--seeds", type=_seeds, default=range(100), help="A:B, B excluded")
    parser.add_argument("--jobs", type=_positive, default=1, help="processes")
    parser.add_argument("--profile", choices=choices, default=DEFAULT_PROFILE, metavar="P")
    parser.add_argument("--seconds", type=_positive, default=SECONDS, help="for how long it is bad")
    parser.add_argument("--json", action="store_true", help="a line of JSON a seed")
    parser.add_argument("--replay", type=int, metavar="SEED", help="tell the story of one seed")
    return parser


def _positive(text: str) -> int:
    number = int(text) if text.isdecimal() else 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return number


def _seeds(text: str) -> range:
    first, colon, end = text.partition(":")
    try:
        seeds = range(int(first), int(end)) if colon else range(int(first), int(first) + 1)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not A:B, such as 0:1000") from None
    if not seeds:
        raise argparse.ArgumentTypeError(f"{text!r} holds no seed: B must be more than A")
    return seeds


def _replay(options: argparse.Namespace) -> int:
    if options.profile == ALL:
        print("--replay tells one story: name its --profile", file=sys.stderr)
        return 2
    result = run(options.replay, options.profile, options.seconds, keep_story=True)
    print(result.story)
    print(f"digest {result.digest}, {result.simulated_ms / 1000:.1f} s simulated, {result.speed}")
    return 1 if result.broken else 0


if __name__ == "__main__":
    sys.exit(main())
