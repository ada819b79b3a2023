"""The guard: parent of one engine, and the only one who holds the deadline of its lease.

One guard stands beside the agent for each replica, in a session of its own: the agent can
be stopped, killed or upgraded without touching the engine, and a dead or frozen agent cannot
keep an engine writable. It uses the standard library alone and runs as
`python -I -S guard.py --run DIR --data DIR`; it exits 0 once it listens on DIR/guard.sock.

One JSON object a line. Request: `{"id": 1, "request": "lease", "deadline_ms": 123}`. Answer:
`{"id": 1, "ok": true, ...}` or `{"id": 1, "ok": false, "code": ..., "error": ...}` with code
`malformed`, `refused` (the state forbids it) or `busy` (try again). Requests:

    status           what is in force, the engine, the last exit and the last fence
    fences           service, address, partners, nftables, watchdog, watchdog_device: the layers
                     outside the guard, each required, if_present or off; answers how they stand
    start            argv, env, log, as_primary: run the engine in the data directory
    lease            deadline_ms (CLOCK_BOOTTIME): writable until then; only ever extended. end_ms:
                     when the lease is over; asked_ms: when it was asked for; ttl_ms: its length.
                     Answered when all required layers are armed; refused when one is missing
    alone            writable without a deadline
    close            no longer writable; ends an engine that may be writing, then answers
    allow_promotion  the running standby may become writable; from now on the deadline binds it
    signal           name: SIGINT, SIGTERM, SIGHUP or SIGUSR1, to the engine's first process
    kill             ends the engine at once and answers when no process of it is left: kill_ms
    shutdown         ends the guard; refused while an engine runs

Events, to every connection: `{"event": "engine_exited", "status", "kill_ms", "reason"}` and
`{"event": "fenced", "deadline_ms", "late_ms", "kill_ms"}`; `{"event": "clocks", "suspended_ms",
"jump_ms"}`: nobody ran for a while, so a lease ended or comes to end earlier.
SIGTERM stops the engine in order, then the guard; the deadline binds meanwhile. A guard never
adopts an engine.
"""

from __future__ import annotations

import contextlib
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
    sys.path.append(str(Path(__file__).resolve().parents[2]))

from agents.fences.base import ARMED, CLOSED, OPEN
from agents.fences.process import Process, be_hard_to_delay
from agents.guard.clocks import Clocks, Slip, read_clocks
from agents.guard.engine import (
    SIGNALS,
    START_LIMIT_MS,
    Command,
    Engine,
    EngineLock,
    boottime_ms,
    namespaces_allowed,
)
from agents.guard.fences import BEGUN, Fences, Pending, Waiting, Wish, layers_of, lease_wish
from agents.guard.start import CONNECTION_LIMIT, detach, stand_apart, take_run_directory
from agents.guard.wire import Connection, Refusal, decoded

WAITING_LIMIT = 64
POLL_MS = 50
IDLE_POLL_MS = 500

Handler = Callable[[dict[str, Any]], dict[str, Any] | Pending | None]
"""Gives its answer; or that it waits for the fences; or None, answered when the engine is gone."""


class Guard:
    """The state, and the loop that keeps the deadline. `step` is one turn of the loop."""

    def __init__(
        self,
        data: str,
        run: str,
        listener: socket.socket,
        isolated: bool,
        process: Process,
        clocks: Clocks,
    ) -> None:
        self._data = data
        self._lock = EngineLock(data, run)
        self._listener = listener
        self._isolated = isolated
        self._process = process
        self._fences = Fences(process)
        self._clocks = clocks
        self._waiting = Waiting()
        self._told_layers = False
        self._connections: list[Connection] = []
        self._permission = "closed"
        self._deadline_ms = self._end_ms = self._ttl_ms = 0
        self._engine: Engine | None = None
        self._ends: list[Callable[[int], None]] = []
        self._last_exit: dict[str, Any] | None = None
        self._last_fence: dict[str, Any] | None = None
        self.ending = False

    def over(self) -> bool:
        return self.ending and self._engine is None

    def end(self) -> None:
        """Nothing runs any more: the layers outside leave nothing behind."""
        for left in self._fences.end():
            print(json.dumps({"event": "left", "why": left}), file=sys.stderr, flush=True)

    def step(self) -> None:
        """The deadline comes before everything else: an extension that came late is late."""
        self._keep_deadline()
        self._reap()
        self._settle_fences()
        self._connections = [c for c in self._connections if c.fileno() >= 0]
        watched: list[Any] = [self._listener, self._fences, *self._connections]
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
            return self._engine.look_again_ms() / 1000
        if self._permission != "leased":
            return (POLL_MS if self._engine else IDLE_POLL_MS) / 1000
        left_ns = self._deadline_ms * 1_000_000 - time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        return min(max(left_ns / 1e9, 0), POLL_MS / 1000)

    def _keep_deadline(self) -> None:
        slip = self._heed_clocks()
        if self._permission == "leased" and boottime_ms() >= self._deadline_ms:
            self._permission = "closed"
            if self._engine and self._engine.writable:
                self._engine.strike("deadline")
        if self._engine and self._engine.dying:
            self._engine.strike(self._engine.dying)
        if any(slip):
            self._tell({"event": "clocks", **slip._asdict()})  # Last: its disk may hang.

    def _heed_clocks(self) -> Slip:
        """A time in which nobody ran, and of which the lease's own clock may not know."""
        slip = self._clocks.turn()
        if any(slip):
            self._waiting.refuse_leases("the clocks jumped meanwhile: ask again")
        if slip.suspended_ms:
            self._deadline_ms = min(self._deadline_ms, boottime_ms())
        self._deadline_ms -= slip.jump_ms
        self._end_ms -= slip.jump_ms
        return slip

    def _settle_fences(self) -> None:
        """The layers outside follow what is in force, and leases that waited for them begin."""
        self._fences.drain()
        self._waiting.settle(self._fences)
        wish = self._wish()
        if wish != self._fences.wished:
            self._fences.wish(wish)

    def _wish(self) -> Wish:
        engine = self._engine
        if engine and engine.writable and (engine.dying or self._permission == "closed"):
            return Wish(CLOSED)
        if lease := self._waiting.lease():
            return lease
        if self._permission == "leased":
            return Wish(ARMED, self._deadline_ms, self._end_ms, self._ttl_ms)
        if self._permission == "alone":
            return Wish(OPEN, alone=True)
        before = self._fences.wished.state
        # What an engine that died under a lease may still send is let out no more; and without
        # namespaces, processes of an engine may outlive it, and its guard.
        left = before == ARMED or (before in (BEGUN, CLOSED) and not self._lock.free())
        return Wish(CLOSED if engine is None and left else OPEN)

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
            if not isinstance(done, dict) and len(self._ends) >= WAITING_LIMIT:
                raise Refusal("busy", f"{WAITING_LIMIT} requests wait for this end already")
        except Refusal as refusal:
            connection.say({**head, "ok": False, "code": refusal.code, "error": str(refusal)})
            return
        if isinstance(done, Pending):
            done.head, done.connection = head, connection
            self._waiting.add(done)
        elif done is not None:
            connection.say({**head, "ok": True, **done})
        else:
            self._ends.append(lambda ms: connection.say({**head, "ok": True, "kill_ms": ms}))

    def _handlers(self) -> dict[str, Handler]:
        return {
            "status": self._status,
            "fences": self._configure,
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
            "locked_memory": self._process.locked_memory,
            "realtime": self._process.realtime,
            "layers": self._fences.told(),
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

    def _configure(self, request: dict[str, Any]) -> Pending:
        """A door that a dead guard left stays shut until nothing of its engine is left."""
        self._fences.configure(layers_of(request))
        first = Wish(BEGUN) if self._engine is None and not self._told_layers else self._wish()
        self._told_layers = True
        return Pending(self._fences.wish(first), None, lambda: {"layers": self._fences.told()})

    def _lease(self, request: dict[str, Any]) -> Pending:
        """Answered when every required layer is armed; refused when one does not hold."""
        if len(self._waiting) >= WAITING_LIMIT:
            raise Refusal("busy", f"{WAITING_LIMIT} leases wait for their fences already")
        wish = lease_wish(request, self._wish(), self._clocks, boottime_ms())
        return Pending(self._fences.wish(wish), wish, lambda: self._begin_lease(wish))

    def _begin_lease(self, wish: Wish) -> dict[str, Any]:
        self._fences.need(wish.ttl_ms)
        if boottime_ms() >= wish.deadline_ms:
            raise Refusal("refused", "its deadline passed before its fences were armed")
        self._permission = "leased"
        self._deadline_ms, self._end_ms, self._ttl_ms = wish.deadline_ms, wish.end_ms, wish.ttl_ms
        return {"deadline_ms": wish.deadline_ms}

    def _alone(self, _: dict[str, Any]) -> dict[str, Any]:
        self._waiting.refuse_leases("alone meanwhile")
        self._permission = "alone"
        return {}

    def _close(self, _: dict[str, Any]) -> dict[str, Any] | None:
        self._waiting.refuse_leases("closed meanwhile")
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


def main() -> None:
    """Start a guard in a session of its own and return when it listens."""
    run, data, isolation, ready = stand_apart()
    listener = take_run_directory(run)
    isolated = isolation == "auto" and namespaces_allowed()
    process, clocks = be_hard_to_delay(), Clocks(read_clocks)
    guard = Guard(str(data), str(run), listener, isolated, process, clocks)
    signal.signal(signal.SIGTERM, lambda *_: guard.stop())
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)
    detach(run, ready)
    while not guard.over():
        guard.step()
    guard.end()


if __name__ == "__main__":
    main()
