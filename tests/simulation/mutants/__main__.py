"""`python -m tests.simulation.mutants`: hunts every mutant and prints what caught it.

With names of mutants it hunts these alone. The last line is `N killed, M survived`; 1 when one
survived.
"""

from __future__ import annotations

import argparse
import sys

from simulator.command import as_command
from tests.simulation.mutants.catalogue import MUTANTS
from tests.simulation.mutants.hunt import Catch, hunt, hunters

WIDTH = max(map(len, MUTANTS))


def main(arguments: list[str] | None = None) -> int:
    """0 when every mutant was caught, 1 when one survived."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.mutants")
    parser.add_argument("names", nargs="*", metavar="NAME", help="hunt these alone")
    options = parser.parse_args(arguments)
    unknown = [name for name in options.names if name not in MUTANTS]
    if unknown:
        parser.error(f"there is no mutant {', '.join(unknown)}; there are: {', '.join(MUTANTS)}")
    return as_command(lambda: _hunt_all(options.names or list(MUTANTS)))


def _hunt_all(names: list[str]) -> int:
    print(f"{'mutant':{WIDTH}}  {'rule':8}  {'profile':11}  caught as  seeds  seconds")
    killed = 0
    with hunters() as pool:
        for catch in pool.map(hunt, names):
            killed += bool(catch.caught_as)
            print(_line(catch), flush=True)
    print(f"{killed} killed, {len(names) - killed} survived")
    return 0 if killed == len(names) else 1


def _line(catch: Catch) -> str:
    mutant = MUTANTS[catch.name]
    said = catch.caught_as or "SURVIVED"
    return (
        f"{catch.name:{WIDTH}}  {mutant.rule:8}  {mutant.profile:11}  {said:9}  "
        f"{catch.worlds:5}  {catch.took_s:7.1f}"
    )


if __name__ == "__main__":
    sys.exit(main())
