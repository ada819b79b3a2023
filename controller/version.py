"""Which version of Saling is installed here."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version


def installed_version() -> str:
    """As its package says it; `unknown` where it runs without one."""
    try:
        return version("saling")
    except PackageNotFoundError:
        return "unknown"
