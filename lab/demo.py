"""The main job, shown: a site dies, its partner takes over, it comes back, and goes home.

Two services of one pair and two of the other run all the time; the site that dies is primary
for one of them and backup for another. The report says what it cost.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from lab.base.plan import Plan
from lab.incidents.incident import Act, Watch, act
from lab.running.four_sites import Lab

SERVICE = "paspor"
DEAD_SITE = "jabodetabek"
PARTNER = "batam"
QUIET_WRITES = 300
LIVE_S = 0.1


class DemoReport(msgspec.Struct, frozen=True):
    """What `demo-report.json` holds."""

    acts: list[Act]
    took_s: float
    processors: int


class Stage:
    """Speaks to the person who watches; on standard error, so that data stay apart."""

    def __init__(self) -> None:
        self.console = Console(stderr=True, highlight=False)
        self._begun_s = time.monotonic()

    def say(self, text: str) -> None:
        self.console.print(f"[dim]{time.monotonic() - self._begun_s:6.1f} s[/]  {text}")

    def title(self, text: str) -> None:
        self.console.print()
        self.console.rule(f"[bold]{text}[/]", align="left")

    @property
    def took_s(self) -> float:
        return round(time.monotonic() - self._begun_s, 1)


def main(keep: bool, report: Path) -> int:
    """Run the demo; 0 when everything came out as promised, 1 when not, 2 for a useless path."""
    stage = Stage()
    if not report.absolute().parent.is_dir():
        stage.console.print(f"--report {report}: there is no such directory; make it first")
        return 2
    directory = Path(tempfile.mkdtemp(prefix="saling-"))
    try:
        return asyncio.run(_run(stage, directory, keep, report))
    except (KeyboardInterrupt, asyncio.CancelledError):
        shutil.rmtree(directory, ignore_errors=True)
        stage.say("interrupted; everything that was started has been ended and removed")
        return 1
    except (TimeoutError, RuntimeError, OSError) as error:
        stage.console.print(f"[red]The demo did not get through:[/] {error}")
        stage.console.print(f"The logs are kept in {directory}")
        return 1


async def _run(stage: Stage, directory: Path, keep: bool, report: Path) -> int:
    _end_in_order_when_told()
    lab = Lab(Plan(directory), stage.say)
    stage.title("Four sites, a controller in a domain of its own, PostgreSQL in pairs")
    async with lab, _told_live(stage, lab):
        await _show(stage, lab)
        stage.say(f"a client writes to {SERVICE} a hundred times a second and never stops")
        async with Watch(lab, SERVICE) as watch:
            await watch.wait_for_writes(QUIET_WRITES)
            acts = [await _site_dies(stage, watch), await _goes_home(stage, watch)]
        done = DemoReport(acts, stage.took_s, os.cpu_count() or 0)
        report.write_bytes(msgspec.json.format(msgspec.json.encode(done), indent=2) + b"\n")
        _summary(stage, done, report)
        if keep:
            await _keep(stage, lab)
    shutil.rmtree(directory, ignore_errors=True)
    for broken in _broken_promises(acts):
        stage.console.print(f"[red]A promise was not kept:[/] {broken}")
    return 1 if _broken_promises(acts) else 0


def _end_in_order_when_told() -> None:
    """A closed terminal ends the lab as Ctrl-C does: databases must not outlive it."""
    task, loop = asyncio.current_task(), asyncio.get_running_loop()
    if task is not None:
        for number in (signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, task.cancel)


async def _site_dies(stage: Stage, watch: Watch[Lab]) -> Act:
    lab = watch.lab
    stage.title(f"Kill every process of {DEAD_SITE}, which is primary for {SERVICE}")

    async def fault() -> None:
        lab.kill_site(DEAD_SITE)

    async def end() -> None:
        await lab.wait_for(
            f"{PARTNER} to take over {SERVICE}", lambda s: s["epoch"] > 1 and _serves(s), SERVICE
        )

    done = await act(watch, f"kill site {DEAD_SITE}", fault, end)
    _tell(stage, done)
    await _show(stage, lab)
    stage.title(f"{DEAD_SITE} comes back")
    lab.start_site(DEAD_SITE)
    await lab.wait_until_protected()
    await _show(stage, lab)
    return done


async def _goes_home(stage: Stage, watch: Watch[Lab]) -> Act:
    lab = watch.lab
    stage.title(f"Planned switchover of {SERVICE} home to {DEAD_SITE}")

    async def fault() -> None:
        await lab.api.ask(SERVICE, "switchover", reason="going home")

    async def end() -> None:
        await lab.wait_for(
            f"{DEAD_SITE} to serve {SERVICE} again",
            lambda s: s["primary"].startswith(DEAD_SITE) and _serves(s),
            SERVICE,
        )

    done = await act(watch, f"switchover {SERVICE}", fault, end)
    _tell(stage, done)
    await lab.wait_until_protected()
    await _show(stage, lab)
    return done


def _broken_promises(acts: list[Act]) -> list[str]:
    """Never two writers; a planned move loses nothing (a dead site may, in async mode)."""
    two = [f"{a.name}: two writers for {a.two_writers_s} s" for a in acts if a.two_writers_s]
    planned = [a for a in acts if a.name.startswith("switchover")]
    return two + [f"{a.name}: lost {a.acked_lost} writes" for a in planned if a.acked_lost]


def _serves(seen: dict[str, Any]) -> bool:
    return seen["phase"] in ("ROUTING", "ALONE", "ARMING", "PROTECTED")


def _tell(stage: Stage, done: Act) -> None:
    stage.say(
        f"[bold]no write for {done.outage_s:.2f} s[/], {done.acked_lost} acknowledged writes lost, "
        f"{done.two_writers_s:.2f} s with two writers (lease {done.lease_ttl_s:.0f} s)"
    )


async def _show(stage: Stage, lab: Lab) -> None:
    """All services at a glance, and why for each that is not protected."""
    services = await lab.services()
    names = ("service", "phase", "epoch", "primary", "backup", "lag", "loss")
    table = Table(*names, box=SIMPLE, pad_edge=False)
    for name, seen in services.items():
        colour = "green" if seen["protected"] else "yellow"
        table.add_row(
            name,
            f"[{colour}]{seen['phase']}[/]",
            str(seen["epoch"]),
            seen["primary"],
            seen["backup"],
            _size(seen["lag_bytes"]),
            _size(seen["loss_bytes"]),
        )
    stage.console.print(table)
    for name, seen in services.items():
        if not seen["protected"]:
            stage.console.print(f"  {name}: {seen['because']}")


def _size(count: int | None) -> str:
    return "?" if count is None else f"{count / 1048576:.2f} MiB"


@contextlib.asynccontextmanager
async def _told_live(stage: Stage, lab: Lab) -> AsyncIterator[None]:
    task = asyncio.create_task(_tell_live(stage, lab))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _tell_live(stage: Stage, lab: Lab) -> None:
    """Say every change of every service when it comes, until cancelled."""
    told: dict[str, int] = {}
    while True:
        for name, seen in (await lab.services()).items():
            if told.get(name, 0) < seen["revision"]:
                told[name] = seen["revision"]
                stage.say(f"[bold]{name} {seen['phase']}[/]: {seen['because']}")
        await asyncio.sleep(LIVE_S)


def _summary(stage: Stage, done: DemoReport, report: Path) -> None:
    stage.title("What it cost")
    table = Table("act", "no write for", "promoted after", "acked lost", "two writers", "lease")
    for a in done.acts:
        table.add_row(
            a.name,
            f"{a.outage_s:.2f} s",
            f"{a.promotion_s:.2f} s",
            str(a.acked_lost),
            f"{a.two_writers_s:.2f} s",
            f"{a.lease_ttl_s:.0f} s",
        )
    stage.console.print(table)
    stage.say(f"the report is in {report}; the whole demo took {done.took_s:.0f} s")


async def _keep(stage: Stage, lab: Lab) -> None:
    """Leave everything running for the command line until Ctrl-C."""
    stage.title("Everything goes on; end it with Ctrl-C")
    stage.say(f"export SALING_CONTROLLER=http://{lab.plan.address('controller')}")
    stage.say(f"{Path(sys.argv[0]).name} status")
    stage.say(f"{Path(sys.argv[0]).name} replay {lab.plan.journal_directory}")
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, stopped.set)
    with contextlib.suppress(asyncio.CancelledError):
        await stopped.wait()
