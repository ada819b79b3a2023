"""What goes over the guard's socket: one JSON object a line, refusals, bounds.

Standard library only, as all of the guard.
"""

from __future__ import annotations

import json
import socket
from typing import Any

LINE_LIMIT_BYTES = 64 * 1024


class Refusal(Exception):
    """A request that is not carried out; the state is as before."""

    def __init__(self, code: str, error: str) -> None:
        super().__init__(error)
        self.code = code


class Connection:
    """One agent. What it does not read is bounded; then it is cut off."""

    def __init__(self, peer: socket.socket) -> None:
        self.peer = peer
        self.unread = b""
        self.unsent = b""

    def fileno(self) -> int:
        return self.peer.fileno()

    def say(self, answer: dict[str, Any]) -> None:
        self.unsent += json.dumps(answer).encode() + b"\n"
        if self.peer.fileno() >= 0:
            self.flush()

    def flush(self) -> None:
        try:
            self.unsent = self.unsent[self.peer.send(self.unsent) :]
        except BlockingIOError:
            if len(self.unsent) > 4 * LINE_LIMIT_BYTES:
                self.peer.close()
        except OSError:
            self.peer.close()

    def lines(self) -> list[bytes]:
        try:
            came = self.peer.recv(LINE_LIMIT_BYTES)
        except BlockingIOError:
            return []
        except OSError:
            came = b""
        if not came:
            self.peer.close()
            return []
        *whole, self.unread = (self.unread + came).split(b"\n")
        if len(self.unread) > LINE_LIMIT_BYTES:
            self.say({"ok": False, "code": "malformed", "error": "line too long"})
            self.peer.close()
        return whole


def decoded(line: bytes) -> dict[str, Any]:
    try:
        request = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise Refusal("malformed", f"not JSON: {error}"[:200]) from None
    if not isinstance(request, dict) or not isinstance(request.get("request"), str):
        raise Refusal("malformed", "an object with a string `request` is needed")
    return request


def whole_number(request: dict[str, Any], name: str, without: int | None = None) -> int:
    """A field of milliseconds. Raises Refusal."""
    value = request.get(name, without)
    if type(value) is not int:
        raise Refusal("malformed", f"{name}: an integer of milliseconds since boot")
    return value
