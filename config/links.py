"""Whether the links that a topology declares lead from one site to another, and can be told
apart.
"""

from __future__ import annotations

from typing import Any

from config.crosscheck import check_site
from config.problems import Loc
from config.reader import Document
from config.sketch import Sketch, entries, text

Named = tuple[str, str, str]
"""Both sites in the order of the alphabet, and the name of the link."""


def check(document: Document, sketch: Sketch) -> None:
    """Notes in the document every error of the links that reading one alone does not find."""
    first: dict[Named, Loc] = {}
    for index, link in entries(document.data, "links"):
        loc: Loc = ("links", index)
        named = _named(document, sketch, loc, link)
        if named is None:
            continue
        if named in first:
            _note_twice(document, loc, named, first[named])
        else:
            first[named] = loc


def _named(document: Document, sketch: Sketch, loc: Loc, link: Any) -> Named | None:
    """What tells the link from others; None where its ends are not two known sites."""
    ends = [site if isinstance(site, str) else None for _, site in entries(link, "between")]
    known = [
        check_site(document, sketch, (*loc, "between", index), site)
        for index, site in enumerate(ends)
    ]
    if len(ends) != 2 or not all(known):
        return None
    one, other = sorted(str(end) for end in ends)
    if one == other:
        document.add(
            (*loc, "between"),
            one,
            f"the link leads from {one} to itself",
            "name two different sites",
        )
        return None
    return one, other, text(link, "name") or ""


def _note_twice(document: Document, loc: Loc, named: Named, first: Loc) -> None:
    one, other, name = named
    line = document.line(first)
    if name:
        message = f"a second link of this name between {one} and {other}, first in line {line}"
    else:
        message = f"a second link without a name between {one} and {other}, first in line {line}"
    document.add((*loc, "name"), name, message, "give each link of the two a name of its own")
