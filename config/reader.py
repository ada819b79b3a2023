"""Reads one YAML file into plain values, strictly, and remembers the line of each.

Only mappings with text keys, lists, text, numbers, true, false and null are taken. What
YAML 1.1 would silently turn into something else (`no`, `12:30`, `010`, dates) is refused,
for the writer meant text. The file is read once, as a stream of events, so that neither
depth nor repeated aliases can exhaust memory.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from config.problems import ConfigError, Loc, Problem, Severity, path_text, shown

FILE_AT_MOST_BYTES = 2**20
DEPTH_AT_MOST = 32
ALIASES_AT_MOST = 100
VALUES_AT_MOST = 200_000
NUMBER_AT_MOST = 40

SUBJECTS: dict[str | int, tuple[str, str]] = {
    "services": ("service", "name"),
    "agents": ("agent", "id"),
    "sites": ("site", "id"),
    "links": ("link", "name"),
    "checks": ("check", "kind"),
}
"""The lists whose entries have names of their own, and the key of the name."""

TAG = "tag:yaml.org,2002:"
PLAIN_NUMBER = re.compile(r"[-+]?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?")
INDENTED_BY_TAB = re.compile(r"^ *\t\s*\S")


@dataclass
class Document:
    """One file as it was read: its values, the line of each, and what was odd in it."""

    file: Path
    data: dict[str, Any] = field(default_factory=dict)
    lines: dict[Loc, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def line(self, loc: Loc) -> int:
        """The line of a value, or of the nearest thing around it; 0 when not known."""
        for length in range(len(loc), 0, -1):
            if loc[:length] in self.lines:
                return self.lines[loc[:length]]
        return 0

    def subject(self, loc: Loc) -> str:
        """What a path is about, in the file's own names: `service paspor`."""
        if len(loc) < 2 or loc[0] not in SUBJECTS:
            return ""
        kind, key = SUBJECTS[loc[0]]
        try:
            name = self.data[str(loc[0])][loc[1]][key]
        except (KeyError, IndexError, TypeError):
            return ""
        return f"{kind} {name}" if isinstance(name, str) and len(name) <= 64 else ""

    def add(
        self,
        loc: Loc,
        value: Any,
        message: str,
        mend: str,
        severity: Severity = Severity.ERROR,
        line: int = 0,
    ) -> None:
        """Notes one finding; without a line, that of the value counts."""
        self.problems.append(
            Problem(
                file=self.file,
                path=path_text(loc),
                value=shown(loc, value),
                message=message,
                mend=mend,
                severity=severity,
                line=line or self.line(loc),
                subject=self.subject(loc),
            )
        )


class Stop(Exception):
    """Reading cannot go on: the line, what is wrong, the mend."""

    def __init__(self, line: int, message: str, mend: str) -> None:
        self.line = line
        self.message = message
        self.mend = mend
        super().__init__(message)


def read(file: Path) -> Document:
    """Reads a file. Raises ConfigError when it cannot be read to its end.

    What is odd but readable is in the document's `problems`.
    """
    document = Document(file)
    try:
        text = read_text(file)
        refuse_tabs(text)
        Builder(document, text).build()
    except Stop as stop:
        problem = Problem(file, "", "", stop.message, stop.mend, line=stop.line)
        raise ConfigError((*document.problems, problem)) from None
    return document


def read_text(file: Path) -> str:
    """The text of a file of bounded size."""
    try:
        with file.open("rb") as stream:
            raw = stream.read(FILE_AT_MOST_BYTES + 1)
    except FileNotFoundError:
        raise Stop(0, "there is no such file", "check the path") from None
    except IsADirectoryError:
        raise Stop(0, "this is a directory", "name the YAML file in it") from None
    except OSError as error:
        reason = error.strerror or str(error)
        raise Stop(0, f"the file cannot be read: {reason}", "check its permissions") from None
    if len(raw) > FILE_AT_MOST_BYTES:
        raise Stop(0, "the file is larger than 1 MiB", "check that this is the right file")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise Stop(line, "the file is not UTF-8", "save it as UTF-8") from None
    return text


def refuse_tabs(text: str) -> None:
    """YAML allows no tab in an indentation."""
    for number, line in enumerate(text.splitlines(), 1):
        if INDENTED_BY_TAB.match(line):
            raise Stop(number, "the line is indented with a tab", "indent with spaces")


class Builder:
    """Builds plain values from the events of one file."""

    def __init__(self, document: Document, text: str) -> None:
        self.document = document
        self.events = self.parse(text)
        self.resolver = yaml.resolver.Resolver()
        self.anchors: dict[str, tuple[Any, int]] = {}
        self.values = 0
        self.aliases = 0

    def parse(self, text: str) -> Iterator[yaml.Event]:
        """The events of a text; a syntax error stops with its line."""
        try:
            yield from yaml.parse(text, Loader=yaml.SafeLoader)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            line = mark.line + 1 if mark else 0
            what = ", ".join(part for part in (error.context, error.problem) if part)
            raise Stop(
                line, f"this is not YAML: {what}", "check the indentation and quotes there"
            ) from None
        except yaml.YAMLError as error:
            what = str(error).splitlines()[0]
            raise Stop(0, f"this is not YAML: {what}", "take out what is no text") from None

    def build(self) -> None:
        """Fills the document. Raises Stop."""
        next(self.events)  # the start of the stream
        if isinstance(next(self.events), yaml.StreamEndEvent):
            raise Stop(0, "the file is empty", "start from config/example/four-sites.yaml")
        data = self.value(next(self.events), ())
        next(self.events)  # the end of the document
        after = next(self.events)
        if not isinstance(after, yaml.StreamEndEvent):
            raise Stop(line_of(after), "a second document", "keep one in a file")
        if data is None:
            raise Stop(0, "the file is empty", "start from config/example/four-sites.yaml")
        if not isinstance(data, dict):
            raise Stop(1, "the file is no mapping of keys", "start it with `version: 1`")
        self.document.data = data

    def value(self, event: yaml.Event, loc: Loc) -> Any:
        """The value that begins with this event."""
        self.document.lines[loc] = line = line_of(event)
        self.count(1, line)
        if isinstance(event, yaml.AliasEvent):
            return self.alias(event, line)
        if len(loc) > DEPTH_AT_MOST:
            raise Stop(line, f"deeper than {DEPTH_AT_MOST} levels", "flatten the file")
        before = self.values
        if isinstance(event, yaml.MappingStartEvent):
            built: Any = self.mapping(event, loc)
        elif isinstance(event, yaml.SequenceStartEvent):
            built = self.sequence(event, loc)
        else:
            assert isinstance(event, yaml.ScalarEvent)
            built = self.scalar(event, loc)
        if event.anchor is not None:
            self.anchors[event.anchor] = (built, self.values - before + 1)
        return built

    def count(self, more: int, line: int) -> None:
        """Bounds the number of values, those included that aliases repeat."""
        self.values += more
        if self.values > VALUES_AT_MOST:
            raise Stop(
                line,
                f"more than {VALUES_AT_MOST} values, counting what aliases repeat",
                "write the values out instead of nesting aliases",
            )

    def alias(self, event: yaml.AliasEvent, line: int) -> Any:
        """The value of an anchor that is complete."""
        self.aliases += 1
        if self.aliases > ALIASES_AT_MOST:
            raise Stop(line, f"more than {ALIASES_AT_MOST} aliases", "write the values out")
        if event.anchor not in self.anchors:
            raise Stop(
                line,
                f"the alias *{event.anchor} stands inside its anchor or has none",
                f"define &{event.anchor} before it is used",
            )
        built, size = self.anchors[event.anchor]
        self.count(size, line)
        return built

    def mapping(self, start: yaml.MappingStartEvent, loc: Loc) -> dict[str, Any]:
        """A mapping whose keys are text, each there once."""
        self.refuse_tag(start, loc)
        built: dict[str, Any] = {}
        while not isinstance(event := next(self.events), yaml.MappingEndEvent):
            line = line_of(event)
            if not isinstance(event, yaml.ScalarEvent):
                raise Stop(line, "a key that is no text", "write a plain key")
            key = event.value
            inner = (*loc, key)
            if inner in self.document.lines:
                earlier = self.document.lines[inner]
                self.value(next(self.events), (*inner, "again"))
                self.document.add(
                    inner,
                    "",
                    f"the key stands there twice, first in line {earlier}",
                    "keep one of the two",
                    line=line,
                )
                continue
            self.key(event, inner, line)
            built[key] = self.value(next(self.events), inner)
        return built

    def key(self, event: yaml.ScalarEvent, loc: Loc, line: int) -> None:
        """Notes a key that YAML would not read as text."""
        self.document.lines[loc] = line
        if event.value == "<<" and event.style is None:
            self.document.add(loc, "", "merging with << is not supported", "write the keys out")
            return
        if event.style is None and self.kind(event.value) != "str":
            self.document.add(
                loc, "", f"YAML does not read the key {event.value} as text", "write it in quotes"
            )

    def sequence(self, start: yaml.SequenceStartEvent, loc: Loc) -> list[Any]:
        """A list."""
        self.refuse_tag(start, loc)
        built: list[Any] = []
        while not isinstance(event := next(self.events), yaml.SequenceEndEvent):
            built.append(self.value(event, (*loc, len(built))))
        return built

    def scalar(self, event: yaml.ScalarEvent, loc: Loc) -> Any:
        """Text, a number, true, false or null."""
        self.refuse_tag(event, loc)
        if event.style is not None or event.tag is not None:
            return event.value
        text = event.value
        kind = self.kind(text)
        if kind == "str":
            return text
        if kind == "null":
            return None
        if kind == "bool" and text.lower() in {"true", "false"}:
            return text.lower() == "true"
        if (
            kind in {"int", "float"}
            and PLAIN_NUMBER.fullmatch(text)
            and len(text) <= NUMBER_AT_MOST
        ):
            return int(text) if kind == "int" else float(text)
        self.document.add(loc, text, surprise(kind, text), f'quote it: "{text}"')
        return text

    def kind(self, text: str) -> str:
        """What YAML 1.1 takes a plain word for: str, int, float, bool, null, timestamp."""
        tag: str = self.resolver.resolve(yaml.ScalarNode, text, (True, False))  # type: ignore[no-untyped-call]
        return tag.removeprefix(TAG)

    def refuse_tag(self, event: yaml.ScalarEvent | yaml.CollectionStartEvent, loc: Loc) -> None:
        """Tags would make objects; only plain values are wanted."""
        plain = {"str"} if isinstance(event, yaml.ScalarEvent) else {"map", "seq"}
        if event.tag is not None and event.tag.removeprefix(TAG) not in {*plain, "!"}:
            self.document.add(loc, event.tag, "a YAML tag", "write the plain value, in quotes")


def surprise(kind: str, text: str) -> str:
    """What YAML 1.1 would make of a plain word that looks like text."""
    if kind == "bool":
        meant = text.lower() in {"yes", "on", "y"}
        return f"YAML reads {text} as {str(meant).lower()}, and not as text"
    if kind in {"int", "float"}:
        return f"YAML reads {text} as {number(text)}"
    if kind == "timestamp":
        return f"YAML reads {text} as a date"
    return f"YAML does not read {text} as text"


def number(text: str) -> str:
    """The number that YAML 1.1 would make of a word."""
    if len(text) > NUMBER_AT_MOST:
        return "a huge number"
    try:
        return f"the number {yaml.safe_load(text)}"
    except ValueError:
        return "a number"


def line_of(event: yaml.Event) -> int:
    """The line where something begins, counted from 1."""
    return event.start_mark.line + 1 if event.start_mark else 0
