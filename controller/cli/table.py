"""Tables that fit a terminal: names stay whole, what else is too wide goes on in the next line."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from itertools import zip_longest

from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

GAP = "  "
KEPT = "\N{NO-BREAK SPACE}"
INDENT = "    "
SHORTEST = 8
"""So narrow may a column become whose words are broken."""

Cell = str | Text
"""Words, in one style where it is a Text."""


class Below:
    """Words below the row that they are about: indented, with no blanks behind them."""

    def __init__(self, text: Text) -> None:
        self._text = text

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        inner = max(1, options.max_width - len(INDENT))
        for line in self._text.wrap(console, inner):
            line.rstrip()
            yield Text(INDENT).append_text(line)


def kept(text: str) -> str:
    """Words that stay together in a cell, as long as there is room for a word."""
    return text.replace(" ", KEPT)


def table(heads: Sequence[str], rows: Sequence[Sequence[Cell]], width: int, names: int = 0) -> Text:
    """The heads and a row each; `names` is the column of the names."""
    plain = [[str(cell) for cell in row] for row in rows]
    widths = column_widths([heads, *plain], width, names)
    lines = [head_line(heads, widths), *(row_lines(row, widths) for row in rows)]
    return Text("\n").join(lines)


def column_widths(rows: Sequence[Sequence[str]], width: int, names: int = 0) -> list[int]:
    """As wide as what stands in a column. Where that is too much in all, the widest give way: first
    as far as each word stays whole, then all but the names."""
    columns = list(zip(*rows, strict=True))
    widths = [_longest(line for cell in column for line in cell.split("\n")) for column in columns]
    words = [_longest(word for cell in column for word in _words(cell)) for column in columns]
    least = [min(SHORTEST, word) for word in words]
    least[names] = words[names]
    for floors in (words, least):
        while sum(widths) + len(GAP) * (len(widths) - 1) > width:
            loose = [column for column, floor in enumerate(floors) if widths[column] > floor]
            if not loose:
                break
            widths[max(loose, key=lambda column: widths[column])] -= 1
    return widths


def head_line(heads: Sequence[str], widths: Sequence[int]) -> Text:
    """The line of the heads, more than one where a head is too long."""
    text = row_lines(heads, widths)
    text.stylize("underline")
    return text


def row_lines(cells: Sequence[Cell], widths: Sequence[int]) -> Text:
    """One row, in as many lines as its longest cell needs."""
    folded = [list(_folded(cell, width)) for cell, width in zip(cells, widths, strict=True)]
    lines = []
    for parts in zip_longest(*folded, fillvalue=Text()):
        line = Text()
        for part, width in zip(parts, widths, strict=True):
            line.append_text(part).append(" " * (width - len(part)) + GAP)
        line.rstrip()
        lines.append(line)
    return Text("\n").join(lines)


def _folded(cell: Cell, width: int) -> Iterable[Text]:
    style = cell.style if isinstance(cell, Text) else ""
    for line in str(cell).split("\n"):
        # At its hyphens a name is broken only where it is too long as a whole.
        hyphens = _longest(_words(line)) > width
        for part in textwrap.wrap(line, width, break_on_hyphens=hyphens) or [""]:
            yield Text(part.replace(KEPT, " "), style=style)


def _words(cell: str) -> list[str]:
    return [word for line in cell.split("\n") for word in line.split(" ")]


def _longest(parts: Iterable[str]) -> int:
    return max(map(len, parts))
