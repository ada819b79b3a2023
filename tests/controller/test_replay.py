"""A journal that is replayed decides the same again, and where it does not, the place is told."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from msgspec.structs import replace

from controller import replay as replay_module
from controller.cli.app import main
from controller.core import phases
from controller.core import step as step_module
from controller.core.assignments import assignment_for
from controller.core.events import Event, Tick
from controller.core.model import Phase, State
from controller.core.step import step
from controller.journal import EventLine, Journal, JournalUnreadable, files, numbered
from controller.replay import NoJournal, journal_files, replay
from tests.controller.core.given import NOW, A, B, Given, asked, backup_report, said

FAR_BYTES = 10**8


def record(directory: Path, size_bytes: int = FAR_BYTES) -> State:
    """A primary falls silent: COUNTDOWN, and PROMOTING once every promise has run out."""
    state = Given(Phase.PROTECTED).state()
    journal = Journal(directory, size_bytes, 1000, "1.0")
    journal.begin(state, NOW)
    deaf = {"primary_heard": False, "streaming": False}
    script: list[tuple[int, Event]] = [(NOW, asked(A)), (NOW + 1, said(B, backup_report()))]
    for at_ms in range(NOW + 200, NOW + 4000, 200):
        revision = 11 if at_ms > NOW + 1800 else 10
        told = backup_report(revision=revision, stopped=revision == 11, promise_left_ms=0, **deaf)
        script += [(at_ms, said(B, told)), (at_ms + 50, Tick())]
    for now_ms, event in script:
        before = state
        state, actions = step(state, event, now_ms)
        if state != before:
            journal.note(event, now_ms, state, actions)
    journal.close()
    return state


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    state = record(tmp_path / "j")
    assert state.services["paspor"].record.phase is Phase.PROMOTING
    return tmp_path / "j"


def only_file(directory: Path) -> Path:
    (file,) = files(directory)
    return file


def test_a_recorded_journal_comes_out_identical(recorded: Path) -> None:
    told = replay(journal_files(recorded))
    assert told.identical
    assert told.compared == told.events > 10
    assert (told.files, told.changes, told.versions) == (1, 2, ("1.0",))


def test_each_of_many_files_is_replayed_by_itself(tmp_path: Path) -> None:
    record(tmp_path, size_bytes=1)
    told = replay(journal_files(tmp_path))
    assert told.identical
    assert told.files > 5
    assert replay([files(tmp_path)[3]]).identical


def test_a_changed_rule_differs_at_the_very_event_that_it_decides(
    recorded: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = phases.ROWS_FROM[Phase.PROTECTED]
    without = tuple(row for row in rows if row.name != "primary_silent")
    monkeypatch.setitem(phases.ROWS_FROM, Phase.PROTECTED, without)
    found = replay(journal_files(recorded)).difference
    assert found is not None
    lines = {number: line for number, _size, line in numbered(only_file(recorded))}
    line = lines[found.line]
    assert isinstance(line, EventLine)
    assert line.decided is not None
    (change,) = line.decided.changes
    assert (change.to_phase, found.recorded, found.now.changes) == ("COUNTDOWN", line.decided, ())
    assert found.now_ms == line.now_ms
    assert run(recorded) == 1
    out = capsys.readouterr().out
    assert f"{only_file(recorded)}:{found.line}" in out
    assert "PROTECTED to COUNTDOWN (revision 11): jabodetabek-1 has proved no commit" in out


def test_another_order_differs_though_the_changes_are_the_same(
    recorded: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = assignment_for
    monkeypatch.setattr(
        step_module,
        "assignment_for",
        lambda *a: (made := real(*a)) and replace(made, may_grant=True),
    )
    found = replay(journal_files(recorded)).difference
    assert found is not None
    assert found.recorded.changes == found.now.changes
    assert found.recorded.actions != found.now.actions


def test_rules_that_fail_now_are_a_difference(
    recorded: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_arguments: object) -> None:
        raise ZeroDivisionError("nothing left")

    monkeypatch.setattr(replay_module, "step", broken)
    found = replay(journal_files(recorded)).difference
    assert found is not None
    assert (found.line, found.error) == (2, "ZeroDivisionError: nothing left")


def test_a_torn_last_line_is_no_error_and_an_empty_or_foreign_file_is_one(recorded: Path) -> None:
    file = only_file(recorded)
    events = replay([file]).events
    file.write_bytes(file.read_bytes()[:-5])
    told = replay([file])
    assert (told.identical, told.events) == (True, events - 1)
    assert told.torn == (str(file),)
    for nothing in (b"", b"anything but a journal"):
        file.write_bytes(nothing)
        with pytest.raises(NoJournal, match="nothing to replay"):
            replay([file])


def test_a_journal_without_events_is_not_called_identical(
    recorded: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = only_file(recorded)
    file.write_bytes(file.read_bytes().splitlines(keepends=True)[0])
    assert run(file) == 3
    assert "nothing to compare" in capsys.readouterr().out


def test_what_cannot_be_replayed_is_named_with_file_and_line(recorded: Path) -> None:
    file = only_file(recorded)
    lines = file.read_bytes().splitlines(keepends=True)
    for spoilt, told in (
        (lines[1:], r":1: the file begins in the middle"),
        ([*lines[:2], b"garbage\n", *lines[2:]], r":3: no line of a journal.*by version 1\.0"),
        ([b"[]\n"], r":1: no line of a journal.*journal\.directory"),
        ([*lines, lines[0]], rf":{len(lines) + 1}: a second snapshot"),
        ([lines[0].replace(b'"spec"', b'"declared"'), *lines[1:]],
         r":1: no line of a journal.*written by version 1\.0"),
    ):  # fmt: skip
        file.write_bytes(b"".join(spoilt))
        with pytest.raises(JournalUnreadable, match=told):
            replay([file])


def test_a_file_without_decisions_is_too_old_to_compare(
    recorded: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = only_file(recorded)
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    for line in lines:
        line.pop("decided", None)
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    told = replay([file])
    assert (told.identical, told.compared, told.too_old) == (False, 0, (str(file),))
    assert run(file) == 3
    assert "too old" in capsys.readouterr().out


def test_it_stops_at_a_wall_time(recorded: Path) -> None:
    (_number, _size, first), *_rest = numbered(only_file(recorded))
    at_ms = first.at_ms  # type: ignore[union-attr]
    assert replay(journal_files(recorded), at_ms + 1).events == 2


def test_the_command_says_it_and_prints_one_document(
    recorded: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(recorded) == 0
    assert "every decision came out identical" in capsys.readouterr().out
    assert run(recorded, "--output", "json") == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["identical"], document["difference"], document["changes"]) == (True, None, 2)


def test_no_journal_and_no_time_are_wrong_use(tmp_path: Path, recorded: Path) -> None:
    with pytest.raises(NoJournal, match="no such file"):
        journal_files(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    assert run(tmp_path / "empty") == 2
    assert run(recorded, "--until", "yesterday") == 2


def run(place: Path, *options: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["replay", str(place), *options])
    return int(ended.value.code or 0)


def test_of_one_service_alone_only_its_decisions_are_compared(
    recorded: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(recorded, "--service", "paspor") == 0
    assert "2 changes of a service" in capsys.readouterr().out
    file = only_file(recorded)
    file.write_text(file.read_text().replace("change paspor ", "change pajak "))
    assert run(recorded, "--service", "paspor") == 1
    assert run(recorded, "--service", "nothing") == 2
    assert "it knows: paspor" in capsys.readouterr().err
