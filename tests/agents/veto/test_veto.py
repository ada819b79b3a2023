"""`saling-agent hold`: taken by all replicas or none, on disk before it is answered, kept after."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import stat
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from msgspec.structs import replace
from typer.testing import CliRunner

from agents.core.events import Event, GuardState, VetoAsked
from agents.core.model import Durable, Permit
from agents.core.step import begin, step
from agents.daemon import application
from agents.durable import (
    LOCK_FILE,
    DurableError,
    DurableFile,
    begin_life,
    lock_directory,
    prepare_directory,
)
from agents.guard.client import now_ms
from agents.veto import command as veto_command
from agents.veto import file as files
from agents.veto import keeper as veto_keeper
from agents.veto.command import VetoError, ask
from agents.veto.file import ANSWER, ASKED, ASKING, IN_FORCE, Answer, Asked, Veto
from agents.veto.keeper import VetoKeeper
from config.loader import load_agent
from protocol.messages import Goal, Right
from tests.agents.core import given
from tests.agents.test_real_agent import RealAgent

Until = Callable[[Callable[[], object], str], Awaitable[None]]
HOME = "batam-1"
HOUR_MS = 3_600_000
ASKS = ("--for", "2h", "--reason", "a new disk", "--by", "siti")
DRAIN = given.order(Goal.DRAIN)


def command(*arguments: str) -> tuple[int, str, str]:
    run = CliRunner().invoke(application, arguments)
    return run.exit_code, run.stdout, run.stderr


class Replica:
    """A worker whose rules are the shipped ones, as far as the keeper knows it."""

    def __init__(self, durable: Durable = Durable(), deaf: bool = False) -> None:  # noqa: B008
        self.settled = begin("a", "paspor", "uid", "1-a", durable, now_ms())
        self.deaf = deaf
        self.mailbox = self
        self.put(GuardState(Permit.CLOSED, 0, False, False))

    def put(self, event: Event) -> None:
        if not self.deaf or isinstance(event, GuardState):
            self.settled, _ = step(self.settled, event, now_ms())


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(veto_keeper, "LOOK_S", 0.01)


@asynccontextmanager
async def keeping(
    directory: Path, *replicas: Replica, kept: Veto | None = None
) -> AsyncIterator[None]:
    keeper = VetoKeeper(directory, kept, "1-a", lambda: replicas, lambda: None)  # type: ignore[arg-type, return-value]
    task = asyncio.create_task(keeper.run())
    try:
        yield
    finally:
        task.cancel()


async def answered(directory: Path, until: Until, for_ms: int = HOUR_MS, id: str = "x") -> Answer:
    files.write(directory, ASKED, Asked(id, "siti", "a new disk", for_ms))

    def there() -> bool:
        answer = files.read_answer(directory)
        return answer is not None and answer.id == id and not (directory / ASKED).exists()

    await until(there, "an answer")
    answer = files.read_answer(directory)
    assert answer is not None
    return answer


async def test_it_is_answered_once_all_replicas_have_it_and_it_is_on_disk(
    tmp_path: Path, until: Until
) -> None:
    one, other = Replica(), Replica()
    async with keeping(tmp_path, one, other):
        assert (await answered(tmp_path, until)).accepted
        assert {one.settled.veto, other.settled.veto} == {"siti: a new disk"}
        assert files.read_veto(tmp_path) == Veto("siti", "a new disk", HOUR_MS, HOUR_MS)
        assert stat.S_IMODE((tmp_path / IN_FORCE).stat().st_mode) == 0o600
        assert (await answered(tmp_path, until, for_ms=0, id="y")).accepted
        assert {one.settled.veto, other.settled.veto} == {""}
        assert files.read_veto(tmp_path) is None


async def test_one_replica_that_is_being_moved_refuses_it_for_all(
    tmp_path: Path, until: Until
) -> None:
    one, moved = Replica(), Replica(Durable(assignment=DRAIN))
    async with keeping(tmp_path, one, moved):
        answer = await answered(tmp_path, until)
        assert not answer.accepted
        assert "a move from this host is under way" in answer.text
        assert one.settled.veto == ""
        assert files.read_veto(tmp_path) is None


async def test_a_replica_that_does_not_answer_is_no_yes(
    tmp_path: Path, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(veto_keeper, "DECIDE_S", 0.1)
    one = Replica()
    async with keeping(tmp_path, one, Replica(deaf=True)):
        assert not (await answered(tmp_path, until)).accepted
        assert one.settled.veto == ""


async def test_what_cannot_be_written_is_not_taken(
    tmp_path: Path, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, one = files.write, Replica()

    def full(directory: Path, name: str, content: Veto | Asked | Answer) -> None:
        if name == IN_FORCE:
            raise OSError(28, "No space left on device")
        write(directory, name, content)

    async with keeping(tmp_path, one):
        monkeypatch.setattr(files, "write", full)
        answer = await answered(tmp_path, until)
        assert (answer.accepted, "No space left" in answer.text) == (False, True)
        assert one.settled.veto == ""


COUNTED_DOWN = given.order(Goal.BACKUP, countdown=True)


@pytest.mark.parametrize("refused_by", ["a replica", "the disk"])
async def test_one_that_is_refused_leaves_the_one_in_force_as_it_was(
    tmp_path: Path, until: Until, monkeypatch: pytest.MonkeyPatch, refused_by: str
) -> None:
    one, other = Replica(), Replica()
    write = files.write

    def full(directory: Path, name: str, content: Veto | Asked | Answer) -> None:
        if name == IN_FORCE:
            raise OSError(28, "No space left on device")
        write(directory, name, content)

    async with keeping(tmp_path, one, other):
        assert (await answered(tmp_path, until, for_ms=2 * HOUR_MS)).accepted
        end_ms = one.settled.veto_end_ms
        if refused_by == "the disk":
            monkeypatch.setattr(files, "write", full)
        else:
            durable = replace(other.settled.durable, assignment=COUNTED_DOWN)
            other.settled = replace(other.settled, durable=durable)
        assert not (await answered(tmp_path, until, for_ms=60_000, id="y")).accepted
        assert (one.settled.veto, other.settled.veto) == ("siti: a new disk",) * 2
        assert (one.settled.veto_end_ms, other.settled.veto_end_ms) == (end_ms, end_ms)


async def test_its_time_is_written_down_and_ends_it(
    tmp_path: Path, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(veto_keeper, "WRITE_EVERY_MS", 20)
    async with keeping(tmp_path, Replica(), kept=Veto("siti", "a new disk", HOUR_MS, 400)):

        def counted() -> bool:
            kept = files.read_veto(tmp_path)
            return kept is not None and kept.left_ms < 400

        await until(counted, "what is left is written down")
        await until(lambda: not (tmp_path / IN_FORCE).exists(), "its end")


async def test_what_a_replica_took_and_the_host_did_not_is_ended_again(
    tmp_path: Path, until: Until
) -> None:
    one = Replica()
    one.put(VetoAsked("1-a.1", "siti: a new disk", now_ms() + HOUR_MS))
    async with keeping(tmp_path, one):
        await until(lambda: not one.settled.veto, "the end of a veto that nobody keeps")


def test_a_damaged_file_is_not_taken_for_no_veto(tmp_path: Path) -> None:
    (tmp_path / IN_FORCE).write_text('{"by": "si')
    with pytest.raises(DurableError, match="saling-agent release"):
        files.read_veto(tmp_path)


def test_without_a_running_agent_the_command_writes_it_itself(
    configure: Callable[..., Path],
) -> None:
    file = str(configure(HOME, "127.0.0.1:1", services=[]))
    code, said, _ = command("hold", "--config", file)
    assert (code, "no hold is in force" in said) == (0, True)
    code, said, _ = command("hold", "--config", file, *ASKS)
    assert code == 0
    assert f"{HOME} keeps its role, 2 h 0 min left, by siti: a new disk" in said
    code, said, _ = command("hold", "--config", file, "--output", "json")
    assert json.loads(said)["hold"]["left_ms"] == 2 * HOUR_MS
    assert "a hold was ended" in command("release", "--config", file)[2]
    code, said, told = command("release", "--config", file, "--output", "json")
    assert (code, json.loads(said)["hold"], told) == (0, None, "there was none to end\n")
    assert "null" in command("hold", "--config", file, "--output", "json")[1]


def test_what_is_durable_is_judged_without_an_agent_and_refused_with_4(
    configure: Callable[..., Path], binaries: Path
) -> None:
    file = configure(HOME, "127.0.0.1:1", binaries)
    config = load_agent(file).value
    config.state_directory.mkdir(mode=0o700, parents=True)
    begin_life(config.state_directory, config.cluster, config.agent, ("paspor",))
    durable = DurableFile(config.state_directory, config.cluster, config.agent, "paspor")
    promoted = given.order(Goal.PRIMARY, Right.ALONE, epoch=4)
    durable.write("uid", Durable(assignment=promoted, reign_epoch=3))
    code, _, wrong = command("hold", "--config", str(file), *ASKS)
    assert code == 4
    assert "refused: paspor: this host is ordered to be the primary" in wrong


@pytest.mark.parametrize(
    "wrong",
    [
        ("--for", "2h"),
        ("--for", "soon", "--reason", "x"),
        ("--for", "9999d", "--reason", "x"),
        ("--for", "59s", "--reason", "x"),
        ("--reason", "x"),
    ],
)
def test_what_is_asked_wrongly_ends_with_2(
    configure: Callable[..., Path], wrong: tuple[str, ...]
) -> None:
    file = str(configure(HOME, "127.0.0.1:1", services=[]))
    assert command("hold", "--config", file, *wrong)[0] == 2


async def test_commands_at_once_are_answered_one_after_the_other(
    configure: Callable[..., Path],
) -> None:
    config = load_agent(configure(HOME, "127.0.0.1:1", services=[])).value
    directory = config.state_directory
    prepare_directory(directory)
    lock = lock_directory(directory)
    try:
        async with keeping(directory, Replica()):
            asked = [Asked(f"{n}", "siti", f"disk {n}", HOUR_MS) for n in range(5)]
            await asyncio.gather(*(asyncio.to_thread(ask, config, one) for one in asked))
    finally:
        os.close(lock)
    assert {file.name for file in directory.iterdir()} - {LOCK_FILE} == {
        IN_FORCE, ANSWER, ASKING
    }  # fmt: skip


def test_one_that_waits_in_vain_says_so_and_leaves_the_others_request(
    configure: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = load_agent(configure(HOME, "127.0.0.1:1", services=[])).value
    directory = config.state_directory
    prepare_directory(directory)
    lock = lock_directory(directory)
    others = Asked("other", "budi", "heat", HOUR_MS)
    monkeypatch.setattr(veto_command, "TURN_S", 0.0)
    monkeypatch.setattr(veto_command, "ANSWER_S", 0.0)
    monkeypatch.setattr(veto_command, "LOOK_S", 0.0)
    try:
        with veto_command._my_turn(directory):
            files.write(directory, ASKED, others)
            with pytest.raises(VetoError, match="is asking: try again"):
                ask(config, Asked("mine"))
            with pytest.raises(VetoError, match="has not answered"):
                veto_command._wait(config, Asked("mine"))
            assert files.read_asked(directory) == others
        with pytest.raises(VetoError, match="has not answered"):
            ask(config, Asked("mine"))
        assert files.read_asked(directory) is None
    finally:
        os.close(lock)


@pytest.mark.postgres
@pytest.mark.broker
@pytest.mark.timeout(240)
async def test_a_running_agent_tells_it_to_the_centre_and_keeps_it_over_its_own_death(
    configure: Callable[..., Path], binaries: Path, broker: object, controller: object, until: Until
) -> None:
    address = f"{broker.host}:{broker.port}"  # type: ignore[attr-defined]
    reports = controller.reports  # type: ignore[attr-defined]
    agent = RealAgent(configure(HOME, address, binaries))
    await agent.start()
    await until(lambda: HOME in reports, "the first report")
    assert (await agent.command("hold", *ASKS, wait=True)).returncode == 0
    await until(lambda: reports[HOME].veto == "siti: a new disk", "the hold in a report")
    assert 0 < reports[HOME].veto_left_ms <= 2 * HOUR_MS
    await agent.end(signal.SIGKILL)
    reports.clear()
    await agent.start()
    await until(lambda: HOME in reports, "a report of the next life")
    assert reports[HOME].veto == "siti: a new disk"
    assert (await agent.command("release", wait=True)).returncode == 0
    await until(lambda: reports[HOME].veto == "", "its end in a report")
    await agent.stop_everything()


def test_the_state_directory_keeps_nothing_of_a_request(tmp_path: Path) -> None:
    files.write(tmp_path, ASKED, Asked("x"))
    (tmp_path / ASKED).write_text("{")
    assert files.read_asked(tmp_path) is None
    assert list(tmp_path.iterdir()) == []
    assert files.read_answer(tmp_path) is None
    (tmp_path / ANSWER).write_text("[]")
    assert files.read_answer(tmp_path) is None
