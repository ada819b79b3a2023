"""What comes in is either a message that counts or is put aside with a reason.

A message is put aside when it is too large, malformed, unsigned, of a foreign cluster, of
somebody else than its topic says, in a schema that is not spoken here, or older than one
already taken from the same sender. Nothing that is put aside changes anything.
"""

from __future__ import annotations

import json
from enum import StrEnum
from typing import Any, TypeVar

import msgspec

from protocol.messages import SCHEMA_HIGHEST, SCHEMA_LOWEST, Grant, Header, Order, Renew, Report
from protocol.sealing import BadSignature, Sealed, Verifier

MAX_BYTES = 1024 * 1024
MAX_LIVES = 8
"""How many past lives of one sender are remembered, so that their messages stay stale."""

M = TypeVar("M", Report, Order, Renew, Grant)


class Reason(StrEnum):
    """Why a message was put aside."""

    TOO_LARGE = "too_large"
    MALFORMED = "malformed"
    UNSIGNED = "unsigned"
    FOREIGN = "foreign"
    IMPOSTOR = "impostor"
    SCHEMA = "schema"
    STALE = "stale"
    UNKNOWN_TOPIC = "unknown_topic"


class Rejected(Exception):
    """A message was put aside; `reason` is for counting, the text for reading."""

    def __init__(self, reason: Reason, text: str) -> None:
        super().__init__(f"{reason}: {text}")
        self.reason = reason


class Intake:
    """Decodes and checks what arrives for one reader, and remembers how far each sender is."""

    def __init__(self, cluster: str) -> None:
        self._cluster = cluster
        self._lives: dict[tuple[str, type], dict[str, int]] = {}

    def take(self, raw: bytes, kind: type[M], sender: str) -> M:
        """An unsigned message of a sender that the transport vouches for. Raises Rejected."""
        _check_size(raw)
        return self._check(_decode(raw, kind), sender)

    def take_sealed(
        self, raw: bytes, kind: type[M], sender: str, audience: str, verifier: Verifier
    ) -> M:
        """A signed message. Raises Rejected."""
        _check_size(raw)
        sealed = _decode(raw, Sealed)
        try:
            body = verifier.open(sealed, audience)
        except BadSignature as error:
            raise Rejected(Reason.UNSIGNED, str(error)) from None
        return self._check(_decode(body, kind), sender)

    def _check(self, message: M, sender: str) -> M:
        header = message.header
        if header.cluster != self._cluster:
            raise Rejected(Reason.FOREIGN, f"of cluster {header.cluster!r}")
        if header.sender != sender:
            raise Rejected(Reason.IMPOSTOR, f"{header.sender!r} spoke in the place of {sender!r}")
        if header.schema_highest < SCHEMA_LOWEST or header.schema_lowest > SCHEMA_HIGHEST:
            raise Rejected(
                Reason.SCHEMA,
                f"{sender} speaks schema {header.schema_lowest} to {header.schema_highest}, this "
                f"side {SCHEMA_LOWEST} to {SCHEMA_HIGHEST}: upgrade the older one",
            )
        self._check_order(header, type(message))
        return message

    def _check_order(self, header: Header, kind: type) -> None:
        """Numbers grow within one life of a sender. Lives are not put into an order: which of
        two is the later one cannot be told from a late message, and the rules take a late
        message for what it is, by its revision or its nonce.
        """
        lives = self._lives.setdefault((header.sender, kind), {})
        last = lives.pop(header.incarnation, -1)
        if header.sequence <= last:
            lives[header.incarnation] = last
            raise Rejected(Reason.STALE, f"number {header.sequence} after number {last}")
        if len(lives) >= MAX_LIVES:
            del lives[next(iter(lives))]
        lives[header.incarnation] = header.sequence


def _check_size(raw: bytes) -> None:
    if len(raw) > MAX_BYTES:
        raise Rejected(Reason.TOO_LARGE, f"{len(raw)} bytes, at most {MAX_BYTES} are read")


T = TypeVar("T")


def _decode(raw: bytes, kind: type[T]) -> T:
    try:
        message = msgspec.json.decode(raw, type=kind)
        _refuse_doubled_keys(raw, message)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise Rejected(Reason.MALFORMED, str(error)) from None
    return message


def _refuse_doubled_keys(raw: bytes, message: object) -> None:
    """Two readers may understand a doubled key differently, so nobody shall understand it.

    What this version wrote encodes to the same bytes again; only other writings are walked.
    """
    if msgspec.json.encode(message) != raw:
        json.loads(raw, object_pairs_hook=_unique)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice in one object")
    return found
