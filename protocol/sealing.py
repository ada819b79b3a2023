"""Signatures on Orders and Grants: Ed25519 over the audience and the very bytes that were sent.

A sealed message is `{"audience": ..., "signature": ..., "body": {...}}`. The audience is
signed with the body, so that what was said to one agent cannot be replayed to another.
"""

from __future__ import annotations

import base64
from pathlib import Path

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from protocol.messages import Message

CONTEXT = b"saling message 1\n"


class Sealed(msgspec.Struct, frozen=True):
    """A signed message as it travels. `body` keeps the bytes as they were signed."""

    audience: str
    signature: bytes
    body: msgspec.Raw


class BadSignature(ValueError):
    """The message was not signed by whom it claims, or not for this audience."""


class Signer:
    """Seals messages with one private key."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key

    @classmethod
    def from_file(cls, path: Path) -> Signer:
        """Read a PEM file (PKCS8, not encrypted). Raises ValueError for another kind of key."""
        key = load_pem_private_key(path.read_bytes(), password=None)
        if not isinstance(key, Ed25519PrivateKey):
            raise ValueError(
                f"{path}: holds no Ed25519 key; make one with `openssl genpkey -algorithm ed25519`"
            )
        return cls(key)

    @property
    def public_key(self) -> str:
        """The public half: 32 bytes in base64."""
        return base64.b64encode(self._key.public_key().public_bytes_raw()).decode()

    def seal(self, message: Message, audience: str) -> bytes:
        """Encode and sign a message for one reader."""
        body = msgspec.json.encode(message)
        signature = self._key.sign(_signed_bytes(audience, body))
        return msgspec.json.encode(Sealed(audience, signature, msgspec.Raw(body)))


class Verifier:
    """Believes one public key."""

    def __init__(self, public_key: str) -> None:
        """`public_key`: 32 bytes in base64. Raises ValueError when it is none."""
        self._key = Ed25519PublicKey.from_public_bytes(base64.b64decode(public_key, validate=True))

    def open(self, sealed: Sealed, audience: str) -> bytes:
        """The signed bytes. Raises BadSignature."""
        body = bytes(sealed.body)
        if sealed.audience != audience:
            raise BadSignature(f"meant for {sealed.audience!r}, read by {audience!r}")
        try:
            self._key.verify(sealed.signature, _signed_bytes(audience, body))
        except InvalidSignature:
            raise BadSignature("the signature does not fit the message") from None
        return body


def _signed_bytes(audience: str, body: bytes) -> bytes:
    return CONTEXT + audience.encode() + b"\n" + body
