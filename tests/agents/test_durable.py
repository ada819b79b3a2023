"""What is durable comes back whole, or an error says how to mend it."""

from __future__ import annotations

import errno
import json
import os
import stat
from pathlib import Path

import pytest

from agents.core.model import Durable
from agents.durable import (
    DurableError,
    DurableFile,
    begin_life,
    lock_directory,
    prepare_directory,
    running_agent,
)
from protocol.messages import Mode

STATE = Durable(mode=Mode.LEASED, fenced_revision=7, reign_epoch=3, diverged=True)


@pytest.fixture
def file(tmp_path: Path) -> DurableFile:
    begin_life(tmp_path, "c", "batam-1", ("paspor",))
    return DurableFile(tmp_path, "c", "batam-1", "paspor")


def test_what_was_written_comes_back_and_only_the_owner_may_read_it(file: DurableFile) -> None:
    file.write("uid-1", STATE)
    kept = file.load()
    assert (kept.durable, kept.service_uid) == (STATE, "uid-1")
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600


@pytest.mark.parametrize("kept_bytes", [0, 1, 40, -1])
def test_a_torn_file_is_refused_by_name_and_never_read_as_empty(
    file: DurableFile, kept_bytes: int
) -> None:
    file.write("uid-1", STATE)
    file.path.write_bytes(file.path.read_bytes()[:kept_bytes])
    with pytest.raises(DurableError, match=r"paspor\.durable\.json.*sound copy"):
        file.load()


def test_a_changed_byte_is_noticed_by_the_sum(file: DurableFile) -> None:
    file.write("uid-1", STATE)
    text = file.path.read_text()
    assert '"fenced_revision":7' in text
    file.path.write_text(text.replace('"fenced_revision":7', '"fenced_revision":0'))
    with pytest.raises(DurableError, match="sha256"):
        file.load()


def test_a_file_of_another_agent_is_refused(file: DurableFile, tmp_path: Path) -> None:
    with pytest.raises(DurableError, match="not of this one"):
        DurableFile(tmp_path, "c", "ikn-1", "paspor").load()


def test_a_file_of_a_later_format_is_refused(file: DurableFile) -> None:
    content = json.loads(file.path.read_text())
    content["format"] = 2
    file.path.write_text(json.dumps(content))
    with pytest.raises(DurableError, match="run the version"):
        file.load()


def test_a_file_that_disappeared_is_no_new_beginning(file: DurableFile, tmp_path: Path) -> None:
    file.path.unlink()
    with pytest.raises(DurableError, match="missing"):
        begin_life(tmp_path, "c", "batam-1", ("paspor",))


def test_a_full_disk_leaves_the_old_state_and_no_remains(
    file: DurableFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.write("uid-1", STATE)

    def full(_descriptor: int, _data: bytes) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        with pytest.raises(OSError, match="No space"):
            file.write("uid-1", Durable())
    assert file.load().durable == STATE
    assert not list(tmp_path.glob("*.new"))


def test_a_crash_between_write_and_rename_leaves_the_old_state(
    file: DurableFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.write("uid-1", STATE)
    monkeypatch.setattr(Path, "replace", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        file.write("uid-1", Durable())
    monkeypatch.undo()
    assert file.load().durable == STATE


def test_every_life_has_a_name_of_its_own_that_fits_a_nonce(tmp_path: Path) -> None:
    lives = [begin_life(tmp_path, "c", "batam-1", ()) for _ in range(20)]
    assert [life.split("-")[0] for life in lives] == [str(n) for n in range(1, 21)]
    assert len(set(lives)) == 20
    assert max(map(len, lives)) < 40


def test_the_state_of_another_agent_begins_no_life(tmp_path: Path) -> None:
    begin_life(tmp_path, "c", "batam-1", ())
    with pytest.raises(DurableError, match="state_directory of its own"):
        begin_life(tmp_path, "c", "ikn-1", ())


def test_a_second_agent_on_one_state_directory_is_refused(tmp_path: Path) -> None:
    state = tmp_path / "state"
    prepare_directory(state)
    assert running_agent(state) is None
    lock = lock_directory(state)
    assert running_agent(state) == os.getpid()
    with pytest.raises(DurableError, match=str(os.getpid())):
        lock_directory(state)
    os.close(lock)
    assert running_agent(state) is None


def test_a_disk_that_is_full_is_told_with_the_file_that_did_not_fit(
    file: DurableFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_descriptor: int, _data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("agents.durable.os.write", full)
    with pytest.raises(OSError, match="No space left") as raised:
        file.create()
    assert raised.value.filename == str(file.path)
