"""Network namespaces without names: made by one process, entered through it, gone with it.

Linux only, for root. A namespace lives as long as a descriptor of it, a process in it or its TUN
device does; nothing is written under /run/netns, so nothing is left when its owner dies.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import shutil
import signal
import struct
import subprocess
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

DEVICE = "road"
NEEDED_TOOLS = ("ip", "nsenter", "unshare")
TOOL_TIMEOUT_S = 10.0
END_TIMEOUT_S = 10.0
LOOK_AGAIN_S = 0.02

_CLONE_NEWNET = 0x40000000
_TUNSETIFF = 0x400454CA
_IFF_TUN, _IFF_NO_PI = 0x0001, 0x1000
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True)
class Place:
    """One namespace, held open: its own descriptor, and the TUN device that leads out of it."""

    host: str
    namespace: int
    device: int

    @property
    def inode(self) -> int:
        """By which the kernel tells namespaces apart."""
        return os.fstat(self.namespace).st_ino


def why_not() -> str:
    """Why this process cannot have namespaces; empty when it can."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    for tool in NEEDED_TOOLS:
        if shutil.which(tool) is None:
            return f"network namespaces need `{tool}`: install iproute2 and util-linux"
    if not os.access("/dev/net/tun", os.R_OK | os.W_OK):
        return "network namespaces need /dev/net/tun: load the kernel's module tun"
    tried = subprocess.run(
        ["unshare", "--net", "true"], capture_output=True, timeout=TOOL_TIMEOUT_S, check=False
    )
    return "" if tried.returncode == 0 else f"unshare --net: {tried.stderr.decode().strip()}"


def make_place(host: str, mtu: int) -> Place:
    """A namespace with loopback and a TUN device at host/24. Raises OSError, CalledProcessError."""
    home = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        _call("unshare", _CLONE_NEWNET)
        namespace = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        device = _open_device()
        _configure(host, mtu)
    finally:
        _call("setns", home, _CLONE_NEWNET)
        os.close(home)
    return Place(host, namespace, device)


@contextlib.contextmanager
def within(place: Place) -> Iterator[None]:
    """This thread stands in the place meanwhile; sockets made then belong there for ever.

    Nothing may be awaited in it: the thread's other tasks would stand there too.
    """
    home = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        _call("setns", place.namespace, _CLONE_NEWNET)
        yield
    finally:
        _call("setns", home, _CLONE_NEWNET)
        os.close(home)


def end_all_within(places: Iterable[Place]) -> None:
    """Kill every process that stands in one of these places. Raises TimeoutError."""
    inodes = {place.inode for place in places}
    until_s = time.monotonic() + END_TIMEOUT_S
    while found := _pids_within(inodes):
        if time.monotonic() > until_s:
            raise TimeoutError(f"processes in namespaces of the lab do not end: {found}")
        for pid in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(LOOK_AGAIN_S)


def be_told_of_parents_death(parent: int) -> None:
    """SIGTERM instead of the SIGKILL that a child of the lab gets: time to clear up."""
    _call("prctl", _PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGTERM)


def _pids_within(inodes: set[int]) -> list[int]:
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        # A process that ends meanwhile has no namespace any more.
        with contextlib.suppress(OSError):
            if (process / "ns" / "net").stat().st_ino in inodes:
                found.append(int(process.name))
    return [pid for pid in found if pid != os.getpid()]


def _open_device() -> int:
    device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    fcntl.ioctl(device, _TUNSETIFF, struct.pack("16sH22x", DEVICE.encode(), _IFF_TUN | _IFF_NO_PI))
    return device


def _configure(host: str, mtu: int) -> None:
    """Of the namespace in which this process stands."""
    lines = (
        "link set lo up",
        f"link set {DEVICE} mtu {mtu} txqueuelen 2000 up",
        f"address add {host}/24 dev {DEVICE}",
    )
    subprocess.run(
        ["ip", "-batch", "-"],
        input="\n".join(lines).encode() + b"\n",
        stdout=subprocess.DEVNULL,
        timeout=TOOL_TIMEOUT_S,
        check=True,
    )


def _call(name: str, *arguments: int) -> None:
    if getattr(_LIBC, name)(*arguments) != 0:
        error = ctypes.get_errno()
        raise OSError(error, f"{name}: {os.strerror(error)}")
