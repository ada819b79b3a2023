"""What happened in a world: a digest of all of it, and the lines that are worth reading."""

from __future__ import annotations

import zlib


class Story:
    """Lines of (true time in ms, who, what). Every line and every message enters the digest."""

    def __init__(self, keep: bool) -> None:
        self._keep = keep
        self._digest = 0
        self.lines: list[tuple[int, str, str]] = []

    def tell(self, now_ms: int, who: str, what: str) -> None:
        """Add a line."""
        self._digest = zlib.crc32(f"{now_ms} {who}: {what}".encode(), self._digest)
        if self._keep:
            self.lines.append((now_ms, who, what))

    def stir(self, now_ms: int, raw: bytes) -> None:
        """Let a message that was delivered change the digest."""
        self._digest = zlib.crc32(raw, self._digest ^ (now_ms & 0xFFFFFFFF))

    @property
    def digest(self) -> str:
        """Equal for two runs that went the same way."""
        return f"{self._digest:08x}"

    def text(self) -> str:
        """The lines for reading."""
        return "\n".join(f"{at / 1000:9.3f} s  {who:<18} {what}" for at, who, what in self.lines)
