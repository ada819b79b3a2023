"""Whether the policies of the sites can be followed, and are what was meant."""

from __future__ import annotations

from difflib import get_close_matches

from config.policy import MOVES, Policy
from config.problems import Loc, Severity
from config.reader import Document
from config.topology import Topology

REASONS = (
    "agents", "certificate", "checks", "clock", "cut-off", "disk", "down", "latency", "other",
    "packet-loss", "paths", "replication",
)  # fmt: skip
"""Those that Saling finds by itself, and what stands for all others."""

UNMOVED = ("certificate", "checks", "clock", "replication")
"""Reasons that a move of the services does not end."""

ALIKE = 0.75
"""How near a name must be to a known one to be taken for a slip."""


def check(document: Document, topology: Topology) -> None:
    """Notes in the document what cannot be done, and as a warning what is hardly meant."""
    check_policy(document, ("policy",), topology.policy)
    for index, site in enumerate(topology.sites):
        loc: Loc = ("sites", index, "policy")
        check_policy(document, loc, site.policy)
        if topology.partner_site(site.id) is None:
            check_alone(document, loc, site.policy)


def check_policy(document: Document, loc: Loc, policy: Policy) -> None:
    """Slips of the pen, and moves that do no good."""
    for reason, led in policy.items():
        moves = [one for one in led.values() if one in MOVES]
        if moves and reason in UNMOVED:
            document.add(
                (*loc, reason),
                str(moves[0]),
                "moving the services does not end this",
                "choose alarm or readiness, unless the move is meant",
                Severity.WARNING,
            )
        near = get_close_matches(reason, REASONS, n=1, cutoff=ALIKE)
        if near and near[0] != reason:
            document.add(
                (*loc, reason),
                "",
                "Saling finds no reason of this name by itself; a check of the site's own may",
                f"write {near[0]}, if that is meant",
                Severity.WARNING,
            )


def check_alone(document: Document, loc: Loc, policy: Policy) -> None:
    """A site in no pair can move nothing."""
    for reason, led in policy.items():
        moves = [one for one in led.values() if one in MOVES]
        if moves:
            document.add(
                (*loc, reason),
                str(moves[0]),
                "the site is in no pair: nothing that stands there can be moved",
                "put it into a pair, or choose nothing, alarm or readiness",
            )
