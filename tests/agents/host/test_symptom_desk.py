"""Symptoms told over the agent's port: by whom, how, and what becomes of them."""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aiohttp
import msgspec
import pytest
from aiohttp import web

from agents.core.symptoms import CHANGES_AT_MOST, CHANGES_WITHIN_MS, Board, Post, Rule
from agents.host import symptom_command, symptom_desk
from agents.host.posts_file import PostsFile
from agents.host.symptom_command import SymptomError, SymptomRefused
from agents.host.symptom_desk import SymptomDesk, _admitted
from agents.network.peers import PeerServer
from config.checks import OWN_KINDS
from lab.base.keys import LabKeys
from protocol.messages import Symptom
from tests.agents.network.test_peers import AWAY, HOME, Grantor, tls_of

Until = Callable[[Callable[[], object], str], Awaitable[None]]
SAID = {"kind": "power", "text": "on battery", "for": "10m"}


class Desk:
    """The desk of AWAY on its server, with a clock of its own."""

    def __init__(self, keys: LabKeys, directory: Path) -> None:
        self.now_ms = 100_000
        self.board = Board()
        self.file = PostsFile(directory, "boot-1")
        self.desk = SymptomDesk(self.board, lambda: self.now_ms, self.file, True)
        grantor = Grantor(keys)
        self.server: PeerServer = grantor.server
        self.server._more = self.desk.routes()
        self.context = grantor.context
        self.ready = grantor.ready

    async def ask(self, method: str, path: str = "", body: object = None, **more: Any) -> Any:
        """Without a certificate, from this host. Status and answer."""
        insecure = ssl.create_default_context()
        insecure.check_hostname = False
        insecure.verify_mode = ssl.CERT_NONE
        url = f"https://127.0.0.1:{self.server.port}/v1/symptoms{path}"
        async with (
            aiohttp.ClientSession() as session,
            session.request(method, url, json=body, ssl=insecure, **more) as answer,
        ):
            raw = await answer.read()
            is_json = answer.content_type == "application/json"
            return answer.status, msgspec.json.decode(raw) if is_json else raw.decode()

    def told(self) -> tuple[Symptom, ...]:
        return self.desk.symptoms(self.now_ms)


@pytest.fixture
async def desk(keys: LabKeys, directory: Path) -> AsyncIterator[Desk]:
    made = Desk(keys, directory)
    task = asyncio.create_task(made.server.run("127.0.0.1:0", made.context, made.ready))
    await asyncio.wait_for(made.ready.wait(), 30)
    yield made
    task.cancel()
    await asyncio.wait({task})


async def test_what_is_posted_counts_until_its_time_or_its_withdrawal(desk: Desk) -> None:
    status, said = await desk.ask("POST", body=SAID)
    assert (status, said["age_ms"], said["left_ms"]) == (200, 0, 600_000)
    desk.now_ms += 599_999
    assert desk.told() == (Symptom("power", "on battery", 599_999),)
    desk.now_ms += 1
    assert desk.told() == ()
    await desk.ask("POST", body=SAID)
    assert await desk.ask("DELETE", "/power") == (200, {"kind": "power", "was_there": True})
    assert await desk.ask("DELETE", "/power") == (200, {"kind": "power", "was_there": False})
    assert desk.told() == ()


async def test_all_that_is_told_is_listed_with_the_end_of_what_was_posted(desk: Desk) -> None:
    desk.board.look("clock", "clock", "behind", desk.now_ms - 5, Rule(0, 0))
    await desk.ask("POST", body=SAID)
    _, said = await desk.ask("GET")
    clock, power = said["symptoms"]
    assert clock == {"kind": "clock", "text": "behind", "age_ms": 5, "left_ms": None}
    assert (power["kind"], power["left_ms"]) == ("power", 600_000)


async def test_what_was_posted_outlives_the_agent_but_not_the_host(
    desk: Desk, directory: Path
) -> None:
    await desk.ask("POST", body=SAID)
    await desk.ask("POST", body={**SAID, "kind": "cooling"})
    await desk.ask("DELETE", "/cooling")
    later = SymptomDesk(Board(), lambda: 0, PostsFile(directory, "boot-1"))
    assert later.symptoms(desk.now_ms + 5) == (Symptom("power", "on battery", 5),)
    assert PostsFile(directory, "boot-2").read() == ()


async def test_where_nothing_can_be_kept_it_counts_all_the_same(
    desk: Desk, directory: Path
) -> None:
    (directory / "symptoms.json").mkdir()
    assert (await desk.ask("POST", body=SAID))[0] == 200
    assert [one.kind for one in desk.told()] == ["power"]
    assert desk.file.read() == ()
    (directory / "symptoms.json").rmdir()
    for torn in (b"{", b'{"boot": "boot\xe9', b"\x00" * 64, b"null"):
        (directory / "symptoms.json").write_bytes(torn)
        assert desk.file.read() == ()


@pytest.mark.parametrize(
    ("change", "names"),
    [
        ({"kind": "Power supply"}, "kind"),
        *[({"kind": kind}, "kind") for kind in OWN_KINDS],
        ({"text": "  "}, "text"),
        ({"text": "x" * 501}, "text"),
        ({"text": "\x1b[31m"}, "text"),
        ({"for": "10"}, "for"),
        ({"for": "9s"}, "for"),
        ({"for": "8d"}, "for"),
        ({"for": 600}, "for"),
        ({"sore": 1}, "sore"),
    ],
)
async def test_what_is_not_understood_is_refused_with_its_mend(
    desk: Desk, change: dict[str, Any], names: str
) -> None:
    status, said = await desk.ask("POST", body={**SAID, **change})
    assert status == 422
    assert names in said["error"]
    assert said["mend"]
    assert desk.told() == ()


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"null",
        b"[]",
        b"{",
        b'{"kind": "power", "text": "caf\xe9", "for": "10m"}',
        '{"kind": "power", "text": "on battery", "for": "10m"}'.encode("utf-16"),
        b'{"kind": "power", "text": "\\ud800", "for": "10m"}',
        b'{"kind": ' + b"[" * 100_000,
        b'{"kind": "power", "text": "x", "for": "' + b"9" * 5000 + b'd"}',
        b'{"kind": "power", "text": "x", "for": "1e400s"}',
    ],
)
async def test_what_is_no_such_text_is_refused_with_its_mend(desk: Desk, raw: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    status, said = await desk.ask("POST", headers=headers, data=raw)
    assert status == 422
    assert said["error"]
    assert said["mend"]
    assert desk.told() == ()


async def test_only_json_is_read(desk: Desk) -> None:
    status, _ = await desk.ask("POST", headers={"Content-Type": "text/plain"}, data=b"{}")
    assert status == 415


async def test_too_many_are_a_conflict_that_names_them(desk: Desk) -> None:
    for number in range(8):
        assert (await desk.ask("POST", body={**SAID, "kind": f"k-{number}"}))[0] == 200
    status, said = await desk.ask("POST", body=SAID)
    assert status == 409
    assert "k-0, k-1" in said["error"]


def request(theirs: str, ours: str, certificate: object = None) -> Any:
    known = {"peername": (theirs, 5), "sockname": (ours, 8701), "peercert": certificate}
    return SimpleNamespace(transport=SimpleNamespace(get_extra_info=known.get))


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("127.0.0.5", "127.0.0.1"),
        ("::1", "::1"),
        ("10.1.0.5", "10.1.0.5"),
        ("::ffff:10.1.0.5", "10.1.0.5"),
        ("::ffff:127.0.0.1", "::ffff:127.0.0.1"),
        ("fe80::1%eth0", "fe80::1"),
    ],
)
def test_processes_of_this_host_are_heard_without_a_certificate(theirs: str, ours: str) -> None:
    assert _admitted(request(theirs, ours)) == "a process of this host"


async def test_without_a_certificate_this_host_only_lists_unless_the_agents_file_allows_more(
    desk: Desk, keys: LabKeys
) -> None:
    await desk.ask("POST", body=SAID)
    desk.desk._is_open = False
    for method, path in (("POST", ""), ("DELETE", "/power")):
        status, said = await desk.ask(method, path, body={**SAID, "kind": "cooling"})
        assert status == 403
        assert "symptoms.posts_without_certificate" in said
    assert (await desk.ask("GET"))[0] == 200
    assert [one.kind for one in desk.told()] == ["power"]
    config = config_of(keys, f"127.0.0.1:{desk.server.port}")
    told = await asyncio.to_thread(symptom_command.withdraw, config, "power")
    assert told["was_there"]


async def test_who_changes_too_often_is_told_for_how_long_to_wait(desk: Desk) -> None:
    for _ in range(CHANGES_AT_MOST):
        assert desk.desk._pace.take("a process of this host", desk.now_ms) == 0
    desk.now_ms += 1
    status, said = await desk.ask("POST", body=SAID)
    assert (status, desk.told()) == (429, ())
    assert "wait for 60 s" in said
    assert desk.desk._pace.take(HOME, desk.now_ms) == 0
    desk.now_ms += CHANGES_WITHIN_MS - 1
    assert (await desk.ask("POST", body=SAID))[0] == 200


async def test_a_disk_that_hangs_takes_one_thread_and_keeps_the_newest_in_the_end(
    desk: Desk, directory: Path, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(symptom_desk, "SAVE_LIMIT_S", 0.01)
    disk, write, threads = threading.Event(), PostsFile.write, set()
    kept: list[list[str]] = []

    def hang(file: PostsFile, posts: tuple[Post, ...]) -> None:
        threads.add(threading.get_ident())
        disk.wait()
        write(file, posts)
        kept.append([post.kind for post in posts])

    monkeypatch.setattr(PostsFile, "write", hang)
    kinds = [f"k-{number}" for number in range(8)]
    try:
        for kind in kinds:
            assert (await desk.ask("POST", body={**SAID, "kind": kind}))[0] == 200
        assert len(threads) == 1
        # The event loop's own threads are free: names are still looked up.
        await asyncio.to_thread(lambda: None)
    finally:
        disk.set()
    await until(lambda: len(kept) == 2, "two writes")
    assert kept[-1] == kinds
    assert [post.kind for post in desk.file.read()] == kinds


@pytest.mark.parametrize("theirs", ["10.1.0.6", "::ffff:10.1.0.6", "fd00::6"])
def test_others_are_heard_with_a_certificate_only(theirs: str) -> None:
    with pytest.raises(web.HTTPForbidden):
        _admitted(request(theirs, "10.1.0.5"))
    shown = {"subject": ((("commonName", HOME),),)}
    assert _admitted(request(theirs, "10.1.0.5", shown)) == HOME


# The command.


def config_of(keys: LabKeys, listen: str) -> Any:
    return SimpleNamespace(agent=AWAY, listen=listen, tls=tls_of(keys, AWAY))


async def test_the_command_reports_lists_and_withdraws(desk: Desk, keys: LabKeys) -> None:
    config = config_of(keys, f"0.0.0.0:{desk.server.port}")

    async def run(ask: Any, *words: str) -> dict[str, Any]:
        told: dict[str, Any] = await asyncio.to_thread(ask, config, *words)
        return told

    told = await run(symptom_command.report, "power", "on battery", "2h")
    assert told["left_ms"] == 7_200_000
    listed = await run(symptom_command.listed)
    said = symptom_command.as_lines(listed, AWAY)
    assert said == "power: on battery (for 0 s, posted, 2 h 0 min left)"
    assert (await run(symptom_command.withdraw, "power"))["was_there"]
    nothing = symptom_command.as_lines(await run(symptom_command.listed), AWAY)
    assert nothing == "ikn-1 tells of nothing that is not well"
    with pytest.raises(SymptomRefused, match="kind: ") as refused:
        await run(symptom_command.report, "clock", "late", "2h")
    assert refused.value.status == 2
    with pytest.raises(SymptomRefused, match="no name"):
        await run(symptom_command.withdraw, "../../health")


def test_an_agent_that_does_not_run_is_said_with_the_mend(keys: LabKeys) -> None:
    with pytest.raises(SymptomError, match="see whether it runs") as told:
        symptom_command.listed(config_of(keys, "127.0.0.1:1"))
    assert "no connection to 127.0.0.1:1" in str(told.value)
    assert "SSLContext" not in str(told.value)
