"""The configuration is read anew while the controller leads: whole, or the old one stays.

    file -> validated -> compared with what is in force -> asked of the rules -> in force

Nothing is changed before the rules have taken it, and after that nothing can fail.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import structlog
from msgspec import Struct, structs

from config.loader import Loaded, load_topology
from config.problems import ConfigError, Problem
from config.topology import Topology
from controller.core.actions import Answer
from controller.inbox import Busy, RulesFailed
from controller.reload.differences import Difference, differences, taken, waiting
from controller.reload.risks import risks
from controller.specs import Wish
from controller.status import ConfigurationStatus, Status
from controller.stores.base import StoreError

Configure = Callable[[Topology, Wish, Callable[[], None]], Awaitable[Answer]]
"""Asks the rules: the topology, who wants it, and what to do once it is in force."""

log = structlog.get_logger("reload")


class Finding(Struct, frozen=True):
    """One thing that is wrong in the file, or weakens the protection."""

    severity: str
    line: int
    key: str
    value: str
    message: str
    mend: str


class Reloaded(Struct, frozen=True):
    """What came of it. Where it is neither `applied` nor a `dry_run` the old configuration stays,
    and `text` says why."""

    applied: bool
    dry_run: bool
    text: str
    file: str
    sha256: str
    changes: tuple[Difference, ...] = ()
    waits_for_restart: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    unmet: tuple[str, ...] = ()
    """Where the rules refuse it: what would have to be true, a sentence each."""

    @property
    def usable(self) -> bool:
        """Whether the file itself can be used."""
        return not any(finding.severity == "error" for finding in self.findings)


class Reloads:
    """Reads the file anew, one time after the other."""

    def __init__(self, loaded: Loaded[Topology]) -> None:
        self._file = loaded.file
        self._topology = loaded.value
        self._lock = asyncio.Lock()
        self._configure: Configure | None = None
        self._look: Callable[[], Status] | None = None
        self._in_force: Callable[[Topology], None] = lambda _topology: None
        self.status = ConfigurationStatus(str(loaded.file), digest(loaded.file), _wall_ms())

    def attach(
        self,
        configure: Configure,
        in_force: Callable[[Topology], None],
        look: Callable[[], Status],
    ) -> None:
        """Whom to ask, what else must know the topology that is in force, and how things stand."""
        self._configure, self._look = configure, look
        self._in_force = in_force

    async def reload(self, wish: Wish) -> Reloaded:
        """Take what the file says now, or say why not. Raises Busy, RulesFailed, StoreError."""
        async with self._lock:
            try:
                told = await self._reload(wish)
            except (Busy, RulesFailed, StoreError) as error:
                self._note_failure(f"{error}; the old one stays", wish)
                raise
            self._note(told, wish)
        return told

    async def _reload(self, wish: Wish) -> Reloaded:
        sha256 = await asyncio.to_thread(digest, self._file)
        blank = Reloaded(False, wish.dry_run, "", str(self._file), sha256)
        try:
            loaded = await asyncio.to_thread(load_topology, self._file)
        except ConfigError as error:
            return _with(blank, "the file cannot be used", error.problems)
        new, old = loaded.value, self._topology
        if new.cluster.uid != old.cluster.uid:
            text = f"this is the file of cluster {new.cluster.uid}, not of {old.cluster.uid}"
            return _with(blank, text, ())
        assert self._look is not None
        wanted = taken(old, new)
        warnings = (*loaded.warnings, *risks(self._file, old, wanted, self._look()))
        told = Reloaded(
            applied=False,
            dry_run=wish.dry_run,
            text="",
            file=str(self._file),
            sha256=sha256,
            changes=differences(old, wanted),
            waits_for_restart=waiting(old, new),
            findings=_findings(warnings),
        )
        return await self._ask(wanted, told, wish)

    async def _ask(self, wanted: Topology, told: Reloaded, wish: Wish) -> Reloaded:
        assert self._configure is not None

        def in_force() -> None:
            self._topology = wanted
            self._in_force(wanted)

        sentences = "; ".join(map(_line, told.changes))
        noted = structs.replace(wish, file=told.file, told=sentences)
        answer = await self._configure(wanted, noted, in_force)
        return Reloaded(
            applied=answer.accepted and not told.dry_run,
            dry_run=told.dry_run,
            text=_summary(answer, told),
            file=told.file,
            sha256=told.sha256,
            changes=told.changes,
            waits_for_restart=told.waits_for_restart,
            findings=told.findings,
            unmet=answer.unmet,
        )

    def _note(self, told: Reloaded, wish: Wish) -> None:
        if told.dry_run:
            return
        if not told.applied:
            why = (told.text, *told.unmet, *map(_where, _errors(told)))
            self._note_failure("; ".join(why), wish)
            return
        at_ms, changes = _wall_ms(), [_line(change) for change in told.changes]
        self.status = replace(
            self.status,
            tried_at_ms=at_ms,
            tried_by=wish.by,
            sha256=told.sha256,
            in_force_since_ms=at_ms,
            waits_for_restart=told.waits_for_restart,
            failed="",
        )
        log.info(told.text, by=wish.by, sha256=told.sha256, changes=changes)

    def _note_failure(self, why: str, wish: Wish) -> None:
        if wish.dry_run:
            return
        tried = replace(self.status, tried_at_ms=_wall_ms(), tried_by=wish.by)
        self.status = replace(tried, failed=why)
        log.error("the configuration was not taken; the old one stays", by=wish.by, why=why)


OTHER_CLUSTER = (
    "put the file of this cluster there, or start this cluster's controller with its own"
)


def digest(file: Path) -> str:
    """Of the file's bytes; empty where it cannot be read."""
    try:
        return hashlib.sha256(file.read_bytes()).hexdigest()
    except OSError:
        return ""


def _summary(answer: Answer, told: Reloaded) -> str:
    if not answer.accepted:
        return f"{answer.text}; the old one stays"
    if not told.changes:
        return "the file says what is in force"
    count = f"{len(told.changes)} change" + ("" if len(told.changes) == 1 else "s")
    return f"{answer.text}: {count}"


def _with(blank: Reloaded, why: str, problems: tuple[Problem, ...]) -> Reloaded:
    return Reloaded(
        applied=False,
        dry_run=blank.dry_run,
        text=f"{why}; the old configuration stays",
        file=blank.file,
        sha256=blank.sha256,
        findings=_findings(problems)
        or (Finding("error", 0, "cluster.uid", "", why, OTHER_CLUSTER),),
    )


def _findings(problems: tuple[Problem, ...]) -> tuple[Finding, ...]:
    return tuple(
        Finding(p.severity.value, p.line, p.path, p.value, p.message, p.mend) for p in problems
    )


def _errors(told: Reloaded) -> list[Finding]:
    return [finding for finding in told.findings if finding.severity == "error"]


def _where(finding: Finding) -> str:
    place = f"line {finding.line}: " if finding.line else ""
    key = f"{finding.key}: " if finding.key else ""
    return f"{place}{key}{finding.message}"


def _line(change: Difference) -> str:
    return " ".join(filter(None, (change.kind.value, change.name, change.text)))


def _wall_ms() -> int:
    return time.time_ns() // 1_000_000
