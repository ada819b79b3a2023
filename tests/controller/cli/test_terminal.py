"""What only a process of its own can show: colours, questions on a terminal, Ctrl-C."""

from __future__ import annotations

import json
import os
import pty
import signal
import socket
import subprocess
import threading
from typing import NamedTuple

import pytest

from tests.controller.cli import given
from tests.controller.cli.stub import Stub, accepted
from tests.controller.cli.test_planning import PLAN, change, plan, step, trial

TIMEOUT_S = 60
ESCAPE = "\x1b["


class Shown(NamedTuple):
    """What a process on a terminal printed, and its exit code."""

    code: int
    text: str


def on_terminal(
    command: list[str], environment: dict[str, str], answer: str = "", interrupt_at: str = ""
) -> Shown:
    """Run on a terminal; type `answer` at once; Ctrl-C once `interrupt_at` is to be seen."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        command, env=environment, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
    )
    os.close(theirs)
    watchdog = threading.Timer(TIMEOUT_S, process.kill)
    watchdog.start()
    if answer:
        os.write(ours, answer.encode())
    text = ""
    while chunk := _read(ours):
        text += chunk
        if interrupt_at and interrupt_at in text:
            process.send_signal(signal.SIGINT)
            interrupt_at = ""
    code = process.wait(TIMEOUT_S)
    watchdog.cancel()
    os.close(ours)
    return Shown(code, text)


def _read(terminal: int) -> str:
    try:
        return os.read(terminal, 65536).decode(errors="replace")
    except OSError:
        return ""


@pytest.fixture
def moving(stub: Stub) -> Stub:
    """Accepts a switchover; it gets as far as DRAINING."""
    stub.answers = [accepted("paspor-42")]
    stub.then = lambda: stub.history.append(given.moved()[0])
    return stub


def test_colours_appear_on_a_terminal_only_and_not_with_no_color(
    stub: Stub, environment: dict[str, str], command: list[str]
) -> None:
    coloured = on_terminal([*command, "status"], environment)
    assert coloured.code == 0
    assert "\x1b[32m" in coloured.text
    plain = on_terminal([*command, "status"], {**environment, "NO_COLOR": "1"})
    assert ESCAPE not in plain.text and "paspor" in plain.text
    helped = on_terminal([*command, "--help"], {**environment, "NO_COLOR": "1"})
    assert ESCAPE not in helped.text and "switchover" in helped.text
    piped = subprocess.run(
        [*command, "status"], env=environment, capture_output=True, timeout=TIMEOUT_S, check=True
    )
    assert ESCAPE.encode() not in piped.stdout


def test_a_yes_on_the_terminal_moves_the_service_and_a_no_does_not(
    moving: Stub, environment: dict[str, str], command: list[str]
) -> None:
    switchover = [*command, "switchover", "paspor"]
    declined = on_terminal(switchover, environment, "n\n")
    assert declined.code == 1
    assert "switchover of paspor from jabodetabek-1 to batam-1?" in declined.text
    assert "nothing was done" in declined.text
    assert moving.done == []
    agreed = on_terminal([*switchover, "--no-wait"], environment, "y\n")
    assert agreed.code == 0
    assert moving.done[0].body["by"]


def test_a_failover_asks_for_its_reason_on_the_terminal(
    moving: Stub, environment: dict[str, str], command: list[str]
) -> None:
    shown = on_terminal(
        [*command, "failover", "paspor", "--no-wait"], environment, "the rack burns\ny\n"
    )
    assert shown.code == 0
    assert moving.done[0].body["reason"] == "the rack burns"


def test_ctrl_c_ends_the_watching_alone_and_says_so(
    moving: Stub, environment: dict[str, str], command: list[str]
) -> None:
    shown = on_terminal(
        [*command, "switchover", "paspor", "--yes"],
        environment,
        interrupt_at="switchover paspor-42 by sri",
    )
    assert shown.code == 130
    assert "operation paspor-42 goes on in the controller" in shown.text
    assert "saling status paspor --watch" in shown.text
    assert len(moving.done) == 1


def test_an_end_of_input_before_the_yes_does_nothing(
    moving: Stub, environment: dict[str, str], command: list[str]
) -> None:
    shown = on_terminal([*command, "switchover", "paspor"], environment, "\x04")
    assert shown.code == 1
    assert "to batam-1? [y/N]" in shown.text
    assert "nothing was done" in shown.text
    assert moving.done == []


def test_watch_shows_the_state_until_ctrl_c_and_exits_with_the_last_verdict(
    stub: Stub, environment: dict[str, str], command: list[str]
) -> None:
    stub.state = given.state(given.held())
    shown = on_terminal([*command, "status", "--watch"], environment, interrupt_at="Ctrl-C ends")
    assert shown.code == 3
    assert "1 NOT" in shown.text


def test_watch_for_a_program_prints_a_document_a_line(
    stub: Stub, environment: dict[str, str], command: list[str]
) -> None:
    process = subprocess.Popen(
        [*command, "status", "-w", "-o", "json", "--interval", "0.2"],
        env=environment,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    documents = [json.loads(process.stdout.readline()) for _ in range(2)]
    process.send_signal(signal.SIGINT)
    assert process.wait(TIMEOUT_S) == 0
    process.stdout.close()
    assert documents == [stub.state, stub.state]


def test_a_closed_pipe_ends_quietly(
    stub: Stub, environment: dict[str, str], command: list[str]
) -> None:
    pipe = f"{' '.join(command)} status --watch --interval 0.2 | head -n 1"
    ended = subprocess.run(
        ["bash", "-c", pipe], env=environment, capture_output=True, timeout=TIMEOUT_S, check=False
    )
    assert b"services protected" in ended.stdout
    assert b"Traceback" not in ended.stderr


@pytest.mark.parametrize("words", ["status", "status --output json", "version"])
def test_an_answer_that_cannot_be_written_ends_with_1_and_no_traceback(
    stub: Stub, environment: dict[str, str], command: list[str], words: str
) -> None:
    ended = subprocess.run(
        ["bash", "-c", f"{' '.join(command)} {words} > /dev/full"],
        env=environment,
        capture_output=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert ended.returncode == 1
    assert ended.stderr.decode() == "the answer could not be written: No space left on device\n"


@pytest.mark.parametrize("words", ["status", "version"])
def test_an_answer_for_which_the_shell_left_no_stdout_ends_with_1_and_a_sentence(
    environment: dict[str, str], command: list[str], words: str
) -> None:
    ended = subprocess.run(
        ["bash", "-c", f"{' '.join(command)} {words} >&-"],
        env=environment,
        capture_output=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert ended.returncode == 1
    assert ended.stderr.decode() == "the answer could not be written: stdout is closed\n"


def test_ctrl_c_before_an_answer_says_that_it_is_not_known_what_was_done(
    environment: dict[str, str], command: list[str]
) -> None:
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        url = f"http://127.0.0.1:{mute.getsockname()[1]}"
        process = subprocess.Popen(
            [*command, "resume", "paspor", "--by", "sri", "--controller", url],
            env=environment,
            stderr=subprocess.PIPE,
        )
        caller = mute.accept()[0]
        assert caller.recv(65536)
        process.send_signal(signal.SIGINT)
        told = process.communicate(timeout=TIMEOUT_S)[1].decode()
        caller.close()
    assert process.returncode == 130
    assert "whether it was taken is not known here" in told


def test_ctrl_c_ends_the_watching_of_a_plan_alone(
    stub: Stub, environment: dict[str, str], command: list[str]
) -> None:
    stub.dry_answer = trial()
    stub.answers = [(200, {"site": "batam", "accepted": True, "text": "begins", "plan": PLAN})]
    moving = plan("running", step("paspor", "moving"), changes=[change(1, "paspor", "moving")])
    stub.plans[f"plans/{PLAN}"] = [moving]
    shown = on_terminal(
        [*command, "evacuate", "batam", "--yes"], environment, interrupt_at="paspor: moving"
    )
    assert shown.code == 130
    assert f"{PLAN} goes on in the controller" in shown.text
    assert "saling plan pause" in shown.text
