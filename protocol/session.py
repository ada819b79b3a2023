"""A session with one MQTT broker, the same for the controller and for agents.

It connects, subscribes, hears, speaks from a bounded queue, and connects again within a second
or so of a loss, with jitter. Nothing that a broker or the client library does ends it: only
being cancelled does. Everything goes with QoS 0; what is lost, the next message mends.

Who has several brokers runs one session for each. No session waits for another, and `publish`
waits for nobody.
"""

from __future__ import annotations

import asyncio
import random
import socket
import ssl
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiomqtt
import structlog

KEEPALIVE_S = 5
TIMEOUT_S = 3.0
"""For an answer to a connect or subscribe, and for a message to leave this machine."""
GOODBYE_S = 0.5
RETRY_LEAST_S = 0.1
RETRY_MOST_S = 0.8
ASK_AGAIN_S = 0.1
DENIED = 0x80
"""From this code on, a SUBACK says no."""

log = structlog.get_logger("link")

Take = Callable[[str, bytes, bool], None]
"""Topic, payload, and whether it is a retained one: the broker's memory, of any age."""


@dataclass(frozen=True)
class BrokerLogin:
    """Where a broker is and how to prove to it who we are."""

    name: str
    """host:port."""
    host: str
    """Without brackets."""
    port: int
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: ssl.SSLContext | None = None


class Denied(Exception):
    """The broker does not let this account read what it must."""


class BrokerSession:
    """One broker. `login` is called before each attempt to connect, and may raise.

    At most `incoming_at_most` messages wait to be taken, then the newest are lost; at most
    `outgoing_at_most` wait to be sent, then the oldest are, counted in `dropped`.
    `on_connected` hears of each change, `on_dropped` of each message that was given up.
    """

    def __init__(
        self,
        name: str,
        identifier: str,
        login: Callable[[], BrokerLogin],
        filters: Sequence[str],
        take: Take,
        *,
        incoming_at_most: int,
        outgoing_at_most: int,
        on_connected: Callable[[bool], None] | None = None,
        on_dropped: Callable[[], None] | None = None,
    ) -> None:
        self.name = name
        self.connected = False
        """Whether it hears and is heard."""
        self.problem = "not connected yet"
        """Why it is not connected; empty while it is."""
        self.dropped = 0
        self._identifier = identifier
        self._login = login
        self._filters = tuple(filters)
        self._take = take
        self._incoming_at_most = incoming_at_most
        self._outgoing_at_most = outgoing_at_most
        self._on_connected = on_connected
        self._on_dropped = on_dropped
        self._outgoing: deque[tuple[str, bytes]] = deque()
        self._filled = asyncio.Event()
        self._said = ""

    def publish(self, where: str, payload: bytes) -> None:
        """Send when connected; the oldest makes room when the broker is slow. Never waits."""
        if not self.connected:
            return
        if len(self._outgoing) >= self._outgoing_at_most:
            self._outgoing.popleft()
            self.dropped += 1
            if self._on_dropped is not None:
                self._on_dropped()
        self._outgoing.append((where, payload))
        self._filled.set()

    async def run(self) -> None:
        """Stay connected, until cancelled."""
        try:
            while True:
                await self._try_once()
                _end_if_told()
                await asyncio.sleep(random.uniform(RETRY_LEAST_S, RETRY_MOST_S))
        finally:
            self._down("ended")

    async def _try_once(self) -> None:
        """One session, to its loss. Whatever went wrong in it is this broker's trouble alone."""
        try:
            await self._session()
        except asyncio.CancelledError:
            _end_if_told()
            # The client library cancelled something of its own.
            self._lost("the connection was given up")
        except Exception as error:  # noqa: BLE001 - no broker may end its owner
            self._lost(_text(error))

    async def _session(self) -> None:
        client = mqtt_client(self._login(), self._identifier, self._incoming_at_most)
        async with client:
            try:
                for filter_text in self._filters:
                    await subscribe(client, filter_text)
                _end_if_told()
                self._won()
                await _until_one_ends(self._speak(client), self._hear(client))
            except Exception as error:
                # Said before the goodbye, which a frozen broker draws out.
                self._lost(_text(error))
                raise
            finally:
                client.timeout = GOODBYE_S

    async def _hear(self, client: aiomqtt.Client) -> None:
        async for message in client.messages:
            self._take(str(message.topic), message.payload, bool(message.retain))

    async def _speak(self, client: aiomqtt.Client) -> None:
        while True:
            while self._outgoing:
                where, payload = self._outgoing.popleft()
                await client.publish(where, payload, qos=0)
            self._filled.clear()
            await self._filled.wait()

    def _won(self) -> None:
        self.connected = True
        self.problem = self._said = ""
        if self._on_connected is not None:
            self._on_connected(True)
        log.info("connected to the broker", broker=self.name)

    def _lost(self, problem: str) -> None:
        self._down(problem)
        if problem != self._said:
            self._said = problem
            log.warning("no connection to the broker", broker=self.name, problem=problem)

    def _down(self, problem: str) -> None:
        was_connected, self.connected = self.connected, False
        self.problem = problem
        # What waits would be old when the broker is back.
        self._outgoing.clear()
        if was_connected and self._on_connected is not None:
            self._on_connected(False)


def mqtt_client(login: BrokerLogin, identifier: str, incoming_at_most: int) -> aiomqtt.Client:
    """A client for one session, not connected yet."""
    return aiomqtt.Client(
        login.host,
        login.port,
        username=login.username,
        password=login.password,
        identifier=identifier,
        clean_session=True,
        keepalive=KEEPALIVE_S,
        timeout=TIMEOUT_S,
        max_queued_incoming_messages=incoming_at_most,
        tls_context=login.tls,
        socket_options=[(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)],
    )


async def subscribe(client: aiomqtt.Client, filter_text: str) -> None:
    """Raises Denied, aiomqtt.MqttError. Some brokers say yes and then deliver nothing."""
    codes = await client.subscribe(filter_text, qos=0)
    if any((code if isinstance(code, int) else code.value) >= DENIED for code in codes):
        raise Denied(f"may not read {filter_text}: give this account that right at the broker")


def tls_context(ca_file: Path | None, certificate: Path | None, key: Path | None) -> ssl.SSLContext:
    """TLS 1.3 with the broker's certificate checked. Raises OSError, ValueError, ssl.SSLError."""
    context = ssl.create_default_context(cafile=ca_file)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    if certificate is not None:
        context.load_cert_chain(certificate, key)
    return context


async def _until_one_ends(*coroutines: Coroutine[Any, Any, None]) -> None:
    """Run them until one ends or fails, then end the others.

    Not a TaskGroup: before Python 3.13 one whose child fails while it waits leaves its own task
    marked as being cancelled, and the reconnecting would take that for the order to end.
    """
    tasks = [asyncio.create_task(coroutine) for coroutine in coroutines]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        await _end_all(tasks)
    for task in done:
        task.result()


async def _end_all(tasks: Sequence[asyncio.Task[None]]) -> None:
    """Cancel until all have ended: before Python 3.12 `wait_for` can swallow a cancellation."""
    while late := [task for task in tasks if not task.done()]:
        for task in late:
            task.cancel()
        await asyncio.wait(late, timeout=ASK_AGAIN_S)
    await asyncio.gather(*tasks, return_exceptions=True)


def _end_if_told() -> None:
    """Raises CancelledError when this task is being cancelled.

    The library can hide that: a goodbye that fails replaces the cancellation by its own error,
    and `wait_for` can swallow it.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


def _text(error: Exception) -> str:
    known = isinstance(error, aiomqtt.MqttError | OSError | Denied)
    return str(error) if known and str(error) else repr(error)
