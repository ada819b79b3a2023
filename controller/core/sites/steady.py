"""A verdict that does not jump: it must last before it is believed, and one that changes too
often keeps its worse state.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from controller.core.site_model import Steady

HOUR_MS = 3_600_000
CHANGES_AN_HOUR = 6
"""After so many, nothing is believed to be better until the first of them is an hour old."""


def begun(value: str, now_ms: int) -> Steady:
    """The first thing that is believed."""
    return Steady(value, now_ms, value, now_ms)


def settled(steady: Steady, seen: str, order: Sequence[str], dwell_ms: int, now_ms: int) -> Steady:
    """What is believed after a look that saw `seen`. `order` names all values, the best first."""
    seen_since_ms = steady.seen_since_ms if seen == steady.seen else now_ms
    other_since_ms = now_ms if steady.other_since_ms < 0 else steady.other_since_ms
    if seen == steady.believed:
        other_since_ms = -1
    noted = replace(steady, seen=seen, seen_since_ms=seen_since_ms, other_since_ms=other_since_ms)
    if seen == steady.believed or not _lasted(noted, dwell_ms, now_ms):
        return noted
    if steady.is_excused:
        return replace(_believing(noted, seen, now_ms), is_excused=False)
    changed_ms = tuple(at_ms for at_ms in steady.changed_ms if now_ms - at_ms < HOUR_MS)
    if is_better(noted, order) and len(changed_ms) >= CHANGES_AN_HOUR:
        return noted
    return replace(_believing(noted, seen, now_ms), changed_ms=(*changed_ms, now_ms))


def excused(steady: Steady, value: str, dwell_ms: int, now_ms: int) -> Steady:
    """Nothing can be said of the subject: `value` stands for that, and is counted as no change."""
    seen_since_ms = steady.seen_since_ms if value == steady.seen else now_ms
    noted = replace(steady, seen=value, seen_since_ms=seen_since_ms)
    if value == steady.believed:
        return replace(noted, other_since_ms=-1, is_excused=True)
    if now_ms - seen_since_ms < dwell_ms:
        return noted
    return replace(_believing(noted, value, now_ms), is_excused=True)


def is_better(steady: Steady, order: Sequence[str]) -> bool:
    """Whether what is seen is better than what is believed."""
    return order.index(steady.seen) < order.index(steady.believed)


def damped_ms(steady: Steady, order: Sequence[str], now_ms: int) -> int:
    """For how long yet nothing better is believed, for it changed too often; 0: it is not so."""
    counted = [at_ms for at_ms in steady.changed_ms if now_ms - at_ms < HOUR_MS]
    if steady.is_excused or not is_better(steady, order) or len(counted) < CHANGES_AN_HOUR:
        return 0
    return counted[-CHANGES_AN_HOUR] + HOUR_MS - now_ms


def _believing(steady: Steady, value: str, now_ms: int) -> Steady:
    return replace(steady, believed=value, since_ms=now_ms, other_since_ms=-1)


def _lasted(steady: Steady, dwell_ms: int, now_ms: int) -> bool:
    """What is seen lasts; or what is believed is not seen for long, whatever else takes turns."""
    lasts = now_ms - steady.seen_since_ms >= dwell_ms
    return lasts or now_ms - steady.other_since_ms >= 2 * dwell_ms
