"""The guard: parent of one engine, and the only one who holds the deadline of its lease.

One guard stands beside the agent for each replica, in a session of its own: the agent can
be stopped, killed or upgraded without touching the engine, and a dead or frozen agent cannot
keep an engine writable. It uses the standard library alone and runs as
`python -I -S guard.py --run DIR --data DIR`; it exits 0 once it listens on DIR/guard.sock.

One JSON object a line. Request: `{"id": 1, "request": "lease", "deadline_ms": 123}`. Answer:
`{"id": 1, "ok": true, ...}` or `{"id": 1, "ok": false, "code": ..., "error": ...}` with code
`malformed`, `refused` (the state forbids it) or `busy` (try again). Requests:

    status           what is in force, the engine, the last exit and the last fence
    start            argv, env, log, as_primary: run the engine in the data directory
    lease            deadline_ms (CLOCK_BOOTTIME): writable until then; only ever extended
    alone            writable without a deadline
    close            no longer writable; ends an engine that may be writing, then answers
    allow_promotion  the running standby may become writable; from now on the deadline binds it
    signal           name: SIGINT, SIGTERM, SIGHUP or SIGUSR1, to the engine's first process
    kill             ends the engine at once and answers when no process of it is left: kill_ms
    shutdown         ends the guard; refused while an engine runs

Events, to every connection: `{"event": "engine_exited", "status", "kill_ms", "reason"}` and
`{"event": "fenced", "deadline_ms", "late_ms", "kill_ms"}`. SIGTERM stops the engine in order,
then the guard; the deadline binds meanwhile. A guard never adopts an engine.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import json
import os
import select
import signal
import socket
import struct
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

if not __package__:  # Run by its path: -I leaves the directory of the package unknown.
    sys.path.append(str(Path(__file__).resolve().parents[1]))

from agents.guard_engine import (
    SIGNALS,
    START_LIMIT_MS,
    Command,
    Engine,
    EngineLock,
    boottime_ms,
    libc_call,
    namespaces_allowed,
)
from agents.guard_wire import Connection, Refusal, decoded

CONNECTION_LIMIT = 16
WAITING_LIMIT = 64
LEASE_LIMIT_MS = 3_600_000
POLL_MS = 50
DYING_POLL_MS = 1
QUICK_MS = 2000
"""An engine that outlives its kill for longer hangs in the kernel: it is looked for less often."""
IDLE_POLL_MS = 500
LOCK_LIMIT_MS = 3000

_PR_SET_CHILD_SUBREAPER = 36
_MCL_CURRENT, _MCL_FUTURE = 1, 2


class Guard:
    """The state, and the loop that keeps the deadline. `step` is one turn of the loop."""

    def __init__(self, data: str, run: str, listener: socket.socket, isolated: bool) -> None:
        self._data = data
        self._lock = EngineLock(data, run)
        self._listener = listener
        self._isolated = isolated
        self._precise = _be_precise()
        self._connections: list[Connection] = []
        self._permission = "closed"
        self._deadline_ms = 0
        self._engine: Engine | None = None
        self._ends: list[Callable[[int], None]] = []
        self._last_exit: dict[str, Any] | None = None
        self._last_fence: dict[str, Any] | None = None
        self.ending = False

    def over(self) -> bool:
        return self.ending and self._engine is None

    def step(self) -> None:
        """The deadline comes before everything else: an extension that came late is late."""
        self._keep_deadline()
        self._reap()
        self._connections = [c for c in self._connections if c.fileno() >= 0]
        watched: list[Any] = [self._listener, *self._connections]
        if self._engine and not self._engine.ending():
            watched.append(self._engine.pidfd)
        unsent = [connection for connection in self._connections if connection.unsent]
        ready, sendable, _ = select.select(watched, unsent, [], self._timeout_s())
        self._keep_deadline()
        self._reap()
        for connection in sendable:
            connection.flush()
        for source in ready:
            if source is self._listener:
                self._accept()
            elif isinstance(source, Connection) and source.fileno() >= 0:
                for line in source.lines():
                    self._answer(source, line)

    def stop(self) -> None:
        """SIGTERM: an orderly stop of the engine, then the end."""
        self.ending = True
        if self._engine:
            self._engine.send(signal.SIGINT)

    def _timeout_s(self) -> float:
        if self._engine and self._engine.ending():
            quick = self._engine.ending_ms() < QUICK_MS
            return (DYING_POLL_MS if quick else POLL_MS) / 1000
        if self._permission != "leased":
            return (POLL_MS if self._engine else IDLE_POLL_MS) / 1000
        left_ns = self._deadline_ms * 1_000_000 - time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        return min(max(left_ns / 1e9, 0), POLL_MS / 1000)

    def _keep_deadline(self) -> None:
        if self._permission == "leased" and boottime_ms() >= self._deadline_ms:
            self._permission = "closed"
            if self._engine and self._engine.writable:
                self._engine.strike("deadline")
        if self._engine and self._engine.dying:
            self._engine.strike(self._engine.dying)

    def _reap(self) -> None:
        with contextlib.suppress(ChildProcessError):
            while (dead := os.waitpid(-1, os.WNOHANG))[0]:
                if self._engine:
                    self._engine.reaped(*dead)
        if self._engine and self._engine.gone():
            self._bury(self._engine)

    def _bury(self, engine: Engine) -> None:
        kill_ms = boottime_ms() - engine.killed_ms if engine.dying else 0
        reason = engine.dying or "exited"
        engine.forget()
        self._engine = None
        self._last_exit = {"status": engine.status, "kill_ms": kill_ms, "reason": reason}
        self._tell({"event": "engine_exited", **self._last_exit})
        if reason == "deadline":
            late_ms = engine.killed_ms - self._deadline_ms
            self._last_fence = {"deadline_ms": self._deadline_ms, "late_ms": late_ms}
            self._last_fence["kill_ms"] = kill_ms
            self._tell({"event": "fenced", **self._last_fence})
        ends, self._ends = self._ends, []
        for end in ends:
            end(kill_ms)

    def _tell(self, event: dict[str, Any]) -> None:
        print(json.dumps(event), file=sys.stderr, flush=True)
        for connection in self._connections:
            connection.say(event)

    def _accept(self) -> None:
        try:
            peer, _ = self._listener.accept()
        except OSError:
            return
        peer.setblocking(False)
        uid = struct.unpack("3i", peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[1]
        if uid not in (0, os.getuid()) or len(self._connections) >= CONNECTION_LIMIT:
            peer.close()
            return
        self._connections.append(Connection(peer))

    def _answer(self, connection: Connection, line: bytes) -> None:
        head: dict[str, Any] = {"id": None}
        try:
            request = decoded(line)
            head["id"] = request.get("id")
            handler = self._handlers().get(request.get("request", ""))
            if handler is None:
                raise Refusal("malformed", f"request: one of {', '.join(self._handlers())}")
            done = handler(request)
            if done is None and len(self._ends) >= WAITING_LIMIT:
                raise Refusal("busy", f"{WAITING_LIMIT} requests wait for this end already")
        except Refusal as refusal:
            connection.say({**head, "ok": False, "code": refusal.code, "error": str(refusal)})
            return
        if done is not None:
            connection.say({**head, "ok": True, **done})
            return
        self._ends.append(lambda ms: connection.say({**head, "ok": True, "kill_ms": ms}))

    def _handlers(self) -> dict[str, Callable[[dict[str, Any]], dict[str, Any] | None]]:
        """Each gives its answer, or None to be answered when the engine is gone."""
        return {
            "status": self._status,
            "start": self._start,
            "lease": self._lease,
            "alone": self._alone,
            "close": self._close,
            "allow_promotion": self._allow_promotion,
            "signal": self._signal,
            "kill": self._kill,
            "shutdown": self._shutdown,
        }

    def _status(self, _: dict[str, Any]) -> dict[str, Any]:
        engine = self._engine
        running = engine and {
            "pid": engine.pid,
            "writable": engine.writable,
            "dying": engine.dying,
        }
        return {
            "pid": os.getpid(),
            "data": self._data,
            "isolation": "namespace" if self._isolated else "plain",
            **self._precise,
            "permission": self._permission,
            "deadline_ms": self._deadline_ms if self._permission == "leased" else None,
            "now_ms": boottime_ms(),
            "engine": running,
            "last_exit": self._last_exit,
            "last_fence": self._last_fence,
        }

    def _start(self, request: dict[str, Any]) -> dict[str, Any]:
        as_primary = request.get("as_primary")
        if not isinstance(as_primary, bool):
            raise Refusal("malformed", "as_primary: true or false")
        if self._engine or self.ending:
            raise Refusal("refused", "an engine is running, or the guard is ending")
        if as_primary:
            self._need_permission()
        command = Command(request, self._data)
        try:
            limit_ms = START_LIMIT_MS
            if as_primary and self._permission == "leased":
                limit_ms = max(0, self._deadline_ms - boottime_ms())
            self._engine = Engine(command, self._lock, self._isolated, as_primary, limit_ms)
        except OSError as error:
            raise Refusal("busy", f"the engine cannot be started now: {error}") from error
        return {"pid": self._engine.pid}

    def _need_permission(self) -> None:
        if self._permission == "closed":
            raise Refusal("refused", "no lease: the engine may run as a standby only")
        if self._permission == "leased" and boottime_ms() >= self._deadline_ms:
            raise Refusal("refused", "the lease's deadline is past")

    def _lease(self, request: dict[str, Any]) -> dict[str, Any]:
        deadline_ms, now_ms = request.get("deadline_ms"), boottime_ms()
        if type(deadline_ms) is not int:
            raise Refusal("malformed", "deadline_ms: an integer of milliseconds since boot")
        if not now_ms < deadline_ms <= now_ms + LEASE_LIMIT_MS:
            raise Refusal("refused", f"deadline_ms {deadline_ms} is past, or over an hour away")
        if self._permission == "leased":
            deadline_ms = max(deadline_ms, self._deadline_ms)
        self._permission, self._deadline_ms = "leased", deadline_ms
        return {"deadline_ms": deadline_ms}

    def _alone(self, _: dict[str, Any]) -> dict[str, Any]:
        self._permission = "alone"
        return {}

    def _close(self, _: dict[str, Any]) -> dict[str, Any] | None:
        self._permission = "closed"
        if self._engine and self._engine.writable:
            self._engine.strike("closed")
            return None
        return {"kill_ms": 0}

    def _allow_promotion(self, _: dict[str, Any]) -> dict[str, Any]:
        if self._engine is None or self._engine.dying:
            raise Refusal("refused", "no engine is running")
        self._need_permission()
        self._engine.writable = True
        return {}

    def _signal(self, request: dict[str, Any]) -> dict[str, Any]:
        number = SIGNALS.get(str(request.get("name")))
        if number is None:
            raise Refusal("malformed", f"name: one of {', '.join(SIGNALS)}")
        if self._engine is None:
            raise Refusal("refused", "no engine is running")
        self._engine.send(number)
        return {}

    def _kill(self, _: dict[str, Any]) -> dict[str, Any] | None:
        if self._engine is None:
            return {"kill_ms": 0}
        self._engine.strike("killed")
        return None

    def _shutdown(self, _: dict[str, Any]) -> dict[str, Any]:
        if self._engine:
            raise Refusal("refused", "an engine is running: stop or kill it first")
        self.ending = True
        return {}


def _be_precise() -> dict[str, bool]:
    """Stay in memory and come first, where allowed. Children inherit neither."""
    # A locked future under a limit would turn the next allocation into a crash: for root only.
    locks = _MCL_CURRENT | (0 if os.geteuid() else _MCL_FUTURE)
    done = {"locked_memory": False, "realtime": False}
    with contextlib.suppress(OSError):
        libc_call("mlockall", locks)
        done["locked_memory"] = True
    with contextlib.suppress(OSError):
        policy = os.SCHED_RR | os.SCHED_RESET_ON_FORK
        os.sched_setscheduler(0, policy, os.sched_param(1))
        done["realtime"] = True
    return done


def _take_run_directory(run: Path) -> socket.socket:
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


def _detach(run: Path, ready: int) -> None:
    """From here on nobody waits for us; what we say goes to our own log."""
    log = os.open(run / "guard.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(os.open(os.devnull, os.O_RDWR), 0)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.write(ready, b"ready")
    os.close(ready)


def main() -> None:
    """Start a guard in a session of its own and return when it listens."""
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
    listener = _take_run_directory(run)
    isolated = options.isolation == "auto" and namespaces_allowed()
    guard = Guard(str(data), str(run), listener, isolated)
    signal.signal(signal.SIGTERM, lambda *_: guard.stop())
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)
    _detach(run, made_ready)
    while not guard.over():
        guard.step()


if __name__ == "__main__":
    main()
