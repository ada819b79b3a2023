"""Text that people, agents and engines wrote, put into Markdown that does nobody any harm."""

from __future__ import annotations

import re
from collections.abc import Iterable

MARKED = re.compile(r"[\\`*_{}\[\]|~$]")
"""What Markdown could take for more than a letter; the rest becomes an HTML entity."""
OTHERS = {"&": "&amp;", "<": "&lt;", "@": "@\u200b"}
"""An invisible blank behind an @ keeps forges from calling whoever has that name."""
OTHER = re.compile("[" + "".join(OTHERS) + "]")
LINKS = re.compile(r"(?i)(:)(?=//)|(?<=www)(\.)")


def escape_markdown(text: str) -> str:
    """Text that no Markdown reader takes for anything else: no link, no tag, no mention."""
    marked = MARKED.sub(lambda found: "\\" + found[0], one_line(text))
    safe = OTHER.sub(lambda found: OTHERS[found[0]], marked)
    return LINKS.sub(lambda found: "&#58;" if found[1] else "&#46;", safe)


def markdown_table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> list[str]:
    """The lines of a table. The heads are our own words, and stand as they are."""
    named = list(heads)
    lines = ["| " + " | ".join(named) + " |", "|" + "---|" * len(named)]
    return lines + ["| " + " | ".join(map(escape_markdown, row)) + " |" for row in rows]


def one_line(text: str) -> str:
    """Without line breaks, and with single blanks."""
    return " ".join(text.split())
