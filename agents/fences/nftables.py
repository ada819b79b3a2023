"""The door that the kernel keeps: packets to and from the engine's port pass while it is open.

A table of Saling's own holds one set with one element, the door. Under a lease the element has
a timeout: when it runs out the kernel itself drops what comes to the port and what leaves it,
established connections included, whoever stands still in user space. A renewal empties the set
and fills it again in one transaction, for adding alone extends nothing.

What is turned away is answered by a reset, to both ends. A reset carries no data, so it may pass
always; and it makes the engine's side forget an acknowledgement that it would send again and
again, until a door that is opened later lets it through. For the same reason a door that was
shut on a writer is opened again only when no connection of that time is left.

The backup's host passes by its address. The agent asks its engine over a Unix socket, and needs
no rule. A client on a Unix socket is met by the inner layers alone.

Set timers count jiffies, which stand still while the host is suspended or its virtual machine is
paused: the guard's own clocks are for that (docs/decisions/0014-clocks.md).
"""

from __future__ import annotations

import contextlib
import ctypes
import ipaddress
import os
import re
import sys
import time
from pathlib import Path
from typing import Any

from agents.fences.base import ARMED, CLOSED, OPEN, FenceError, Health, Layer, boottime_ms

LIBRARY = "libnftables.so.1"
NAME_LIMIT = 200
REMOVE_LIMIT_MS = 1000
INSTALL = "install nftables (Debian, Ubuntu: apt-get install nftables)"
ALLOW = (
    "give the agent CAP_NET_ADMIN: AmbientCapabilities=CAP_NET_ADMIN in its unit, then end its"
    " guards in order (saling-agent stop) and start it; in a container --cap-add NET_ADMIN"
)
KERNEL = "use a kernel with nf_tables and its reject expression, or set `fences: {nftables: off}`"
LIVE_STATES = frozenset(("01", "04", "08", "09", "0B"))
"""Of /proc/net/tcp: those in which data of ours may still be sent, again or for the first time."""

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class Nftables:
    """The door of one engine's port in the guard's network namespace."""

    name = "nftables"
    least_ttl_ms = 0

    def __init__(self, service: str, address: str, partners: tuple[str, ...] = ()) -> None:
        """`address`: where the engine listens, host:port. `partners`: addresses of hosts."""
        host, _, port = address.rpartition(":")
        self._port = int(port)
        self._host = _literal(host)
        self.table = table_name(service, address)
        self._partners = tuple(p for p in partners if not _ip(p).is_loopback)
        local = len(self._partners) < len(partners)
        self._remark = "the partner is on this very host and passes by no rule" if local else ""
        self.note = self._remark
        self.state = CLOSED
        self._context: _Context | None = None
        self._installed = False
        self._held_shut = False
        """It was shut on a writer, of which connections may be left."""
        self._wanted: tuple[int, ...] | None = None
        """What was asked for while it is held shut: a deadline, or nothing for none."""

    @property
    def identity(self) -> str:
        return self.table

    def after(self, other: Layer | None) -> Layer:
        """With partners of its own; but what was held shut stays so."""
        self._held_shut = isinstance(other, Nftables) and other._held_shut
        return self

    def begin(self) -> None:
        try:
            self._run(f"list table inet {self.table}\n")
        except FenceError as error:
            if error.mend != KERNEL:
                raise
            # There is no such table: whoever uses this port is none of ours.
            return
        self.close()

    def arm(self, deadline_ms: int, end_ms: int) -> None:
        self._wanted = (deadline_ms,)
        self._let_in()

    def open(self, alone: bool) -> None:
        self._wanted = ()
        self._let_in()

    def close(self) -> None:
        self._held_shut, self._wanted = True, None
        self._shut()

    def tick(self) -> None:
        if self._held_shut and self._wanted is not None:
            self._let_in()

    def remove(self) -> None:
        until_ms = boottime_ms() + REMOVE_LIMIT_MS
        while self._held_shut and self._is_waited_for():
            if boottime_ms() > until_ms:
                why = f"table inet {self.table} stays, for connections of a fenced engine are left"
                raise FenceError(why, f"nft delete table inet {self.table}")
            time.sleep(0.02)
        self._installed = False
        self._run(_without(self.table))

    def check(self) -> Health:
        """Puts up a door of another name, without its port, and takes it down again."""
        trial = Nftables("doctor", "127.0.0.1:0", ("192.0.2.1", "2001:db8::1"))
        trial.table += f"_{os.getpid()}"
        try:
            trial.arm(boottime_ms() + 1000, 0)
            trial.arm(boottime_ms() + 1000, 0)
            trial.remove()
        except FenceError as error:
            return Health(False, str(error), error.mend)
        return Health(True, "the kernel can drop the port's packets at a deadline by itself")

    def _let_in(self) -> None:
        if self._held_shut and self._is_waited_for():
            self._shut()
            self.note = "held shut until the connections of the fenced engine are gone"
            return
        self._held_shut, self.note = False, self._remark
        if not self._wanted:
            self._set("tcp")
            self.state = OPEN
            return
        # The clock is read here, and not before: what waited meanwhile has less time left.
        left_ms = self._wanted[0] - boottime_ms()
        self._set(f"tcp timeout {left_ms}ms" if left_ms > 0 else "")
        self.state = ARMED

    def _is_waited_for(self) -> bool:
        """A connection is left that the door was shut on; the partner's may pass anyway."""
        partners = frozenset().union(*(_all_words(_ip(partner)) for partner in self._partners))
        return connections_left(self._host, self._port, partners)

    def _shut(self) -> None:
        self._set("")
        self.state = CLOSED

    def _set(self, element: str) -> None:
        """An administrator's `flush ruleset` takes our table too: then it is put up anew."""
        door = f"inet {self.table} door"
        change = f"flush set {door}\n" + (
            f"add element {door} {{ {element} }}\n" if element else ""
        )
        if self._installed:
            with contextlib.suppress(FenceError):
                self._run(change)
                return
        self._run(_without(self.table) + self._rules(element))
        self._installed = True

    def _rules(self, element: str) -> str:
        families = {4: "ip", 6: "ip6"}
        version = families[self._host.version] if self._host else ""
        to = f"{version} daddr {self._host} " if self._host else ""
        since = f"{version} saddr {self._host} " if self._host else ""
        partners = "".join(
            f"{families[_ip(partner).version]} {end} {partner} accept\n"
            for partner in self._partners
            for end in ("saddr", "daddr")
        )
        elements = f"elements = {{ {element} }}" if element else ""
        return f"""table inet {self.table} {{
set door {{ type inet_proto; flags timeout; {elements} }}
chain judge {{
tcp flags rst accept
meta l4proto @door accept
{partners}reject with tcp reset comment "Saling: shut, unless its lease fills the set"
}}
chain arrives {{ type filter hook input priority filter - 5; policy accept
{to}tcp dport {self._port} jump judge
}}
chain leaves {{ type filter hook output priority filter - 5; policy accept
{since}tcp sport {self._port} jump judge
}}
}}
"""

    def _run(self, commands: str) -> None:
        if self._context is None:
            self._context = _Context()
        self._context.run(commands)


def table_name(service: str, address: str) -> str:
    """One a service and address, for several agents may stand in one network namespace."""
    return re.sub(r"[^a-z0-9]", "_", f"saling_{service}_{address}".lower())[:NAME_LIMIT]


def connections_left(
    host: Address | None, port: int, without: frozenset[str] = frozenset()
) -> bool:
    """Whether a TCP connection of this address, in our network namespace, may still send data.

    `without`: those to these remote hosts do not count, in the words of /proc.
    """
    wanted = f"{_as_proc_says(host) if host else ''}:{port:04X}"
    for file in ("/proc/thread-self/net/tcp", "/proc/thread-self/net/tcp6"):
        with contextlib.suppress(OSError), Path(file).open() as lines:
            next(lines)
            for line in lines:
                _, local, remote, state, *_ = line.split(maxsplit=4)
                counts = state in LIVE_STATES and remote.partition(":")[0] not in without
                if counts and local.endswith(wanted):
                    return True
    return False


def _as_proc_says(host: Address) -> str:
    """The kernel prints an address as words of the machine's own order of bytes."""
    packed = host.packed
    words = [packed[i : i + 4] for i in range(0, len(packed), 4)]
    return "".join(f"{int.from_bytes(word, sys.byteorder):08X}" for word in words)


def _all_words(host: Address) -> frozenset[str]:
    """Its own, and those of an IPv4 address that reached an IPv6 socket."""
    if host.version == 6:
        return frozenset((_as_proc_says(host),))
    mapped = ipaddress.IPv6Address(f"::ffff:{host}")
    return frozenset((_as_proc_says(host), _as_proc_says(mapped)))


def _literal(host: str) -> Address | None:
    """The one address that the engine listens on; None when it may be several."""
    try:
        address = _ip(host.strip("[]"))
    except ValueError:
        return None
    return None if address.is_unspecified else address


def _ip(text: str) -> Address:
    return ipaddress.ip_address(text)


def _without(table: str) -> str:
    """In the same transaction as what follows. A table that is not there may not be deleted."""
    return f"table inet {table}\ndelete table inet {table}\n"


class _Context:
    """libnftables. A process of nft for each renewal would take a hundred times as long."""

    def __init__(self) -> None:
        try:
            library: Any = ctypes.CDLL(LIBRARY)
        except OSError:
            raise FenceError(f"{LIBRARY} is not on this host", INSTALL) from None
        library.nft_ctx_new.restype = ctypes.c_void_p
        library.nft_ctx_get_error_buffer.restype = ctypes.c_char_p
        for name in ("nft_ctx_buffer_output", "nft_ctx_buffer_error", "nft_ctx_get_error_buffer"):
            getattr(library, name).argtypes = [ctypes.c_void_p]
        library.nft_run_cmd_from_buffer.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
        self._library = library
        self._context = library.nft_ctx_new(0)
        if not self._context:
            raise FenceError("libnftables cannot be used", INSTALL)
        library.nft_ctx_buffer_output(self._context)
        library.nft_ctx_buffer_error(self._context)

    def run(self, commands: str) -> None:
        if self._library.nft_run_cmd_from_buffer(self._context, commands.encode()) == 0:
            return
        said = self._library.nft_ctx_get_error_buffer(self._context).decode(errors="replace")
        first = said.strip().partition("\n")[0] or "no reason given"
        if "not permitted" in said:
            raise FenceError("CAP_NET_ADMIN is missing, so the kernel takes no rules", ALLOW)
        raise FenceError(f"the kernel takes no rules: {first}"[:500], KERNEL)
