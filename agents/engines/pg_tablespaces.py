"""Tablespaces that stand outside the data directory: Saling refuses them, by name.

A copy made anew stands beside the old one until it is trusted, but a tablespace has one place,
the same on each host, and pg_basebackup refuses one that is not empty: such a copy could never
be replaced. Two copies in one place would be worse. Those inside the data directory
(allow_in_place_tablespaces) are a part of each copy.
"""

from __future__ import annotations

from collections.abc import Iterable

OUTSIDE = """
SELECT spcname || ' (' || pg_tablespace_location(oid) || ')' AS named FROM pg_tablespace
WHERE pg_tablespace_location(oid) LIKE '/%' ORDER BY 1
"""
"""Any role may ask."""


MEND = (
    "on the primary move what is in it to pg_default (ALTER TABLE ALL IN TABLESPACE, ALTER INDEX "
    "ALL IN TABLESPACE, ALTER DATABASE) and drop it"
)


def wrong(named: Iterable[str]) -> str:
    """`named`: as `OUTSIDE` gives them."""
    return (
        f"tablespace {', '.join(named)}: stands outside the data directory, so a copy could not be "
        "made anew while the old one is there"
    )


def refusal(named: Iterable[str]) -> str:
    """What is wrong, and the mend."""
    return f"{wrong(named)}; {MEND}"
