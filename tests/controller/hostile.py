"""Words that mean harm, and what a reader would see of the text they were put into."""

from __future__ import annotations

from html.parser import HTMLParser

from markdown_it import MarkdownIt

HOSTILE = (
    "<script>alert(1)</script>",
    "</td></tr></table><img src=x onerror=alert(1)>",
    "a | b || c",
    "`rm -rf /`",
    "[click](https://evil.example/)",
    "![x](http://evil.example/x.png)",
    "https://evil.example www.evil.example",
    "<https://evil.example>",
    "**bold** _it_ ~~gone~~ # head",
    "@everyone please",
    "&lt;b&gt; &amp;",
    "back\\slash \\| end\\",
    "<!-- comment",
    "line\nbreak\r\n| new | row |",
    "\x1b[2J\x1b]0;title\x07 \u202etxt.exe \x9b31m",
    "'\"><svg onload=x>",
    "{{ template }} $(id) $x^2$",
)


def normal(text: str) -> str:
    return " ".join(text.split())


class Seen(HTMLParser):
    """What a browser would see."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str | None]] = []
        self.cells: list[str] = []
        self._open = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += attrs
        self._open = tag == "td"
        if self._open:
            self.cells.append("")

    def handle_endtag(self, tag: str) -> None:
        self._open = False if tag == "td" else self._open

    def handle_data(self, data: str) -> None:
        if self._open:
            self.cells[-1] += data


def browse(text: str) -> Seen:
    seen = Seen()
    seen.feed(text)
    seen.close()
    return seen


def rendered(text: str) -> Seen:
    """The Markdown as a reader of GitHub's kind shows it."""
    return browse(MarkdownIt("commonmark").enable(["table", "strikethrough"]).render(text))
