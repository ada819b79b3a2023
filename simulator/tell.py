"""What the command line does with one run: tells its story, makes it smaller, plays a script."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from simulator.run import run, run_drawn
from simulator.scenarios.playing import play
from simulator.scenarios.reading import read
from simulator.scenarios.words import ScenarioError
from simulator.scenarios.writing import with_record, write
from simulator.shrink import shrink


def tell_seed(seed: int, profile: str, seconds: int) -> int:
    """The whole story of a seed; 1 when it breaks a promise."""
    result = run(seed, profile, seconds, keep_story=True)
    print(result.story)
    print(f"digest {result.digest}, {result.simulated_ms / 1000:.1f} s simulated, {result.speed}")
    return 1 if result.broken else 0


def unfit_to_save(file: Path) -> str:
    """Why nothing can be saved there; empty when it can. Found out before the work begins."""
    if file.is_dir():
        return "it is a directory: name a file in it"
    if not file.parent.is_dir():
        return f"there is no directory {file.parent}: make it first"
    writable = os.access(file if file.exists() else file.parent, os.W_OK)
    return "" if writable else "it cannot be written: name a file of your own"


def tell_scenarios(files: list[Path], record: bool) -> int:
    """Play each, and print or record what happened; 1 when a promise or expectation broke."""
    failed = 0
    for file in files:
        try:
            text = file.read_text(encoding="utf-8")
            scenario = read(text, str(file))
        except ScenarioError as error:
            return _refuse(str(error))
        except OSError as error:
            return _refuse(f"{file}: {error.strerror or error}")
        except UnicodeDecodeError:
            return _refuse(f"{file}: no text in UTF-8, so no scenario")
        played = play(scenario)
        failed += bool(played.broken)
        if record and not played.broken:
            file.write_text(with_record(text, played.record), encoding="utf-8")
            print(f"{file}: recorded")
        else:
            print(f"{file}\n{played.record}", end="")
    return 1 if failed else 0


def shrink_seed(seed: int, profile: str, seconds: int, save: Path | None) -> int:
    """Print the smallest scenario that breaks as the seed does; 1 unless there is one."""
    result, script = run_drawn(seed, profile, seconds, False)
    if not result.broken:
        print(f"seed {seed} breaks nothing under {profile}: there is nothing to shrink")
        return 1
    print(f"{len(script.strikes)} strikes: {result.broken}", file=sys.stderr, flush=True)
    shrunk = shrink(script, result.broken, result.rule, _say)
    if shrunk is None:
        print(f"written as a scenario, seed {seed} does not break {result.rule}", file=sys.stderr)
        return 1
    text = write(shrunk.scenario)
    print(text, end="")
    print(f"after {shrunk.tries} tries: {shrunk.played.broken}", file=sys.stderr)
    if save:
        save.write_text(text, encoding="utf-8")
    return 0


def _refuse(why: str) -> int:
    print(why, file=sys.stderr)
    return 2


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
