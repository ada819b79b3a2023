"""The site's own checks: follows their file, runs each at its times, tells the board.

A check that says nothing (it cannot be run, or does not end) is no symptom of its kind: nobody
shall leave a site because a name was mistyped. It is told as a symptom of the kind `checks`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import structlog

from agents.core.symptoms import Board, Rule
from agents.host.commands import Command, Outcome
from config.checks import Check, distrust, load_checks
from config.problems import ConfigError

LOOK_EVERY_S = 5.0
RETRY_LEAST_S = 1.0
OF_THE_CHECKS = Rule(on_after_ms=0, off_after_ms=0)
KIND = "checks"

log = structlog.get_logger("checks")


class CheckRunner:
    """All checks of one file. Its tasks belong to the group in which `run` makes them."""

    def __init__(self, file: Path | None, board: Board, clock: Callable[[], int]) -> None:
        self._file = file
        self._board = board
        self._clock = clock
        self._seen: object = None
        self._tasks: dict[Check, asyncio.Task[None]] = {}
        self._problem = ""

    async def run(self) -> None:
        """Follow the file, until cancelled. Without one there is nothing to do."""
        if self._file is None:
            return
        thread = ThreadPoolExecutor(1, thread_name_prefix="checks")
        try:
            async with asyncio.TaskGroup() as group:
                while True:
                    await self._look(self._file, thread, group)
                    await asyncio.sleep(LOOK_EVERY_S)
        finally:
            # A disk that hangs must not hold up our end.
            thread.shutdown(wait=False)

    async def _look(self, file: Path, thread: ThreadPoolExecutor, group: asyncio.TaskGroup) -> None:
        reading = asyncio.get_running_loop().run_in_executor(thread, _read, file, self._seen)
        seen, checks, problem = await reading
        if checks is None:
            return
        self._follow(checks, group)
        self._seen = None if problem else seen
        if problem and problem != self._problem:
            log.error("no check of this site is run", file=str(file), error=problem)
        self._problem = problem
        self._board.look("checks: the file", KIND, problem, self._clock(), OF_THE_CHECKS)

    def _follow(self, checks: tuple[Check, ...], group: asyncio.TaskGroup) -> None:
        """Those that are as before go on."""
        for check in tuple(self._tasks):
            if check not in checks:
                self._tasks.pop(check).cancel()
                self._board.forget(_source(check))
                self._board.forget(_source_of_silence(check))
        for check in checks:
            if check not in self._tasks:
                task = group.create_task(self._watch(check), name=f"check {check.kind}")
                self._tasks[check] = task

    async def _watch(self, check: Check) -> None:
        """Again at its interval, and sooner after something was found that does not count yet."""
        soon_s = max(check.on_after_ms / 1000, RETRY_LEAST_S)
        command = Command(check)
        try:
            while True:
                await self._run(check, command)
                is_pending = self._board.is_pending(_source(check))
                wait_s = check.interval_ms / 1000
                await asyncio.sleep(min(wait_s, soon_s) if is_pending else wait_s)
        finally:
            command.close()

    async def _run(self, check: Check, command: Command) -> None:
        try:
            outcome = await command.run()
        except Exception as error:  # noqa: BLE001
            # Whatever one check does must end neither the others nor the agent.
            outcome = Outcome(silent=f"unforeseen: {error!r}")
        at_ms = self._clock()
        silent = f"{check.kind}: {outcome.silent}" if outcome.silent else ""
        self._board.look(_source_of_silence(check), KIND, silent, at_ms, _rule(check))
        if not silent:
            self._board.look(_source(check), check.kind, outcome.found, at_ms, _rule(check))


def _read(file: Path, seen: object) -> tuple[object, tuple[Check, ...] | None, str]:
    """What the file looks like; its checks, None if it is as before; what is wrong with it."""
    try:
        status = file.stat()
        now: object = (status.st_ino, status.st_mtime_ns, status.st_ctime_ns, status.st_size)
    except OSError:
        now = None
    if now is not None and now == seen and distrust(file) is None:
        return now, None, ""
    try:
        return now, load_checks(file).checks, ""
    except ConfigError as error:
        return now, (), str(error)


def _rule(check: Check) -> Rule:
    return Rule(check.on_after_ms, check.off_after_ms)


def _source(check: Check) -> str:
    return f"check: {check.kind}"


def _source_of_silence(check: Check) -> str:
    return f"checks: {check.kind}"
