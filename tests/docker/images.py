"""What the Dockerfiles and the compose file say would be run, read from them and nowhere else."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml


@dataclass
class Image:
    """The last stage of one Dockerfile, and every base and copied source of all stages."""

    bases: list[str] = field(default_factory=list)
    sources: list[str] = field(default_factory=list)
    user: str = ""
    entry: list[str] = field(default_factory=list)
    command: list[str] = field(default_factory=list)
    health: list[str] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)
    runs: list[str] = field(default_factory=list)


def image(file: Path) -> Image:
    """Read a Dockerfile. Raises ValueError for an instruction that is not known here."""
    text = re.sub(r"^#.*\n", "", file.read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    read, arguments = Image(), {}
    for line in filter(None, map(str.strip, text.splitlines())):
        word, _, rest = line.partition(" ")
        if word == "ARG":
            name, _, value = rest.partition("=")
            arguments[name] = value
        elif word == "FROM":
            base = rest.split()[0].removeprefix("${").removesuffix("}")
            # A stage has its own settings; what was copied is of interest in all of them.
            read = Image(bases=[*read.bases, arguments.get(base, base)], sources=read.sources)
        elif word not in {"WORKDIR", "EXPOSE", "VOLUME"}:
            _take(read, word, rest)
    return read


def _take(read: Image, word: str, rest: str) -> None:
    match word:
        case "COPY":
            if not rest.startswith("--from="):
                read.sources += shlex.split(rest)[:-1]
        case "ENV":
            read.environment |= dict(one.split("=", 1) for one in shlex.split(rest))
        case "USER":
            read.user = rest
        case "ENTRYPOINT":
            read.entry = json.loads(rest)
        case "CMD":
            read.command = json.loads(rest)
        case "HEALTHCHECK":
            read.health = json.loads(rest.partition("CMD ")[2])
        case "RUN":
            read.runs.append(rest)
        case _:
            raise ValueError(f"{word}: not known here")


def compose(root: Path) -> dict[str, Any]:
    """The compose file, with its anchors resolved."""
    read: dict[str, Any] = yaml.safe_load((root / "docker" / "compose.yaml").read_text())
    return read


def of_service(root: Path, name: str) -> tuple[list[str], dict[str, str], Image]:
    """What one service of the compose file would run, in what environment."""
    service = compose(root)["services"][name]
    made = image(root / service["build"]["dockerfile"])
    command = [*service.get("entrypoint", made.entry), *service.get("command", made.command)]
    return command, {**made.environment, **service.get("environment", {})}, made
