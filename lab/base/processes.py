"""The processes of a lab: started by name, found again by the directory that they belong to.

A site dies as a site does: every process of it is killed at once. Guards and engines run in
sessions of their own, so they are found by their command lines, which name the site's directory.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

from controller.broker import die_with_parent

ROOT = Path(__file__).resolve().parents[2]
GONE_TIMEOUT_S = 10.0
LOOK_AGAIN_S = 0.01


class Child:
    """One program of the lab, by default this Python, with its output in a file.

    `inside` stands before its command line when it starts: what brings it into another network.
    """

    def __init__(
        self,
        name: str,
        log: Path,
        arguments: list[str],
        inside: tuple[str, ...] = (),
        *,
        program: str = sys.executable,
    ) -> None:
        self.name = name
        self.log = log
        self.inside = inside
        self._command = [program, *arguments]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """Raises RuntimeError when it was never started."""
        if self._process is None:
            raise RuntimeError(f"{self.name} was never started")
        return self._process.pid

    def start(self) -> None:
        """Start it again, whatever became of it before."""
        if self.running:
            return
        self.log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                [*self.inside, *self._command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                preexec_fn=die_with_parent,  # noqa: PLW1509 - one prctl call, no lock is taken
                env={**os.environ, "PYTHONPATH": str(ROOT), "NO_COLOR": "1"},
            )

    async def end(self, how: signal.Signals = signal.SIGTERM) -> None:
        """Signal it and wait; killed when it does not end in time."""
        process = self._process
        if process is None:
            return
        if process.poll() is None:
            process.send_signal(how)
        try:
            await asyncio.to_thread(process.wait, GONE_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            await asyncio.to_thread(process.wait)

    async def gone(self, wait_s: float = 60.0) -> None:
        """Wait until it has ended by itself. Raises TimeoutError."""
        if self._process is None:
            return
        try:
            await asyncio.to_thread(self._process.wait, wait_s)
        except subprocess.TimeoutExpired:
            raise TimeoutError(f"{self.name} did not end within {wait_s} s") from None

    def last_words(self, lines: int = 15) -> str:
        """The end of its log, for an error message."""
        if not self.log.exists():
            return "(no log)"
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])


def module(name: str, *arguments: str) -> list[str]:
    """The arguments that run a module of this checkout."""
    return ["-m", name, *arguments]


def pids_of(directory: Path) -> list[int]:
    """Every process whose command line names something in this directory."""
    needle = os.fsencode(f"{directory}/")
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            command = (entry / "cmdline").read_bytes()
        except OSError:
            continue
        if needle in command:
            found.append(int(entry.name))
    return found


def has_argument(pid: int, value: str) -> bool:
    """Whether a word of its command line is exactly this; false when it is gone."""
    return value in command_of(pid)


def command_of(pid: int) -> list[str]:
    """The words of its command line; none when it is gone."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return []
    return [word.decode(errors="replace") for word in words]


def processes_in(data: Path) -> list[int]:
    """All that stand in an engine's data directory."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if (entry / "cwd").readlink() == data.resolve():
                found.append(int(entry.name))
    return found


def kill_all(directory: Path) -> int:
    """Kill every process of a directory at once; returns how many there were."""
    pids = pids_of(directory)
    for pid in pids:
        _kill(pid)
    return len(pids)


async def end_all(directory: Path) -> None:
    """Kill every process of a directory until none is left. Raises TimeoutError."""
    deadline = asyncio.get_running_loop().time() + GONE_TIMEOUT_S
    while kill_all(directory):
        if asyncio.get_running_loop().time() > deadline:
            raise TimeoutError(f"processes of {directory} do not end: {pids_of(directory)}")
        await asyncio.sleep(LOOK_AGAIN_S)


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
