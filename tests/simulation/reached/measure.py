"""Measures on several processes what worlds reach of the rules, and what they do not."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

from coverage import Coverage
from msgspec import Struct

from controller.core.phases import TABLE
from tests.simulation.reached.worlds import Task, row_key

ROOT = Path(__file__).parents[3]
CORES = ("controller/core", "agents/core")
WORKER = "tests.simulation.reached.worker"


class Reached(Struct, frozen=True):
    """What was reached of the rules."""

    rows: dict[str, int]
    """Every row of the table, and how often it was taken."""
    missed: tuple[Missed, ...]


class Missed(Struct, frozen=True, order=True):
    """A line that never ran, or one from which it never went on to that other one."""

    path: str
    line: int
    """0: nobody ever imported the file."""
    to_line: int = 0
    """0: the line itself never ran; negative: it never left the function from here."""

    @property
    def code(self) -> str:
        """The function, and the line as it stands there; empty for a whole file."""
        if not self.line:
            return ""
        return f"{_function(self.path, self.line)}: {_code(self.path, self.line)}"

    def __str__(self) -> str:
        if not self.line:
            return f"{self.path}: nothing in any world imports it"
        went = ""
        if self.to_line:
            target = _code(self.path, self.to_line) if self.to_line > 0 else "the end"
            went = f"  never goes on to  {target}"
        return f"{self.path}:{self.line}: {self.code}{went}"


def measure(tasks: list[Task], jobs: int, timeout_s: int) -> Reached:
    """Run all tasks. Raises CalledProcessError when a worker fails, TimeoutExpired."""
    with TemporaryDirectory() as folder:
        files = [Path(folder) / f"part-{job}" for job in range(jobs)]
        parts = [tasks[job::jobs] for job in range(jobs)]
        with ThreadPoolExecutor(jobs) as pool:
            counts = list(pool.map(_work, files, parts, [timeout_s] * jobs))
        taken: Counter[str] = Counter()
        for count in counts:
            taken.update(count)
        rows = {row_key(row): taken[row_key(row)] for row in TABLE}
        return Reached(rows, _missed(Path(folder), files))


def _work(data_file: Path, tasks: list[Task], timeout_s: int) -> dict[str, int]:
    done = subprocess.run(
        [sys.executable, "-m", WORKER, str(data_file), *(str(ROOT / core) for core in CORES)],
        input=json.dumps(tasks).encode(),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        check=True,
        timeout=timeout_s,
    )
    counts: dict[str, int] = json.loads(done.stdout)
    return counts


def _missed(folder: Path, files: list[Path]) -> tuple[Missed, ...]:
    eye = Coverage(data_file=str(folder / "all"), branch=True, config_file=False)
    eye.combine([str(file) for file in files])
    report = folder / "report.json"
    eye.json_report(outfile=str(report))
    measured = {
        str((ROOT / name).relative_to(ROOT)): file
        for name, file in json.loads(report.read_bytes())["files"].items()
    }
    missed = [Missed(path, 0) for path in _core_files() if path not in measured]
    for path, file in measured.items():
        lines = set(file["missing_lines"])
        missed += [Missed(path, line) for line in lines]
        missed += [
            Missed(path, source, target)
            for source, target in file["missing_branches"]
            if source not in lines and target not in lines
        ]
    return tuple(sorted(missed))


def _core_files() -> Iterator[str]:
    for core in CORES:
        for file in sorted((ROOT / core).rglob("*.py")):
            if file.name != "__init__.py":
                yield str(file.relative_to(ROOT))


def _function(path: str, line: int) -> str:
    """The innermost function in which a line stands."""
    functions = [
        node
        for node in ast.walk(ast.parse((ROOT / path).read_text()))
        if isinstance(node, ast.FunctionDef) and node.lineno <= line <= (node.end_lineno or 0)
    ]
    return max(functions, key=lambda node: node.lineno).name if functions else "the module"


def _code(path: str, line: int) -> str:
    return (ROOT / path).read_text().splitlines()[line - 1].strip()
