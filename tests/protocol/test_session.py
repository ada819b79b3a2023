"""A session survives whatever its broker and its library do, and ends only when it is told to."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from types import TracebackType
from typing import Any

import aiomqtt
import pytest
import structlog

from protocol import session
from protocol.session import BrokerLogin, BrokerSession, tls_context

WAIT_S = 60.0
LOGIN = BrokerLogin("broker:1883", "broker", 1883, "me", "the-word")


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(WAIT_S):
        while not condition():  # noqa: ASYNC110 - a session tells nobody how often it tried
            await asyncio.sleep(0.005)


class Library:
    """Stands for aiomqtt's client: fails where it is told to, for the first `times`."""

    def __init__(self, place: str = "", error: BaseException | None = None, times: int = 1) -> None:
        self.place = place
        self.error = error
        self.times = times
        self.tries = 0
        self.timeout = 3.0

    def fail(self, place: str) -> None:
        if place == self.place and self.error is not None and self.tries <= self.times:
            raise self.error

    async def __aenter__(self) -> Library:
        self.tries += 1
        self.fail("connect")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.fail("goodbye")

    async def subscribe(self, filter_text: str, qos: int) -> tuple[int, ...]:
        self.fail("subscribe")
        return (0,)

    @property
    async def messages(self) -> AsyncIterator[Any]:
        self.fail("hear")
        if self.place == "goodbye" and self.tries <= self.times:
            raise aiomqtt.MqttError("lost")
        await asyncio.Event().wait()
        yield

    async def publish(self, where: str, payload: bytes, qos: int) -> None:
        self.fail("speak")


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "RETRY_LEAST_S", 0.001)
    monkeypatch.setattr(session, "RETRY_MOST_S", 0.002)


def using(monkeypatch: pytest.MonkeyPatch, library: Any) -> BrokerSession:
    monkeypatch.setattr(session, "mqtt_client", lambda *_: library)
    return make()


def make(login: Callable[[], BrokerLogin] = lambda: LOGIN, **more: Any) -> BrokerSession:
    bounds = {"incoming_at_most": 100, "outgoing_at_most": 4}
    return BrokerSession("b", "me", login, ["a", "b"], lambda *_: None, **{**bounds, **more})


async def ended(task: asyncio.Task[None]) -> bool:
    """Tell it to end; whether it did so as one that was told to."""
    task.cancel()
    await asyncio.wait({task}, timeout=WAIT_S)
    return task.cancelled()


@pytest.mark.parametrize("place", ["connect", "subscribe", "hear", "speak", "goodbye"])
@pytest.mark.parametrize(
    "error",
    [
        aiomqtt.MqttError("gone"),
        OSError("no route"),
        RuntimeError("a bug"),
        KeyError(7),
        ExceptionGroup("several", [ValueError("one")]),
        asyncio.CancelledError(),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_any_error_of_the_library_ends_in_another_try(
    monkeypatch: pytest.MonkeyPatch, place: str, error: BaseException
) -> None:
    library = Library(place, error, times=2)
    one = using(monkeypatch, library)
    task = asyncio.create_task(one.run())

    def again() -> bool:
        one.publish("x", b"")
        return library.tries > 2 and one.connected

    await until(again)
    assert one.problem == ""
    assert await ended(task)
    assert not one.connected


async def test_a_goodbye_that_fails_does_not_hide_the_order_to_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Rude(Library):
        async def __aexit__(self, *_: object) -> None:
            raise aiomqtt.MqttError("Operation timed out")

    library = Rude()
    one = using(monkeypatch, library)
    task = asyncio.create_task(one.run())
    await until(lambda: one.connected)
    assert await ended(task)
    assert library.tries == 1


async def test_a_goodbye_is_not_waited_for_as_long_as_an_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    library = Library()
    one = using(monkeypatch, library)
    task = asyncio.create_task(one.run())
    await until(lambda: one.connected)
    assert library.timeout == 3.0
    assert await ended(task)
    assert library.timeout == session.GOODBYE_S


async def test_what_waited_for_a_lost_broker_is_not_sent_when_it_is_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sent: list[bytes] = []

    class Losing(Library):
        async def publish(self, where: str, payload: bytes, qos: int) -> None:
            if self.tries == 1:
                raise aiomqtt.MqttError("lost")
            sent.append(payload)

    library = Losing()
    one = using(monkeypatch, library)
    task = asyncio.create_task(one.run())
    await until(lambda: one.connected)
    for _ in range(3):
        one.publish("x", b"old")
    await until(lambda: one.connected and library.tries == 2)
    one.publish("x", b"new")
    await until(lambda: sent)
    assert sent == [b"new"]
    await ended(task)


@pytest.mark.parametrize("place", ["subscribe", "speak"])
async def test_an_order_to_end_that_the_library_swallows_is_obeyed(
    monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    """`asyncio.wait_for` does that before Python 3.12 when the answer comes at that moment."""
    reached = asyncio.Event()

    async def swallow() -> None:
        reached.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            reached.clear()

    class Swallowing(Library):
        async def subscribe(self, filter_text: str, qos: int) -> tuple[int, ...]:
            if place == "subscribe" and filter_text == "b":
                await swallow()
            return (0,)

        async def publish(self, where: str, payload: bytes, qos: int) -> None:
            await swallow()

    one = using(monkeypatch, Swallowing())
    task = asyncio.create_task(one.run())
    if place == "speak":
        await until(lambda: one.connected)
        one.publish("x", b"")
    await until(reached.is_set)
    assert await ended(task)
    assert not reached.is_set()


async def test_a_login_that_cannot_be_read_is_said_and_read_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    failures = [PermissionError(13, "Permission denied", "b.password"), ValueError("no key")]
    seen: list[bool] = []

    def login() -> BrokerLogin:
        if failures:
            raise failures.pop(0)
        return LOGIN

    monkeypatch.setattr(session, "mqtt_client", lambda *_: Library())
    one = make(login, on_connected=seen.append)
    with structlog.testing.capture_logs() as logs:
        task = asyncio.create_task(one.run())
        await until(lambda: one.connected)
        await ended(task)
    assert [entry.get("problem", "") for entry in logs] == [
        "[Errno 13] Permission denied: 'b.password'",
        "ValueError('no key')",
        "",
    ]
    assert seen == [True, False]


async def test_one_loss_is_said_once_however_often_it_is_tried(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    library = Library("connect", aiomqtt.MqttError("Connection refused"), times=10**9)
    one = using(monkeypatch, library)
    with structlog.testing.capture_logs() as logs:
        task = asyncio.create_task(one.run())
        await until(lambda: library.tries > 20)
        assert one.problem == "Connection refused"
        await ended(task)
    assert [entry["problem"] for entry in logs] == ["Connection refused"]


async def test_a_slow_broker_loses_the_oldest_messages_and_they_are_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sent: list[bytes] = []
    gone: list[None] = []
    free = asyncio.Event()

    class Slow(Library):
        async def publish(self, where: str, payload: bytes, qos: int) -> None:
            sent.append(payload)
            await free.wait()

    monkeypatch.setattr(session, "mqtt_client", lambda *_: Slow())
    one = make(on_dropped=lambda: gone.append(None))
    one.publish("x", b"before it is connected")
    task = asyncio.create_task(one.run())
    await until(lambda: one.connected)
    one.publish("x", b"first")
    await until(lambda: sent == [b"first"])
    for number in range(10):
        one.publish("x", b"%d" % number)
    free.set()
    await until(lambda: len(sent) == 5)
    assert sent == [b"first", b"6", b"7", b"8", b"9"]
    assert one.dropped == len(gone) == 6
    await ended(task)


@pytest.mark.parametrize(
    "answer",
    [b"", b"\x00" * 50, b"\xff" * 50, b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x20\x02\x00\x05"],
    ids=["nothing", "zeroes", "ones", "http", "denied"],
)
async def test_what_is_no_broker_is_tried_again_and_again(answer: bytes) -> None:
    """The real library against whatever else may listen on that port."""
    met = 0

    async def meet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal met
        met += 1
        writer.write(answer)
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(meet, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    one = make(lambda: BrokerLogin("b", "127.0.0.1", port, "me", "the-word"))
    task = asyncio.create_task(one.run())
    await until(lambda: met >= 2)
    assert not one.connected
    assert one.problem
    assert await ended(task)
    server.close()
    await server.wait_closed()


async def test_small_messages_are_not_held_back_for_larger_ones() -> None:
    client = session.mqtt_client(LOGIN, "me", 10)
    assert (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1) in client._socket_options
    assert client._keepalive == 5
    assert client.timeout == 3.0


def test_a_password_is_in_no_text_of_a_login() -> None:
    assert "the-word" not in repr(LOGIN)


def test_tls_is_of_version_1_3_and_checks_the_broker() -> None:
    context = tls_context(None, None, None)
    assert context.minimum_version is ssl.TLSVersion.TLSv1_3
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
