"""A site's own checks as they are run: what they say, what they may, and what becomes of them."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from agents.core.symptoms import Board
from agents.doctor.checks import checks_findings
from agents.doctor.findings import Level
from agents.guard.client import now_ms
from agents.host import checks as module
from agents.host import commands
from agents.host.checks import CheckRunner
from agents.host.commands import Command, Outcome, first_line, judged
from config.checks import Check, distrust

Until = Callable[[Callable[[], object], str], Awaitable[None]]


def check(*command: str, **more: Any) -> Check:
    return Check.model_validate({"kind": "power", "command": command, **more})


def shell(script: str, **more: Any) -> Check:
    return check("/bin/sh", "-c", script, **more)


async def run_check(one: Check) -> Outcome:
    return await Command(one).run()


# One run.


async def test_exit_status_0_is_well_whatever_is_printed() -> None:
    assert await run_check(shell("echo all is fine")) == Outcome()


async def test_the_first_line_says_what_is_not_well() -> None:
    said = await run_check(shell("echo; echo '  on battery  '; echo more; exit 2"))
    assert said == Outcome(found="on battery")
    assert await run_check(shell("echo on battery >&2; exit 1")) == Outcome(found="on battery")
    assert "not a word" in (await run_check(shell("exit 3"))).found


@pytest.mark.parametrize(
    ("script", "says"),
    [
        ("kill -9 $$", "signal 9"),
        ("no-such-program", "exit status 127"),
        ("sleep 60", "still running after 300 ms"),
    ],
)
async def test_a_check_that_cannot_say_is_no_symptom_of_its_kind(script: str, says: str) -> None:
    said = await run_check(shell(script, timeout="300ms"))
    assert said.found == ""
    assert says in said.silent


async def test_what_hangs_is_killed_with_all_that_it_started(directory: Path, until: Until) -> None:
    file = directory / "pids"
    script = f"sleep 1000 & echo $! > {file}; echo $$ >> {file}; wait"
    said = await run_check(shell(script, timeout="3s"))
    assert "killed" in said.silent
    pids = [int(pid) for pid in file.read_text().split()]
    assert len(pids) == 2
    await until(lambda: not any(map(runs, pids)), "both are gone")


async def test_one_that_ends_leaves_nothing_running(directory: Path, until: Until) -> None:
    file = directory / "pid"
    assert await run_check(shell(f"sleep 1000 >/dev/null & echo $! > {file}")) == Outcome()
    pid = int(file.read_text())
    await until(lambda: not runs(pid), "it is gone")


async def test_what_left_the_session_holds_up_no_check_and_keeps_nothing_of_ours(
    directory: Path,
) -> None:
    file = directory / "pid"
    begun = f"setsid sh -c 'echo $$ > {file}; exec sleep 1000' & until test -s {file}; do :; done"
    await run_check(shell("exit 0"))
    before = open_files()
    said = await run_check(shell(f"{begun}; echo on battery; exit 1", timeout="60s"))
    os.kill(int(file.read_text()), 9)
    assert said == Outcome(found="on battery")
    assert open_files() == before


def open_files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


async def test_a_disk_that_hangs_at_the_start_holds_up_neither_the_loop_nor_another_check(
    monkeypatch: pytest.MonkeyPatch, directory: Path, until: Until
) -> None:
    monkeypatch.setattr(commands, "START_LIMIT_S", 0.05)
    disk, file = threading.Event(), directory / "pid"

    def hang(program: Path) -> object:
        disk.wait()
        return distrust(program)

    monkeypatch.setattr(commands, "distrust", hang)
    command = Command(shell(f"echo $$ > {file}; exec sleep 1000"))
    try:
        assert "not started within" in (await command.run()).silent
        assert "still hangs" in (await command.run()).silent
        monkeypatch.setattr(commands, "distrust", distrust)
        monkeypatch.setattr(commands, "START_LIMIT_S", 30.0)
        assert (await run_check(shell("exit 3"))).found
    finally:
        disk.set()
    await until(lambda: command._starting is None, "it begins late")
    late = command._process
    assert late is not None
    await until(lambda: late.poll() == -9, "and is killed")
    command.close()


def runs(pid: int) -> bool:
    """Nobody may reap a grandchild here, so that its entry can stay when it runs no more."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


async def test_what_cannot_be_killed_is_not_started_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kill = os.killpg
    monkeypatch.setattr(os, "killpg", lambda *_: None)
    monkeypatch.setattr(commands, "REAP_LIMIT_S", 0.01)
    command = Command(shell("exec sleep 1000", timeout="200ms"))
    assert "killed" in (await command.run()).silent
    left = command._process
    assert left is not None
    assert f"process {left.pid} was killed" in (await command.run()).silent
    assert command._process is left
    kill(left.pid, 9)
    left.wait()
    assert "still running" in (await command.run()).silent
    assert command._process is not left
    kill(command._process.pid, 9)
    command._process.wait()


async def test_a_command_gets_nothing_of_the_agents(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGPASSWORD", "secret")
    held = os.open(directory, os.O_RDONLY)
    os.set_inheritable(held, True)
    file = directory / "seen"
    script = f"(env; pwd; ls /proc/self/fd; cat; echo end) > {file}; exit 0"
    assert await run_check(shell(script)) == Outcome()
    os.close(held)
    seen = file.read_text()
    assert "secret" not in seen
    assert {"PATH", "LANG"} <= {line.partition("=")[0] for line in seen.splitlines()}
    assert f"\n{held}\n" not in seen
    assert seen.endswith("end\n")


async def test_endless_output_neither_blocks_nor_fills_the_memory() -> None:
    assert await run_check(shell("head -c 3000000 /dev/zero | tr '\\0' x; exit 1")) == Outcome(
        found="x" * commands.LINE_AT_MOST
    )


async def test_a_program_that_others_may_write_is_not_run(directory: Path) -> None:
    program = directory / "check"
    program.write_text(f"#!/bin/sh\ntouch {directory}/ran\n")
    program.chmod(0o777)
    said = await run_check(check(str(program)))
    assert "may write it" in said.silent
    assert "chmod go-w" in said.silent
    program.chmod(0o755)
    assert await run_check(check(str(program))) == Outcome()
    assert (directory / "ran").exists()


async def test_a_program_that_is_not_there_or_may_not_be_run_is_said(directory: Path) -> None:
    assert "No such file" in (await run_check(check(str(directory / "none")))).silent
    plain = directory / "plain"
    plain.write_text("x")
    plain.chmod(0o600)
    assert "Permission denied" in (await run_check(check(str(plain)))).silent


async def test_an_agents_capabilities_are_taken_away_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(commands, "_has_ambient_capabilities", lambda: True)
    said = await run_check(shell("grep -q 'CapAmb:.*[1-9a-f]' /proc/self/status"))
    assert said.found == "exit status 1, and not a word"
    monkeypatch.setattr(commands, "SETPRIV", "no-such-program")
    assert "util-linux" in (await run_check(shell("exit 0"))).silent


def test_control_characters_and_torn_letters_reach_nobody() -> None:
    assert first_line(b"\x1b[31mred\x00\xff\n") == "[31mred\ufffd"
    assert first_line(b"\n \n\t\n") == ""
    assert judged(0, b"whatever") == Outcome()


# All of a file.


class Runner:
    """The checks of one file, quickly."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.board = Board()
        self.task: asyncio.Task[None] | None = None

    def write(self, *checks: dict[str, Any], mode: int = 0o600) -> None:
        self.file.write_text(yaml.safe_dump({"version": 1, "checks": list(checks)}))
        self.file.chmod(mode)

    def start(self) -> None:
        runner = CheckRunner(self.file, self.board, now_ms)
        self.task = asyncio.create_task(runner.run())

    def told(self) -> dict[str, str]:
        return {one.kind: one.text for one in self.board.symptoms(now_ms())}


@pytest.fixture
async def runner(directory: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Runner]:
    monkeypatch.setattr(module, "LOOK_EVERY_S", 0.05)
    monkeypatch.setattr(module, "RETRY_LEAST_S", 0.05)
    made = Runner(directory / "checks.yaml")
    yield made
    if made.task is not None:
        made.task.cancel()
        await asyncio.wait({made.task})


def entry(flag: Path, kind: str = "power") -> dict[str, Any]:
    """Not well while the flag is there."""
    return {
        "kind": kind,
        "command": ["/bin/sh", "-c", f"! cat {flag} 2>/dev/null"],
        "interval": "1s",
        "on_after": "100ms",
        "off_after": "100ms",
    }


async def test_a_check_tells_what_is_not_well_and_when_it_is_over(
    runner: Runner, directory: Path, until: Until
) -> None:
    flag = directory / "flag"
    flag.write_text("on battery")
    runner.write(entry(flag))
    runner.start()
    await until(lambda: runner.told() == {"power": "on battery"}, "it is told")
    flag.unlink()
    await until(lambda: runner.told() == {}, "it is over")


async def test_a_changed_file_is_followed_without_a_restart(
    runner: Runner, directory: Path, until: Until
) -> None:
    flag = directory / "flag"
    flag.write_text("it burns")
    runner.write(entry(flag))
    runner.start()
    await until(lambda: "power" in runner.told(), "the first check")
    runner.write(entry(flag, "cooling"))
    await until(lambda: runner.told() == {"cooling": "it burns"}, "the second check alone")
    runner.write()
    await until(lambda: runner.told() == {}, "none")


async def test_a_file_that_others_may_write_ends_its_checks_and_says_so_until_it_is_mended(
    runner: Runner, directory: Path, until: Until
) -> None:
    flag = directory / "flag"
    flag.write_text("on battery")
    runner.write(entry(flag), mode=0o666)
    runner.start()
    await until(lambda: "chmod go-w" in runner.told().get("checks", ""), "it is refused")
    assert "power" not in runner.told()
    runner.file.chmod(0o600)
    await until(lambda: runner.told() == {"power": "on battery"}, "it is run")
    runner.file.unlink()
    await until(lambda: list(runner.told()) == ["checks"], "there is no file")


async def test_a_check_that_says_nothing_is_told_as_such(
    runner: Runner, directory: Path, until: Until
) -> None:
    runner.write({**entry(directory), "command": [str(directory / "none")]})
    runner.start()
    await until(lambda: "checks" in runner.told(), "it is told")
    assert runner.told()["checks"].startswith("power: ")
    assert "No such file" in runner.told()["checks"]


async def test_without_a_file_there_is_nothing_to_run() -> None:
    await CheckRunner(None, Board(), now_ms).run()


# What the doctor says beforehand.


def findings(file: Path | None) -> list[tuple[Level, str]]:
    config: Any = SimpleNamespace(symptoms=SimpleNamespace(checks=file))
    return [(finding.level, finding.found) for finding in checks_findings(config)]


def test_the_doctor_says_of_each_check_whether_it_would_be_run(directory: Path) -> None:
    assert findings(None)[0][0] is Level.OK
    made = Runner(directory / "checks.yaml")
    made.write(entry(directory), {"kind": "cooling", "command": [str(directory / "none")]})
    (power, said), (cooling, why) = findings(made.file)
    assert (power, said) == (Level.OK, "power: /bin/sh may be run")
    assert cooling is Level.FAIL
    assert "No such file" in why
    made.write()
    assert findings(made.file)[0][0] is Level.WARN
    made.file.chmod(0o622)
    assert findings(made.file)[0][0] is Level.FAIL
    made.file.chmod(0o600)
    made.file.write_text("version: 1\nchecks: [{kind: power}]\n")
    assert "checks[0].command" in findings(made.file)[0][1]
