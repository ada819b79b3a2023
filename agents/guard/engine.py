"""One life of an engine under the guard: namespaces, the lock it inherits, its end.

The engine is process 1 of its own PID namespace: the kernel ends everything in it with its
first process, and that one with the guard (PR_SET_PDEATHSIG). A holder stands between, for
`unshare` moves the children of a process and not the process itself. Every process of the
engine inherits an flock on DATA.lock: while any lives, no guard starts another on that data.
Without namespaces the guard goes on killing those who hold that lock until it is free.
Standard library only, as all of the guard.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import select
import signal
import time
from pathlib import Path
from typing import Any, NoReturn

from agents.guard.wire import Refusal

SIGNALS = {name: signal.Signals[name] for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1")}
START_LIMIT_MS = 2000

_CLONE_NEWUSER, _CLONE_NEWPID = 0x10000000, 0x20000000
_PR_SET_PDEATHSIG = 1
_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL = 47, 4
_libc = ctypes.CDLL(None, use_errno=True)


def boottime_ms() -> int:
    """Milliseconds since the host started, suspend included; comparable within one boot."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000


def libc_call(name: str, *arguments: int) -> None:
    if getattr(_libc, name)(*arguments) != 0:
        error = ctypes.get_errno()
        raise OSError(error, f"{name}: {os.strerror(error)}")


def _die_with_parent(parent: int) -> None:
    """The kernel forgets this on every change of credentials: call it after the last one."""
    libc_call("prctl", _PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def _enter_namespaces() -> None:
    """Children are born in a new PID namespace. Root becomes 1000, as PostgreSQL refuses root."""
    uid, gid = os.geteuid(), os.getegid()
    libc_call("unshare", _CLONE_NEWUSER | _CLONE_NEWPID)
    for name, line in (
        ("setgroups", "deny"),
        ("uid_map", f"{uid or 1000} {uid} 1"),
        ("gid_map", f"{gid or 1000} {gid} 1"),
    ):
        Path(f"/proc/self/{name}").write_text(line)


def namespaces_allowed() -> bool:
    """Tried in a child, for the kernel, a container or a policy may forbid it."""
    child = os.fork()
    if child == 0:
        with contextlib.suppress(OSError):
            _enter_namespaces()
            os._exit(0)
        os._exit(1)
    return os.waitpid(child, 0)[1] == 0


FIRST_ALONE_MS = 20
"""So long the kill of a namespace's process 1 may take before each of its processes is killed."""
EACH_AGAIN_MS = 100
QUICK_MS = 2000
"""One that outlives its kill for longer hangs in the kernel: it is looked for less often."""
QUICK_LOOK_MS, SLOW_LOOK_MS = 1, 50


class EngineLock:
    """DATA.lock, held by the engine's processes alone; its text names the guard's directory."""

    def __init__(self, data: str, run: str) -> None:
        self.path = data + ".lock"
        self.run = run

    def take(self) -> int:
        """A locked descriptor for the engine to inherit. The guard closes its own copy."""
        lock = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.read(lock, 4096).decode(errors="replace")
            os.close(lock)
            if owner != self.run:
                raise Refusal(
                    "refused", f"the guard of {owner} runs an engine on this data"
                ) from None
            self.kill_holders()
            raise Refusal("busy", "a process of the previous engine is still ending") from None
        os.ftruncate(lock, 0)
        os.pwrite(lock, self.run.encode(), 0)
        return lock

    def free(self) -> bool:
        try:
            lock = os.open(self.path, os.O_RDWR)
        except FileNotFoundError:
            return True
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        finally:
            os.close(lock)
        return True

    def kill_holders(self) -> None:
        mine = Path(self.path).stat()
        for process in Path("/proc").glob("[0-9]*"):
            pid = int(process.name)
            if pid != os.getpid() and has_open(process, mine):
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)


def has_open(process: Path, wanted: os.stat_result) -> bool:
    """Whether a process, given as its directory in /proc, has this file open."""
    with contextlib.suppress(OSError):
        return any(_same_file(link, wanted) for link in (process / "fd").iterdir())
    return False


def _same_file(path: Path, wanted: os.stat_result) -> bool:
    try:
        return os.path.samestat(path.stat(), wanted)
    except OSError:
        return False


def descendants(pid: int) -> list[int]:
    """All that come from a process; none where the kernel does not say."""
    found, left = list[int](), [pid]
    while left:
        for children in Path(f"/proc/{left.pop()}/task").glob("*/children"):
            with contextlib.suppress(OSError):
                born = [int(text) for text in children.read_text().split()]
                found, left = found + born, left + born
    return found


class Command:
    """What to run. Checked before anything is started."""

    def __init__(self, request: dict[str, Any], data: str) -> None:
        argv, env, log = request.get("argv"), request.get("env"), request.get("log")
        if not isinstance(argv, list) or not argv or not all(isinstance(a, str) for a in argv):
            raise Refusal("malformed", "argv: a list of strings, not empty")
        if not isinstance(env, dict) or not all(isinstance(v, str) for v in env.values()):
            raise Refusal("malformed", "env: an object of strings")
        if not isinstance(log, str) or not log.startswith("/"):
            raise Refusal("malformed", "log: an absolute path")
        for text in (*argv, *env, *env.values(), log):
            _need_passable(text)
        self.argv: list[str] = argv
        self.env: dict[str, str] = env
        self.log = log
        self.data = data

    def become(self, lock: int, failed: int) -> NoReturn:
        """In the child: turn into the engine, or say in `failed` why not."""
        try:
            os.setsid()
            os.chdir(self.data)
            log = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            os.dup2(log, 1)
            os.dup2(log, 2)
            os.set_inheritable(lock, True)
            # What the guard may do to the kernel's rules is none of the engine's business.
            libc_call("prctl", _PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
            for number in (*SIGNALS.values(), signal.SIGPIPE):
                signal.signal(number, signal.SIG_DFL)
            os.execve(self.argv[0], self.argv, self.env)
        except (OSError, ValueError) as error:
            os.write(failed, f"{self.argv[0]}: {error}".encode()[:2000])
        os._exit(127)


def _need_passable(text: str) -> None:
    try:
        if b"\0" not in os.fsencode(text):
            return
    except UnicodeEncodeError:
        pass
    raise Refusal("malformed", f"{text!a}: cannot be given to a program")


def _close_all_but(*kept: int) -> None:
    """A forked child must not hold the guard's lock and connections."""
    below = 3
    for number in sorted(kept):
        os.closerange(below, number)
        below = number + 1
    os.closerange(below, below + 256)


def _hold(command: Command, guard: int, lock: int, report: int) -> NoReturn:
    """In the holder: fork process 1 of the new namespace, report its pid, wait for its end."""
    os.setsid()
    for number in SIGNALS.values():
        signal.signal(number, signal.SIG_IGN)
    _enter_namespaces()
    _die_with_parent(guard)
    alive, holds = os.pipe()
    failed_read, failed = os.pipe()
    first = os.fork()
    if first == 0:
        os.close(holds)
        libc_call("prctl", _PR_SET_PDEATHSIG, signal.SIGKILL)
        # Its parent is outside its namespace, so getppid() is 0: an end of file tells instead.
        if select.select([alive], [], [], 0)[0]:
            os._exit(1)
        command.become(lock, failed)
    os.close(failed)
    os.close(lock)
    error = os.read(failed_read, 2000)
    os.write(report, b"error " + error if error else f"pid {first}".encode())
    os.close(report)
    os._exit(_exit_code(os.waitpid(first, 0)[1]))


def _exit_code(status: int) -> int:
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


class Engine:
    """One life of the engine. `pid` is its first process as the host counts."""

    def __init__(
        self,
        command: Command,
        lock: EngineLock,
        isolated: bool,
        writable: bool,
        limit_ms: int = START_LIMIT_MS,
    ) -> None:
        """`limit_ms`: how long the guard may wait for its holder, who keeps no deadline then."""
        self.writable = writable
        self._limit_ms = min(limit_ms, START_LIMIT_MS)
        self.dying = ""
        self.killed_ms = 0
        self._each_ms = 0
        """From when on, since the kill, every process is struck by itself."""
        self.status: int | None = None
        self._isolated = isolated
        self._first_ended = False
        self._lock = lock
        self._child, self.pid = self._spawn(command)
        try:
            self.pidfd = os.pidfd_open(self.pid)
        except ProcessLookupError:
            self.pidfd = -1

    def _spawn(self, command: Command) -> tuple[int, int]:
        lock = self._lock.take()
        report, reported = os.pipe()
        guard = os.getpid()
        child = os.fork()
        if child == 0:
            try:
                _close_all_but(lock, reported)
                if self._isolated:
                    _hold(command, guard, lock, reported)
                _die_with_parent(guard)
                command.become(lock, reported)
            except OSError as error:
                os.write(reported, f"error {error}".encode())
            finally:
                os._exit(126)
        os.close(reported)
        os.close(lock)
        said = b"error no answer from its holder in time"
        if select.select([report], [], [], self._limit_ms / 1000)[0]:
            said = os.read(report, 4096)
        os.close(report)
        if not self._isolated and not said:
            return child, child
        if said.startswith(b"pid "):
            return child, int(said[4:])
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        raise Refusal("refused", said.decode(errors="replace") or "its holder died")

    def strike(self, reason: str) -> None:
        """Begin or repeat the kill; `gone` tells when it is over."""
        if not self.dying:
            self.dying = reason
            self.killed_ms = boottime_ms()
            self._each_ms = 0 if not self._isolated else FIRST_ALONE_MS
        self.send(signal.SIGKILL)
        if self.ending_ms() >= self._each_ms:
            # Process 1 ends its namespace only when it ends itself: while it hangs in the kernel
            # the others would write on.
            self._each_ms = self.ending_ms() + (EACH_AGAIN_MS if self._isolated else 0)
            self._kill_each()

    def _kill_each(self) -> None:
        """Those of a namespace descend from its process 1: to find them takes no look at others."""
        below = descendants(self.pid) if self._isolated else []
        if not below:
            self._lock.kill_holders()
        for pid in below:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def send(self, number: signal.Signals) -> None:
        if self.pidfd >= 0:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self.pidfd, number)

    def reaped(self, pid: int, status: int) -> None:
        if pid == self._child:
            self.status = _exit_code(status)

    def ending(self) -> bool:
        """Nothing is left to wait for but the end of what `gone` asks."""
        return bool(self.dying) or self._first_ended

    def ending_ms(self) -> int:
        """Since the kill; 0 where it ended by itself."""
        return boottime_ms() - self.killed_ms if self.dying else 0

    def look_again_ms(self) -> int:
        """How soon to look whether it is gone."""
        return QUICK_LOOK_MS if self.ending_ms() < QUICK_MS else SLOW_LOOK_MS

    def gone(self) -> bool:
        """No process of it is left. The end of process 1 comes after that of its namespace."""
        self._first_ended = self._first_ended or self.pidfd < 0 or _readable(self.pidfd)
        if self.status is None or not self._first_ended:
            return False
        if not self._isolated and not self._lock.free():
            self._lock.kill_holders()
            return False
        return True

    def forget(self) -> None:
        if self.pidfd >= 0:
            os.close(self.pidfd)


def _readable(descriptor: int) -> bool:
    return bool(select.select([descriptor], [], [], 0)[0])
