"""What makes a site degraded: collected from its agents, its copies and its paths, and believed
when it lasts.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from controller.core.site_model import Sign

BELIEVED_AFTER_MS = 3000
"""A sign must be seen for so long without a break before it counts."""
KEPT_FOR_MS = 15_000
"""One that counted goes on counting for so long after it was last seen."""


def is_believed(sign: Sign, now_ms: int) -> bool:
    """Whether it counts."""
    lasted = sign.last_ms - sign.first_ms >= BELIEVED_AFTER_MS
    return lasted and now_ms - sign.last_ms <= KEPT_FOR_MS


def remembered(known: Iterable[Sign], seen: Iterable[Sign], now_ms: int) -> tuple[Sign, ...]:
    """The signs after a look, by kind: those that are seen, and those that still count."""
    before = {sign.kind: sign for sign in known}
    found: dict[str, Sign] = {}
    for sign in seen:
        earlier = before.get(sign.kind)
        first_ms = earlier.first_ms if earlier else now_ms
        found[sign.kind] = replace(sign, first_ms=first_ms, last_ms=now_ms)
    kept = [s for s in before.values() if s.kind not in found and is_believed(s, now_ms)]
    return (*found.values(), *kept)
