"""Words of others, made harmless for a terminal.

An engine's error may hold line breaks, and a lying agent's may hold codes that repaint the
screen. JSON output hands them on as they are, escaped.
"""

from __future__ import annotations

import re
from typing import Any

CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]+")
"""Also what C1 codes do, and what turns the direction of a line."""


def plain(value: Any) -> Any:
    """The same JSON value, with a blank for whatever is no letter in its texts."""
    if isinstance(value, str):
        return CONTROLS.sub(" ", value)
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return value
