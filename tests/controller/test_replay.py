"""A journal that is replayed decides the same again, and where it does not, the place is told."""

from __future__ import annotations

import json
import queue
import re
from pathlib import Path

import pytest
from msgspec.structs import replace

from controller import journal as journal_module
from controller import replay as replay_module
from controller.cli.app import main
from controller.core import phases
from controller.core.events import Event, Tick
from controller.core.model import Phase, State
from controller.core.orders import telling as telling_module
from controller.core.orders.assignments import assignment_for
from controller.core.step import step
from controller.journal import EventLine, Journal, files, numbered
from controller.replay import Gap, NoJournal, journal_files, replay
from controller.version import installed_version
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
    out = words(capsys)
    assert f"{only_file(recorded)}:{found.line}" in out
    assert "PROTECTED to COUNTDOWN (revision 11): jabodetabek-1 has proved no commit" in out


def test_another_order_differs_though_the_changes_are_the_same(
    recorded: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = assignment_for
    monkeypatch.setattr(
        telling_module,
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
    whole = file.read_bytes()
    file.write_bytes(whole[:-5])
    told = replay([file])
    assert (told.identical, told.events) == (True, events - 1)
    assert told.torn == (str(file),)
    file.write_bytes(whole[:-1])
    told = replay([file])
    assert (told.events, told.torn) == (events, ()), "only the end of its last line is missing"
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
    for spoilt, line, told in (
        (lines[1:], 1, r"the file begins in the middle"),
        ([*lines[:2], b"garbage\n", *lines[2:]], 3, r"no line of a journal.*damaged"),
        ([b"[]\n"], 1, r"no line of a journal.*journal\.directory"),
        ([*lines, lines[0]], len(lines) + 1, r"a second snapshot"),
        ([lines[0].replace(b'"spec"', b'"declared"'), *lines[1:]], 1,
         r"no line of a journal.*version 1\.0 wrote the file"),
    ):  # fmt: skip
        file.write_bytes(b"".join(spoilt))
        assert re.search(told, damage(recorded, line))


def damage(place: Path, line: int) -> str:
    """What is said of it; the replay has ended there, and is not called identical."""
    told = replay(journal_files(place))
    assert told.damage is not None
    assert (told.identical, told.difference, told.damage.line) == (False, None, line)
    assert told.damage.file in map(str, journal_files(place))
    return f"{told.damage.problem}; {told.damage.mend}"


def test_a_line_that_is_missing_doubled_or_elsewhere_is_damage(recorded: Path) -> None:
    file = only_file(recorded)
    lines = file.read_bytes().splitlines(keepends=True)
    for spoilt, line, told in (
        ([*lines[:3], *lines[4:]], 4, "lines are missing before line 4: it was written as line 5"),
        ([lines[0], *lines[3:]], 2, "lines are missing before line 2: it was written as line 4"),
        ([*lines[:4], lines[3], *lines[4:]], 5, "line 5 was written as line 4, which stands"),
        ([*lines[:3], lines[4], lines[3], *lines[5:]], 4, "lines are missing before line 4"),
        ([*lines[:4], re.sub(rb',"number":\d+', b"", lines[4])], 5, "line 5 has no number"),
    ):
        file.write_bytes(b"".join(spoilt))
        assert told in damage(recorded, line)


def test_lines_without_a_number_are_of_an_older_journal(recorded: Path) -> None:
    file = only_file(recorded)
    file.write_bytes(re.sub(rb',"number":\d+', b"", file.read_bytes()))
    assert replay([file]).identical


def test_a_missing_file_is_named_and_the_answer_is_not_identical(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record(tmp_path, size_bytes=1)
    one, _two, three, four, *_rest = files(tmp_path)
    one.unlink()
    assert run(tmp_path) == 0, "the oldest are not kept for ever"
    four.unlink()
    assert run(tmp_path) == 3
    assert f"missing between others: {four}" in words(capsys)
    three.unlink()
    told = replay(journal_files(tmp_path))
    assert told.missing == (Gap(str(three), str(four)),)
    assert not told.identical


def test_lines_missing_at_the_end_of_a_file_are_counted_by_the_next(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record(tmp_path, size_bytes=5_000)
    one, two, three, *_rest = files(tmp_path)
    lines = two.read_bytes().splitlines(keepends=True)
    assert len(lines) > 3
    two.write_bytes(b"".join(lines[:-2]))
    told = replay(journal_files(tmp_path))
    assert told.missing == (Gap(str(two), str(three), 2),)
    assert run(tmp_path) == 3
    assert f"2 lines missing after the end of {two}, as the beginning of {three}" in words(capsys)
    two.write_bytes(b"".join([*lines[:-2], lines[-2][:-9]]))
    told = replay(journal_files(tmp_path))
    assert (told.missing, told.torn) == ((Gap(str(two), str(three), 2),), (str(two),))
    three.unlink()
    assert [gap.lines for gap in replay(journal_files(tmp_path)).missing] == [0]
    assert replay([one]).identical
    assert replay([one, two], until_ms=0).missing == ()


def test_lines_that_a_full_queue_took_away_are_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_module, "TRY_AGAIN_S", 0.0)
    state = Given(Phase.PROTECTED).state()
    journal = Journal(tmp_path, FAR_BYTES, 9, "1.0")
    journal.begin(state, NOW)
    journal.note(Tick(), NOW + 1, state, [])
    with monkeypatch.context() as slow:
        slow.setattr(journal._pieces, "put_nowait", full)
        journal.note(Tick(), NOW + 2, state, [])
        journal.note(Tick(), NOW + 3, state, [])
    journal.note(Tick(), NOW + 4, state, [])
    journal.note(Tick(), NOW + 5, state, [])
    journal.close()
    assert journal.errors == 2
    one, two = files(tmp_path)
    told = replay([one, two])
    assert told.missing == (Gap(str(one), str(two), 2),)
    assert not told.identical


def full(_piece: object) -> None:
    raise queue.Full


def test_a_life_of_which_the_beginning_was_lost_is_noticed_and_an_end_in_a_crash_is_not(
    tmp_path: Path,
) -> None:
    state = record(tmp_path)
    record(tmp_path)
    one, two = files(tmp_path)
    one.write_bytes(one.read_bytes()[:-40])
    assert replay([one, two]).missing == (), "a crash tears the last line and counts nothing"
    journal = Journal(tmp_path, FAR_BYTES, 9, "1.0")
    journal.begin(state, NOW)
    journal.note(Tick(), NOW + 1, state, [])
    journal.begin(state, NOW + 2)
    journal.close()
    three, four = files(tmp_path)[2:]
    three.write_bytes(b"")
    assert replay([one, two, three, four]).missing == (Gap(str(two), str(four), 2),)


def test_damage_by_the_same_version_is_told_with_what_was_compared_before(
    recorded: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = only_file(recorded)
    own = file.read_bytes().replace(
        b'"version":"1.0"', f'"version":"{installed_version()}"'.encode()
    )
    lines = own.splitlines(keepends=True)
    for spoilt in (b"garbage\n", b'{"kind":"event"}\n'):
        file.write_bytes(b"".join([*lines[:4], spoilt, *lines[5:]]))
        assert run(recorded) == 1
        out = words(capsys)
        assert f"damaged at {file}:5" in out
        assert "every decision before it came out identical" in out
        assert "3 events, 3 compared" in out
        assert "replay it with" not in out


def test_only_what_is_json_may_be_a_line_of_another_version(recorded: Path) -> None:
    file = only_file(recorded)
    whole = file.read_bytes()
    file.write_bytes(whole + b'{"kind":"event","of":"tomorrow"}\n')
    at = whole.count(b"\n") + 1
    assert f"version 1.0 wrote the file, and this is version {installed_version()}" in damage(
        recorded, at
    )
    file.write_bytes(whole + b"garbage\n")
    assert "version" not in damage(recorded, at)


def test_for_programs_errors_are_a_document_too(
    recorded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for place, *options in ((tmp_path / "nowhere",), (recorded, "--until", "yesterday"),
                            (recorded, "--service", "nothing")):  # fmt: skip
        assert run(Path(place), *map(str, options), "--output", "json") == 2
        document = json.loads(capsys.readouterr().out)
        assert sorted(document) == ["error", "mend", "where"]
    file = only_file(recorded)
    file.write_bytes(b"anything\n")
    assert run(recorded, "--output", "json") == 1
    document = json.loads(capsys.readouterr().out)
    assert (document["damage"]["line"], document["difference"]) == (1, None)
    assert document["identical"] is False


def test_prose_is_folded_at_eighty_columns_and_no_name_is_broken(
    recorded: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = phases.ROWS_FROM[Phase.PROTECTED]
    without = tuple(row for row in rows if row.name != "primary_silent")
    monkeypatch.setitem(phases.ROWS_FROM, Phase.PROTECTED, without)
    assert run(recorded) == 1
    lines = capsys.readouterr().out.splitlines()
    assert max(len(line) for line in lines if str(recorded) not in line) <= 80
    assert sum(str(only_file(recorded)) in line for line in lines) == 1


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
    with pytest.raises(NoJournal, match=r"is named like journal-00000001\.jsonl;"):
        journal_files(tmp_path / "empty")
    assert run(tmp_path / "empty") == 2
    assert run(recorded, "--until", "yesterday") == 2


def words(capsys: pytest.CaptureFixture[str]) -> str:
    """What was printed, as if no line were folded."""
    return " ".join(capsys.readouterr().out.split())


def run(place: Path, *options: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["replay", str(place), *options])
    return int(ended.value.code or 0)


def test_of_one_service_alone_only_its_decisions_are_compared(
    recorded: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(recorded, "--service", "paspor") == 0
    out = words(capsys)
    assert out.startswith("every decision came out identical 1 file by version 1.0")
    assert "2 changes of a service" in out
    file = only_file(recorded)
    file.write_text(file.read_text().replace("change paspor ", "change pajak "))
    assert run(recorded, "--service", "paspor") == 1
    assert run(recorded, "--service", "nothing") == 2
    assert "it knows: paspor" in capsys.readouterr().err
