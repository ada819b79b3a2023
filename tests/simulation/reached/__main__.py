"""`python -m tests.simulation.reached`: which rows and branches of the rules worlds reach.

Prints every row of the table of phases with how often it was taken, then each line and branch
of both cores that nothing reached. Returns 1 when a row or a branch is missing, or the list
of what cannot be reached is not true any more.
"""

from __future__ import annotations

import argparse
import sys

from simulator.command import as_command
from tests.simulation.reached.measure import Reached, measure
from tests.simulation.reached.unreachable import sort_out
from tests.simulation.reached.worlds import tasks

JOBS = 2
SEEDS = 60
SECONDS = 20
TIMEOUT_S = 3600


def main(arguments: list[str] | None = None) -> int:
    """0 when all was reached."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.reached")
    parser.add_argument("--seeds", type=int, default=SEEDS, help="of each profile")
    parser.add_argument("--seconds", type=int, default=SECONDS, help="for how long it is bad")
    parser.add_argument("--jobs", type=int, default=JOBS, help="processes")
    options = parser.parse_args(arguments)
    for name in ("seeds", "seconds", "jobs"):
        if getattr(options, name) < 1:
            parser.error(f"--{name} {getattr(options, name)}: a whole number of at least 1")
    measured = tasks(options.seeds, options.seconds)
    return as_command(lambda: show(measure(measured, options.jobs, TIMEOUT_S)))


def show(reached: Reached) -> int:
    """Print what was reached, and what not."""
    for row, count in reached.rows.items():
        print(f"{count:8}  {row}")
    never = [row for row, count in reached.rows.items() if not count]
    unexplained, stale = sort_out(reached.missed)
    for missed in unexplained:
        print(f"never reached: {missed}")
    for entry in stale:
        print(f"reached, or gone, though listed as unreachable: {entry}")
    print(
        f"{len(reached.rows) - len(never)} rows taken, {len(never)} never; "
        f"{len(unexplained)} branches never reached, {len(stale)} entries stale"
    )
    return 1 if never or unexplained or stale else 0


if __name__ == "__main__":
    sys.exit(main())
