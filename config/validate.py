"""Judges a file of any kind and says what is wrong, as text or as JSON."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from config.checks import checks_of
from config.files import check_agent_files, check_files
from config.loader import ONLY_TOPOLOGY, agent_of, topology_of
from config.problems import ConfigError, Problem, Severity
from config.reader import Document, read

EXIT_OK = 0
EXIT_ERRORS = 2

UNKNOWN = "unknown"
TOPOLOGY = "topology"
AGENT = "agent"
CHECKS = "checks"


@dataclass(frozen=True)
class Report:
    """What was found in one file. `kind` is topology, agent, checks or unknown."""

    file: Path
    kind: str
    problems: tuple[Problem, ...]

    @property
    def errors(self) -> tuple[Problem, ...]:
        """The findings that stop the loading."""
        return tuple(p for p in self.problems if p.severity is Severity.ERROR)

    @property
    def warnings(self) -> tuple[Problem, ...]:
        """The findings that weaken the protection."""
        return tuple(p for p in self.problems if p.severity is Severity.WARNING)

    @property
    def exit_code(self) -> int:
        """0 when the file can be used, 2 when it cannot."""
        return EXIT_ERRORS if self.errors else EXIT_OK

    def text(self) -> str:
        """Two lines a finding, and a last line that sums up."""
        lines = [problem.render() for problem in self.problems]
        verdict = "not valid" if self.errors else "valid"
        counts = f"{len(self.errors)} errors, {len(self.warnings)} warnings"
        lines.append(f"{self.file}: {verdict} {self.kind} file, {counts}")
        return "\n".join(lines)

    def as_json(self) -> str:
        """The same for a program."""
        findings: list[dict[str, Any]] = [
            {
                "severity": problem.severity.value,
                "line": problem.line,
                "path": problem.path,
                "subject": problem.subject,
                "value": problem.value,
                "message": problem.message,
                "mend": problem.mend,
            }
            for problem in self.problems
        ]
        return json.dumps(
            {
                "file": str(self.file),
                "kind": self.kind,
                "valid": not self.errors,
                "problems": findings,
            },
            indent=2,
            ensure_ascii=False,
        )


def validate(path: Path | str, files: bool = False) -> Report:
    """Judges one file; with `files`, also the keys and certificates that it names on this host."""
    file = Path(path)
    kind = UNKNOWN
    try:
        document = read(file)
        kind = kind_of(document)
        return Report(file, kind, judge(document, kind, files))
    except ConfigError as error:
        return Report(file, kind, error.problems)


def kind_of(document: Document) -> str:
    """Which kind of file this is, by the keys that only one of the kinds has."""
    if "agent" in document.data:
        return AGENT
    if ONLY_TOPOLOGY & set(document.data):
        return TOPOLOGY
    if "checks" in document.data:
        return CHECKS
    document.add(
        (),
        "",
        "neither a topology (it has no controller and no sites) nor an agent's file (no agent) "
        "nor one of checks",
        "start from config/example/four-sites.yaml or config/example/agent.yaml",
    )
    raise ConfigError(tuple(document.problems))


def judge(document: Document, kind: str, files: bool) -> tuple[Problem, ...]:
    """The warnings of a file that can be used. Raises ConfigError for one that cannot."""
    if kind == TOPOLOGY:
        topology = topology_of(document)
        found = check_files(topology.value, topology.base, document.file) if files else ()
        return (*topology.warnings, *found)
    if kind == CHECKS:
        checks_of(document)
        return ()
    agent = agent_of(document)
    found = check_agent_files(agent.value, agent.base, document.file) if files else ()
    return (*agent.warnings, *found)
