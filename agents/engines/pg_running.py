"""A server that runs on a data directory though no guard started it: the DBA's, or a unit's.

PostgreSQL writes `postmaster.pid` into the data directory and works in it. One that a guard
started in a PID namespace calls itself process 1 there, so it is never taken for such a server;
where there are no namespaces, ask the guard first.
"""

from __future__ import annotations

from pathlib import Path

from msgspec import Struct

from agents.engines.base import EngineError

PORT_LINE, SOCKET_LINE, STATUS_LINE = 3, 4, 7
SERVING = ("ready", "standby")


class Running(Struct, frozen=True):
    """What postmaster.pid says. `sockets`: None without a socket. `serves`: clients may enter."""

    pid: int
    port: int = 0
    sockets: Path | None = None
    serves: bool = False


def running_server(data: Path) -> Running | None:
    """The server that runs there outside of every guard's namespace; None when none does."""
    try:
        lines = [line.strip() for line in (data / "postmaster.pid").read_text().splitlines()]
        pid = abs(int(lines[0]))
    except (OSError, ValueError, IndexError):
        return None
    if pid == 1 or not _works_in(pid, data):
        return None
    if len(lines) <= STATUS_LINE:
        return Running(pid)
    sockets = Path(lines[SOCKET_LINE]) if lines[SOCKET_LINE] else None
    return Running(pid, int(lines[PORT_LINE]), sockets, lines[STATUS_LINE] in SERVING)


def _works_in(pid: int, data: Path) -> bool:
    """A number in a file of a dead server may name another process by now."""
    process = Path(f"/proc/{pid}")
    try:
        if (process / "stat").read_text().rpartition(")")[2].split()[0] in "ZX":
            return False
        name = (process / "comm").read_text().strip()
    except OSError:
        return False
    try:
        return (process / "cwd").samefile(data)
    except PermissionError:
        # Another user's: only its name can be seen, and the cautious answer is that it runs.
        return name in ("postgres", "postmaster")
    except OSError:
        return False


def need_none_else(data: Path) -> None:
    """EngineError while a server that Saling did not start runs there: nothing may be touched."""
    running = running_server(data)
    if running is not None:
        raise EngineError(
            f"{data}: PostgreSQL runs on it and Saling did not start it (process {running.pid}):"
            " bring it under control with `saling-agent adopt`, or stop it"
        )
