"""Runs `saling` in this process against a stub."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from controller.cli import client, main
from tests.controller.cli import given
from tests.controller.cli.stub import Running, Stub


class Run(NamedTuple):
    """How a command ended and what it printed."""

    code: int
    out: str
    err: str


class Saling:
    """The command, pointed at the stub."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *arguments: str) -> Run:
        with pytest.raises(SystemExit) as ended:
            main(list(arguments))
        told = self._capsys.readouterr()
        code = ended.value.code
        return Run(code if isinstance(code, int) else 0, told.out, told.err)


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stub]:
    """A controller with one protected service; the command finds it by itself."""
    with Running(Stub(given.state(given.service()))) as running:
        monkeypatch.setenv("SALING_CONTROLLER", running.url)
        yield running


@pytest.fixture
def saling(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Saling:
    """The command, in a session whose environment says nothing of Saling."""
    for name in ("SALING_TOKEN_FILE", "COLUMNS", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(client, "RETRY_S", 0.01)
    return Saling(capsys)


@pytest.fixture
def environment(stub: Stub, root: Path) -> dict[str, str]:
    """For a process of its own."""
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(root),
        "SALING_CONTROLLER": stub.url,
        "TERM": "xterm-256color",
        "COLUMNS": "100",
        "USER": "sri",
    }


@pytest.fixture
def command() -> list[str]:
    """How a process of its own is started; a background job's deafness to Ctrl-C is not kept."""
    return ["env", "--default-signal=INT", sys.executable, "-m", "controller.cli"]
