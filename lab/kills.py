"""Kills agent, guard or postmaster under two commit loops, and measures the fence itself.

    python -m lab.kills --kills 1000 --version 18 --who agent,guard,postmaster
    python -m lab.kills --fences 500 --version 18

A real agent holds a lease of a real profile; one writer commits over TCP and one over the
engine's socket, each as fast as it can. At random moments (`--seed`) one process is killed with
SIGKILL. `both` is agent and guard at once. An agent is started again at once or after its fence,
by chance. After each kill this must hold, or the exit status is 1:

- no write that the old life of the engine acknowledged came later than the lease's end (the
  deadline that the guard held, and the fence's budget); with a dead agent, its last process was
  gone by then;
- the engine is back, and both writers commit, within a bounded time;
- in the end every acknowledged row is there, and after `saling-agent stop` no process and no
  shared memory is left.

`--isolation plain` forbids namespaces to all of it, as some hosts do. The fences: 20 busy
connections, then the permission is closed or its deadline passes, until the last process is gone.
Writes a JSON object a kill to standard output and the tables to standard error. Times are
milliseconds of the boot-time clock.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table

from agents.spread import Spread
from config.leases import PROFILES
from lab.base.binaries import binaries_of
from lab.clients.noise import Noise, Noises, shown, spread_of
from lab.lone.fences import BUSY_CONNECTIONS, FenceSpreads, measure_fences
from lab.lone.killing import KINDS, Kill, Killer, Result
from lab.lone.lone_agent import LoneAgent

SAY_EVERY = 25
INSIDE = "SALING_LAB_PLAIN"
Say = Callable[[Kill], None]


def main() -> None:
    options = _options()
    if options.isolation == "plain" and INSIDE not in os.environ:
        _forbid_namespaces()
    console = Console(stderr=True, highlight=False, width=150)
    directory = Path(tempfile.mkdtemp(prefix="saling-"))
    try:
        wrong = asyncio.run(_run(options, directory, console))
    except asyncio.CancelledError:
        sys.exit("ended by SIGTERM")
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    sys.exit(1 if wrong else 0)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="lab.kills", description="Kill, and look what was kept.")
    parser.add_argument("--kills", type=int, default=0, help="how many, of all kinds")
    parser.add_argument("--fences", type=int, default=0, help="how many fences are measured")
    parser.add_argument("--version", type=int, default=18, help="of PostgreSQL, 15 to 18")
    parser.add_argument("--who", default="agent,guard,postmaster", help="also: both")
    parser.add_argument("--profile", default="fast", choices=PROFILES)
    parser.add_argument("--isolation", default="namespace", choices=("namespace", "plain"))
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    options.who = tuple(options.who.split(","))
    if unknown := set(options.who) - set(KINDS):
        parser.error(f"--who: {', '.join(unknown)}; known are {', '.join(KINDS)}")
    if not options.kills and not options.fences:
        parser.error("name --kills or --fences, or both")
    return options


def _forbid_namespaces() -> None:
    """Go on in a user namespace that allows none in it, as another user than root."""
    forbid = 'echo 0 > /proc/sys/user/max_user_namespaces && exec "$@"'
    unshare = ["unshare", "--user", "--map-user=1000", "--map-group=1000", "--keep-caps"]
    again = [sys.executable, "-m", "lab.kills", *sys.argv[1:]]
    command = [*unshare, "sh", "-c", forbid, "sh", *again]
    os.execvpe(command[0], command, {**os.environ, INSIDE: "1"})


async def _run(options: argparse.Namespace, directory: Path, console: Console) -> list[str]:
    # Told to end, it ends in order: what was started must not go on.
    work = asyncio.current_task()
    assert work is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, work.cancel)
    binaries = binaries_of(options.version)
    wrong: list[str] = []
    if options.kills:
        async with Noises(directory) as noises:
            result = await _kill(options, directory / "kills", binaries)
            noise = await noises.end()
        wrong = result.wrong
        console.print(_kill_table(result, options), _noise(noise))
        for text in wrong:
            console.print(f"WRONG: {text}", style="bold red")
    if options.fences:
        async with Noises(directory) as noises:
            spreads = await measure_fences(
                directory / "fences", binaries, options.isolation, options.fences, options.seed
            )
            noise = await noises.end()
        console.print(_fence_table(spreads, options), _noise(noise))
    return wrong


async def _kill(options: argparse.Namespace, directory: Path, binaries: Path) -> Result:
    directory.mkdir()
    async with LoneAgent(directory, PROFILES[options.profile], binaries) as lone:
        status = await lone.status()
        if status is None or status.isolation != options.isolation:
            raise RuntimeError(f"isolation is not {options.isolation} here: {status}")
        return await kill_many(lone, options.who, options.kills, options.seed, _write)


async def kill_many(
    lone: LoneAgent, who: tuple[str, ...], count: int, seed: int, say: Say
) -> Result:
    """The kills, one after the other, and what they proved. Raises TimeoutError."""
    async with Killer(lone, seed) as killer:
        for number in range(1, count + 1):
            await killer.kill(who[killer.random.randrange(len(who))])
            say(killer.kills[-1])
            if number % SAY_EVERY == 0:
                sys.stderr.write(f"{number} kills, {len(killer.wrong)} wrong\n")
        return await killer.finish()


def _write(kill: Kill) -> None:
    sys.stdout.write(msgspec.json.encode(kill).decode() + "\n")
    sys.stdout.flush()


def _kill_table(result: Result, options: argparse.Namespace) -> Table:
    title = (
        f"PostgreSQL {options.version}, profile {options.profile}, {options.isolation}, "
        f"seed {options.seed}: {len(result.kills)} kills, {result.acked} acknowledged writes, "
        f"{result.lost} of them lost, {len(result.wrong)} wrong"
    )
    table = Table(
        "killed", "kills", "engine ended", "last process gone after", "last ack after the kill",
        "last ack before the lease's end", "writes again after", title=title,
    )  # fmt: skip
    for who in KINDS:
        these = [kill for kill in result.kills if kill.who == who]
        if these:
            table.add_row(*_row(who, these))
    return table


def _row(who: str, kills: list[Kill]) -> tuple[str, ...]:
    ended = [kill for kill in kills if kill.ended]
    margins = [kill.lease_end_ms - kill.last_ack_ms for kill in ended if kill.last_ack_ms]
    return (
        who,
        str(len(kills)),
        str(len(ended)),
        _spread([kill.gone_after_ms for kill in ended]),
        _spread([kill.last_ack_ms - kill.killed_ms for kill in ended if kill.last_ack_ms]),
        f"{min(margins):.0f} ms or more" if margins else "-",
        _spread([kill.back_after_ms for kill in kills]),
    )


def _fence_table(spreads: FenceSpreads, options: argparse.Namespace) -> Table:
    title = (
        f"PostgreSQL {options.version}, {options.isolation}, {BUSY_CONNECTIONS} busy connections, "
        f"seed {options.seed}: until the last process is gone, p50 / p99 / p99.9 / max"
    )
    table = Table("fence begins", "fences", "as seen outside", "as the guard says", title=title)
    for name, (seen, told) in spreads.items():
        cells = (shown(spread_of(spread)) for spread in (seen, told))
        table.add_row(name, str(len(seen)), *cells)
    return table


def _spread(values_ms: list[float]) -> str:
    spread = Spread()
    for value_ms in values_ms:
        spread.add(max(0, round(value_ms)))
    return shown(spread_of(spread)) if values_ms else "-"


def _noise(noise: Noise) -> str:
    return f"Meanwhile (p50 / p99 / p99.9 / max): {noise}"


if __name__ == "__main__":
    main()
