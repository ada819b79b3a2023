"""Ports of loopback for what the lab and the tests start themselves.

They lie below those that the kernel gives to outgoing connections, so that none is taken between
its choice and its use, and one process gives the same port to two only after all others. Tests
that run beside others get a range of their own: LAB_PORTS=20000:26000, the end excluded.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import socket

LOOPBACK = "127.0.0.1"
RANGE = range(*(int(end) for end in os.environ.get("LAB_PORTS", "20000:32000").split(":")))
"""Linux gives 32768 and above to outgoing connections, if nobody told it otherwise."""

_candidates = itertools.cycle(random.sample(RANGE, len(RANGE)))


def free_port() -> int:
    """A port on which nobody listens now. Raises OSError."""
    for port in itertools.islice(_candidates, len(RANGE)):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind((LOOPBACK, port))
            return port
    raise OSError(f"every port of {RANGE.start} to {RANGE.stop - 1} is taken: end other labs")


def free_address() -> str:
    """The same, as host:port."""
    return f"{LOOPBACK}:{free_port()}"
