"""Cautions as the API shows them."""

from __future__ import annotations

from typing import Any

from controller.core.site_model import Caution
from controller.core.sites import cautions
from controller.status import Status

SHOWN = ("site", "id", "source", "text", "by", "reason", "begun_at_ms", "for_ms")


def caution_views(status: Status, site: str = "") -> list[dict[str, Any]]:
    """The cautions that are on, of one site or of all."""
    found = status.state.nation.cautions
    return [
        {**brief(c), "left_ms": cautions.left_ms(c, status.now_ms)}
        for c in found
        if not c.ended and site in ("", c.site)
    ]


def brief(caution: Caution) -> dict[str, Any]:
    """One, without what only the rules need."""
    return {key: getattr(caution, key) for key in SHOWN}
