"""Bytes that are changed or cut under way, and the proof that the shipped codec refuses them.

A message whose text is broken goes on to its reader, which must put it aside. One that is still
well formed would be believed by a reader that checks nothing: TLS and the seal stand before it.
So it is sealed as the shipped code seals, struck there, and opened by the shipped code: the seal
must not open, or yield the very bytes that were sealed.
"""

from __future__ import annotations

import json
from functools import cache
from typing import cast

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from protocol.messages import Message
from protocol.sealing import BadSignature, Sealed, Signer, Verifier
from simulator.kernel import Kernel
from simulator.watch import Broken

HOW_OFTEN = 0.4
READER = "reader"


class Corruption:
    """Spoils some messages."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel

    def strike(self, raw: bytes) -> bytes | None:
        """What arrives: the message, a broken one, or nothing. Raises Broken if one is believed."""
        if not self._kernel.chance(HOW_OFTEN):
            return raw
        struck = self._spoil(raw)
        if not _is_json(struck):
            return struck
        signer, verifier = _seal()
        # Raw bytes encode to themselves: this is the seal of the very message.
        sealed = signer.seal(cast(Message, msgspec.Raw(raw)), READER)
        _must_be_refused(self._spoil(sealed), raw, verifier)
        return None

    def _spoil(self, raw: bytes) -> bytes:
        """One byte changed, the end cut off, or some bytes put in."""
        between = self._kernel.between
        place = between(0, len(raw) - 1)
        match between(0, 2):
            case 0:
                return raw[:place] + bytes([raw[place] ^ between(1, 255)]) + raw[place + 1 :]
            case 1:
                return raw[:place]
            case _:
                return raw[:place] + bytes(between(0, 255) for _ in range(4)) + raw[place:]


def _must_be_refused(struck: bytes, raw: bytes, verifier: Verifier) -> None:
    try:
        body = verifier.open(msgspec.json.decode(struck, type=Sealed), READER)
    except (msgspec.DecodeError, ValueError, BadSignature):
        return
    if body != raw:
        raise Broken("integrity", f"a seal opened to {body!r} that held {raw!r}")


def _is_json(raw: bytes) -> bool:
    try:
        json.loads(raw)
    except (ValueError, RecursionError):
        return False
    return True


@cache
def _seal() -> tuple[Signer, Verifier]:
    signer = Signer(Ed25519PrivateKey.from_private_bytes(bytes(32)))
    return signer, Verifier(signer.public_key)
