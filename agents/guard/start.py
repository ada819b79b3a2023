"""How a guard comes to stand alone: its directory, its lock, its socket, its log.

Standard library only, as all of the guard.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import socket
import time
from pathlib import Path

from agents.guard.engine import boottime_ms, libc_call

CONNECTION_LIMIT = 16
LOCK_LIMIT_MS = 3000
_PR_SET_CHILD_SUBREAPER = 36


def stand_apart() -> tuple[Path, Path, str, int]:
    """The options: directories to run in and of the data, isolation. And where to say `ready`.

    Returns in a process of its own; the one that was started ends when that one is ready.
    """
    parser = argparse.ArgumentParser(description="Parent of one engine, holder of its deadline.")
    parser.add_argument("--run", required=True, help="directory of guard.sock, 0700")
    parser.add_argument("--data", required=True, help="the engine's data directory")
    parser.add_argument("--isolation", choices=("auto", "plain"), default="auto")
    options = parser.parse_args()
    run, data = Path(options.run).resolve(), Path(options.data).resolve()
    ready, made_ready = os.pipe()
    if os.fork():
        os.close(made_ready)
        raise SystemExit(0 if os.read(ready, 16) else 1)
    os.setsid()
    os.chdir("/")
    libc_call("prctl", _PR_SET_CHILD_SUBREAPER, 1)
    return run, data, options.isolation, made_ready


def take_run_directory(run: Path) -> socket.socket:
    """The lock is held for as long as this process lives; its text is our pid."""
    run.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = os.open(run / "guard.lock", os.O_RDWR | os.O_CREAT, 0o600)
    until_ms = boottime_ms() + LOCK_LIMIT_MS
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            if boottime_ms() > until_ms:
                raise SystemExit(f"{run}/guard.lock: another guard runs here") from None
            time.sleep(0.005)
    os.ftruncate(lock, 0)
    os.write(lock, str(os.getpid()).encode())
    path = run / "guard.sock"
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    os.umask(0o177)
    listener.bind(str(path))
    os.umask(0o077)
    listener.listen(CONNECTION_LIMIT)
    listener.setblocking(False)
    return listener


def detach(run: Path, ready: int) -> None:
    """From here on nobody waits for us; what we say goes to our own log."""
    log = os.open(run / "guard.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(os.open(os.devnull, os.O_RDWR), 0)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.write(ready, b"ready")
    os.close(ready)
