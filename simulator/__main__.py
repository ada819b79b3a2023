"""`python -m simulator`: runs seeds until a promise breaks, or tells the story of one."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial

import msgspec

from simulator.profiles import DEFAULT_PROFILE, PROFILES
from simulator.run import SECONDS, Result, run

PROGRESS_EVERY = 50


def main(arguments: list[str] | None = None) -> int:
    """0 when every promise held."""
    options = _parser().parse_args(arguments)
    if options.replay is not None:
        return _replay(options)
    passed = failed = 0
    for result in _results(options):
        passed, failed = passed + (not result.broken), failed + bool(result.broken)
        if options.json:
            print(msgspec.json.encode(result).decode(), flush=True)
        elif result.broken:
            print(f"seed {result.seed}: {result.broken}\n  {result.replay}", flush=True)
        if (passed + failed) % PROGRESS_EVERY == 0:
            print(f"{passed} passed, {failed} failed so far", file=sys.stderr, flush=True)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


def _parser() -> argparse.ArgumentParser:
    kinds = "; ".join(f"{profile.name}: {profile.about}" for profile in PROFILES.values())
    parser = argparse.ArgumentParser(prog="python -m simulator", description=__doc__, epilog=kinds)
    parser.add_argument("--seeds", type=_seeds, default=range(100), help="A:B, B excluded")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--profile", choices=sorted(PROFILES), default=DEFAULT_PROFILE)
    parser.add_argument("--seconds", type=int, default=SECONDS, help="how long there are faults")
    parser.add_argument("--json", action="store_true", help="a line of JSON a seed")
    parser.add_argument("--replay", type=int, metavar="SEED", help="tell the story of one seed")
    return parser


def _seeds(text: str) -> range:
    first, colon, end = text.partition(":")
    try:
        return range(int(first), int(end)) if colon else range(int(first), int(first) + 1)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not A:B, such as 0:1000") from None


def _results(options: argparse.Namespace) -> Iterator[Result]:
    one = partial(run, profile=options.profile, seconds=options.seconds)
    if options.jobs <= 1:
        yield from map(one, options.seeds)
        return
    with ProcessPoolExecutor(options.jobs) as pool:
        yield from pool.map(one, options.seeds, chunksize=4)


def _replay(options: argparse.Namespace) -> int:
    result = run(options.replay, options.profile, options.seconds, keep_story=True)
    print(result.story)
    speed = result.simulated_ms / 1000 / result.took_s
    print(
        f"digest {result.digest}, {result.simulated_ms / 1000:.1f} s simulated, {speed:.0f} times"
    )
    return 1 if result.broken else 0


if __name__ == "__main__":
    sys.exit(main())
