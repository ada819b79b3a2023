"""A line of the history that is no change of a service's record: of a site, a plan, a caution."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct


class About(StrEnum):
    """What a line is about."""

    SITE = "site"
    LINK = "link"
    CONTROLLER = "controller"
    PLAN = "plan"
    CAUTION = "caution"
    CONFIGURATION = "configuration"


class Happening(Struct, frozen=True):
    """One thing that happened, for the history and the timeline; nothing is decided by it."""

    about: About
    subject: str
    """Name of the site, id of the plan, or the file."""
    what: str
    """What changed, in a few words: `healthy -> degraded`, `begins`."""
    because: str
    """The operator's sentence for it."""
    site: str = ""
    """Where; empty where it concerns no one site."""
    plan: str = ""
    by: str = ""
    """Who asked for it; empty when nobody did."""
    reason: str = ""
