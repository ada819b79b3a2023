"""One line of a scenario, word by word, with errors that name the place and the mend."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from difflib import get_close_matches

from config.problems import Refused
from config.values import parse_duration, parse_size

WORD = re.compile(r'"[^"]*"|[^\s,"]+|"')


class ScenarioError(Exception):
    """A scenario cannot be read. The text names file, line, word and what would be right."""


class Words:
    """The words of a line, from left to right. Commas part words and say nothing."""

    def __init__(self, file: str, number: int, line: str) -> None:
        self.file = file
        self.number = number
        self._words: list[str] = WORD.findall(line)
        self._next = 0

    def __bool__(self) -> bool:
        """Whether a word is left."""
        return self._next < len(self._words)

    @property
    def rest(self) -> str:
        """All that is left."""
        return " ".join(self._words[self._next :])

    def error(self, word: str, wrong: str, mend: str) -> ScenarioError:
        """What to raise about a word."""
        return ScenarioError(f"{self.file}:{self.number}: {word!r} {wrong}; {mend}")

    def next(self, what: str) -> str:
        """The next word, which is `what`."""
        if not self:
            last = self._words[-1] if self._words else ""
            raise self.error(last, "is the last word here", f"write {what} after it")
        self._next += 1
        return self._words[self._next - 1]

    def take(self, word: str) -> bool:
        """Go on if the next word is this one."""
        found = bool(self) and self._words[self._next] == word
        self._next += found
        return found

    def need(self, *words: str) -> None:
        """These words come next."""
        for word in words:
            found = self.next(repr(word))
            if found != word:
                raise self.error(found, "does not belong here", f"write {word!r}")

    def one_of(self, among: Iterable[str], what: str) -> str:
        """The next word, one of a few."""
        known = tuple(among)
        word = self.next(what)
        if word in known:
            return word
        near = get_close_matches(word, known, 1)
        mend = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known) or 'none'}"
        raise self.error(word, f"is not {what}", mend)

    def number_of(self, what: str) -> int:
        """The next word, a whole number."""
        word = self.next(what)
        if not re.fullmatch(r"-?[0-9]{1,15}", word):
            raise self.error(word, f"is not {what}", "write a whole number")
        return int(word)

    def duration_ms(self) -> int:
        """The next word, such as 43s or 250ms."""
        return self._value("a time", parse_duration)

    def size_bytes(self) -> int:
        """The next word, such as 64kB or 16MiB."""
        return self._value("a size", parse_size)

    def quoted(self) -> str:
        """The next word, in quotes."""
        word = self.next("words in quotes")
        if len(word) < 3 or not word.startswith('"'):
            raise self.error(word, "is not in quotes", 'write words in quotes, such as "is lost"')
        return word[1:-1]

    def end(self) -> None:
        """Nothing more may come."""
        if self:
            raise self.error(self.next(""), "is too much here", "leave it out")

    def _value(self, what: str, parse: Callable[[str], int]) -> int:
        word = self.next(what)
        try:
            return parse(word)
        except Refused as error:
            raise self.error(word, f"is not {what} ({error.message})", error.mend) from None
