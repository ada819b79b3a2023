"""What an incident cost a service, as tests of its judgement want it."""

from __future__ import annotations

from lab.whole.fleet import Cost


def cost(service: str = "paspor", **figures: object) -> Cost:
    """Of a service that nothing happened to, but for these figures."""
    nothing: dict[str, object] = {
        "service": service, "tier": "rendah", "group": "", "order": 0, "protection": "async",
        "moved": False, "outage_s": 0.1, "served_s": -1.0, "acked_lost": 0, "two_writers_s": 0.0,
        "refused": 0,
    }  # fmt: skip
    return Cost(**{**nothing, **figures})  # type: ignore[arg-type]
