"""The embedded broker, over real processes."""

from __future__ import annotations

import asyncio
import json
import os
import select
import signal
import socket
import stat
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import aiomqtt
import pytest

from controller.broker import (
    MAX_PAYLOAD_BYTES,
    Account,
    BrokerError,
    EmbeddedBroker,
    agent_account,
    controller_account,
    subjects,
)
from lab.base.ports import free_address

PASSWORD = "p4ssword-of-these-tests-only"
WAIT_S = 20.0
ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.broker
ACCOUNTS = (
    controller_account("c1", "controller", PASSWORD),
    agent_account("c1", "batam-1", PASSWORD),
    agent_account("c1", "ikn-1", PASSWORD),
    Account("nobody", PASSWORD, publish=(), subscribe=()),
)


def client(broker: EmbeddedBroker, username: str, **more: object) -> aiomqtt.Client:
    settings: dict[str, object] = {"username": username, "password": PASSWORD, "timeout": WAIT_S}
    return aiomqtt.Client(broker.host, broker.port, **{**settings, **more})  # type: ignore[arg-type]


async def next_payload(reader: aiomqtt.Client) -> tuple[str, bytes]:
    async with asyncio.timeout(WAIT_S):
        message = await anext(aiter(reader.messages))
    return str(message.topic), bytes(message.payload)


async def may_subscribe(who: aiomqtt.Client, topic: str) -> bool:
    codes = await who.subscribe(topic, qos=0)
    return not any(code.is_failure for code in codes)  # type: ignore[union-attr]


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[EmbeddedBroker]:
    one = EmbeddedBroker(tmp_path / "broker", free_address(), ACCOUNTS)
    await one.start()
    yield one
    await one.stop()


@pytest.mark.parametrize(
    ("username", "topic", "allowed"),
    [
        ("controller", "saling/c1/+/report", True),
        ("controller", "saling/c1/+/renew", True),
        ("controller", "saling/c1/#", True),
        ("controller", "saling/c2/+/report", False),
        ("controller", "#", False),
        ("batam-1", "saling/c1/batam-1/order", True),
        ("batam-1", "saling/c1/batam-1/grant", True),
        ("batam-1", "saling/c1/batam-1/report", False),
        ("batam-1", "saling/c1/ikn-1/order", False),
        ("batam-1", "saling/c1/ikn-1/grant", False),
        ("batam-1", "saling/c1/+/order", False),
        ("batam-1", "saling/c1/#", False),
        ("batam-1", "#", False),
        ("batam-1", "$MQTT/#", False),
        ("batam-1", "$SYS/#", False),
        ("nobody", "saling/c1/batam-1/order", False),
        ("nobody", "#", False),
    ],
)
async def test_a_subscription_is_granted_only_for_what_the_account_names(
    broker: EmbeddedBroker, username: str, topic: str, allowed: bool
) -> None:
    async with client(broker, username) as who:
        assert await may_subscribe(who, topic) is allowed


@pytest.mark.parametrize("qos", [0, 1])
async def test_only_messages_on_allowed_topics_arrive(broker: EmbeddedBroker, qos: int) -> None:
    """After each sender's denied messages comes an allowed one; nothing may arrive before it."""
    sent = {
        "batam-1": ["batam-1/order", "batam-1/grant", "ikn-1/report", "ikn-1/renew", "ikn-1/order"],
        "ikn-1": ["batam-1/report", "batam-1/renew", "x/y"],
    }
    async with client(broker, "controller") as reader:
        assert await may_subscribe(reader, "saling/c1/#")
        for username, denied in sent.items():
            async with client(broker, username) as sender:
                for topic in denied:
                    await sender.publish(f"saling/c1/{topic}", b"denied", qos=qos)
                for last in ("report", "renew"):
                    own = f"saling/c1/{username}/{last}"
                    await sender.publish(own, b"allowed", qos=qos)
                    assert await next_payload(reader) == (own, b"allowed")


async def test_orders_reach_their_agent_and_no_account_without_topics_may_speak(
    broker: EmbeddedBroker,
) -> None:
    topic = "saling/c1/ikn-1/order"
    async with client(broker, "ikn-1") as agent, client(broker, "nobody") as nobody:
        assert await may_subscribe(agent, topic)
        await nobody.publish(topic, b"forged", qos=1)
        async with client(broker, "controller") as controller:
            await controller.publish(topic, b"order")
        assert await next_payload(agent) == (topic, b"order")


async def test_a_will_on_a_topic_of_somebody_else_is_dropped(broker: EmbeddedBroker) -> None:
    def text(value: str) -> bytes:
        return len(value).to_bytes(2, "big") + value.encode()

    def connect_with_will(topic: str) -> bytes:
        # Protocol level 4; user name, password, will at QoS 0, clean session; keep-alive 60 s.
        head = text("MQTT") + bytes((4, 0b11000110, 0, 60))
        body = head + b"".join(map(text, ("c", topic, "will", "batam-1", PASSWORD)))
        return bytes((0x10, len(body))) + body

    async def vanish(topic: str) -> None:
        reader, writer = await asyncio.open_connection(broker.host, broker.port)
        writer.write(connect_with_will(topic))
        assert await asyncio.wait_for(reader.readexactly(4), WAIT_S) == b"\x20\x02\x00\x00"
        writer.transport.abort()

    async with client(broker, "controller") as reader:
        assert await may_subscribe(reader, "saling/c1/#")
        await vanish("saling/c1/ikn-1/report")
        await vanish("saling/c1/batam-1/report")
        assert await next_payload(reader) == ("saling/c1/batam-1/report", b"will")


async def test_a_wrong_password_is_refused(broker: EmbeddedBroker) -> None:
    with pytest.raises(aiomqtt.MqttError):
        async with client(broker, "batam-1", password="wrong-wrong-wrong-wrong"):
            pass


async def test_the_password_stands_in_a_private_file_alone(broker: EmbeddedBroker) -> None:
    config = broker.directory / "nats-server.conf"
    assert stat.S_IMODE(config.stat().st_mode) == 0o600
    assert stat.S_IMODE(broker.directory.stat().st_mode) == 0o700
    assert broker.pid is not None
    assert PASSWORD.encode() not in Path(f"/proc/{broker.pid}/cmdline").read_bytes()
    assert PASSWORD not in repr(broker.accounts)
    logs = [p for p in broker.directory.rglob("*") if p.is_file() and p != config]
    assert broker.log_path in logs
    assert not [p for p in logs if PASSWORD.encode() in p.read_bytes()]


async def test_garbage_on_the_port_hurts_nobody_else(broker: EmbeddedBroker) -> None:
    topic = "saling/c1/ikn-1/order"
    async with client(broker, "ikn-1") as agent, client(broker, "controller") as controller:
        assert await may_subscribe(agent, topic)
        for garbage in (b"\x00" * 9, os.urandom(5000), b"GET / HTTP/1.1\r\n\r\n", b"\x10\xff\xff"):
            _, writer = await asyncio.open_connection(broker.host, broker.port)
            writer.write(garbage)
            writer.close()
        await controller.publish(topic, b"still here")
        assert await next_payload(agent) == (topic, b"still here")
    assert not broker.died.is_set()


async def test_a_message_above_the_bound_is_not_carried(broker: EmbeddedBroker) -> None:
    topic = "saling/c1/ikn-1/order"
    async with client(broker, "ikn-1") as agent:
        assert await may_subscribe(agent, topic)
        try:
            async with client(broker, "controller") as controller:
                await controller.publish(topic, b"x" * (MAX_PAYLOAD_BYTES + 1), qos=1, timeout=1)
        except aiomqtt.MqttError:
            pass
        async with client(broker, "controller") as controller:
            await controller.publish(topic, b"y" * (MAX_PAYLOAD_BYTES // 2))
        assert (await next_payload(agent))[1][:1] == b"y"


async def test_a_round_trip_takes_few_milliseconds(broker: EmbeddedBroker) -> None:
    topic = "saling/c1/ikn-1/order"
    spans_ms = []
    async with client(broker, "ikn-1") as agent, client(broker, "controller") as controller:
        assert await may_subscribe(agent, topic)
        for _ in range(100):
            began = time.monotonic()
            await controller.publish(topic, b"x")
            await next_payload(agent)
            spans_ms.append((time.monotonic() - began) * 1000)
    assert sorted(spans_ms)[50] < 100, spans_ms


async def test_it_starts_again_in_the_same_directory(broker: EmbeddedBroker) -> None:
    await broker.stop()
    assert broker.pid is None
    assert not broker.died.is_set()
    await broker.start()
    async with client(broker, "ikn-1") as agent:
        assert await may_subscribe(agent, "saling/c1/ikn-1/order")


async def test_its_death_is_told_and_a_new_start_mends_it(broker: EmbeddedBroker) -> None:
    assert broker.pid is not None
    os.kill(broker.pid, signal.SIGKILL)
    await asyncio.wait_for(broker.died.wait(), WAIT_S)
    assert broker.pid is None
    await broker.stop()
    await broker.start()
    assert broker.pid is not None
    assert not broker.died.is_set()


async def test_it_does_not_outlive_its_parent(tmp_path: Path) -> None:
    address = free_address()
    script = (
        "import asyncio, pathlib, sys\n"
        "from controller.broker import EmbeddedBroker\n"
        "async def main():\n"
        f"    broker = EmbeddedBroker(pathlib.Path({str(tmp_path / 'b')!r}), {address!r}, ())\n"
        "    await broker.start()\n"
        "    print(broker.pid, flush=True)\n"
        "    await asyncio.sleep(600)\n"
        "asyncio.run(main())\n"
    )
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, stdout=asyncio.subprocess.PIPE, cwd=ROOT
    )
    assert parent.stdout is not None
    pid = int(await asyncio.wait_for(parent.stdout.readline(), WAIT_S))
    assert b"nats-server" in Path(f"/proc/{pid}/cmdline").read_bytes()
    handle = os.pidfd_open(pid)
    parent.kill()
    await parent.wait()
    ended, _, _ = await asyncio.to_thread(select.select, [handle], [], [], WAIT_S)
    os.close(handle)
    assert ended


async def test_a_taken_port_is_named_with_its_mend(tmp_path: Path) -> None:
    with socket.socket() as stranger:
        stranger.bind(("127.0.0.1", 0))
        stranger.listen()
        address = f"127.0.0.1:{stranger.getsockname()[1]}"
        with pytest.raises(BrokerError, match=rf"cannot listen on {address}.*choose another"):
            await EmbeddedBroker(tmp_path, address, ()).start()


async def test_a_server_that_ends_at_once_is_told_with_its_last_words(tmp_path: Path) -> None:
    (tmp_path / "jetstream").write_text("a file where the store should stand")
    broker = EmbeddedBroker(tmp_path, free_address(), ())
    with pytest.raises(BrokerError, match=r"ended with .*before it opened"):
        await broker.start()
    assert broker.pid is None


@pytest.mark.parametrize("address", ["", "127.0.0.1", "127.0.0.1:", ":1883", "h:0", "h:70000"])
def test_an_address_that_is_none_is_refused(tmp_path: Path, address: str) -> None:
    with pytest.raises(BrokerError, match="is not host:port"):
        EmbeddedBroker(tmp_path, address, ())


@pytest.mark.parametrize("topic", ["", "a b", "a.b", "a//b", "#", "a/#/b", "a/b+", "a/*", "a/>"])
def test_a_topic_that_nats_would_read_otherwise_is_refused(topic: str) -> None:
    with pytest.raises(BrokerError, match="rename it"):
        subjects(topic)


def test_wildcards_become_those_of_nats() -> None:
    assert subjects("saling/c1/+/report") == ("saling.c1.*.report",)
    assert subjects("saling/c1/#") == ("saling.c1.>", "saling.c1")


@pytest.mark.parametrize(
    "account",
    [
        Account("a b", PASSWORD, (), ()),
        Account("a", "short", (), ()),
        Account("a", 'x"' * 9, (), ()),
    ],
)
async def test_an_account_that_cannot_be_written_safely_is_refused(
    tmp_path: Path, account: Account
) -> None:
    with pytest.raises(BrokerError, match="account") as told:
        await EmbeddedBroker(tmp_path, free_address(), (account,)).start()
    assert account.password not in str(told.value)


async def test_the_configuration_sets_no_bound_on_consumers(broker: EmbeddedBroker) -> None:
    written = json.loads((broker.directory / "nats-server.conf").read_text())
    assert written["jetstream"]["limits"] == {"default_max_consumers": -1}
    assert written["server_name"] == "saling"


async def test_a_new_account_may_connect_while_those_that_are_connected_notice_nothing(
    broker: EmbeddedBroker,
) -> None:
    pid = broker.pid
    topic = "saling/c1/batam-1/order"
    async with client(broker, "batam-1") as agent:
        assert await may_subscribe(agent, topic)
        broker.declare((*ACCOUNTS, agent_account("c1", "new-1", PASSWORD)))
        async with asyncio.timeout(WAIT_S):
            while True:
                try:
                    async with client(broker, "new-1") as new:
                        assert await may_subscribe(new, "saling/c1/new-1/order")
                    break
                except aiomqtt.MqttError:
                    await asyncio.sleep(0.05)
        async with client(broker, "controller") as speaker:
            await speaker.publish(topic, b"still here", qos=1)
        assert await next_payload(agent) == (topic, b"still here")
    assert broker.pid == pid


async def test_an_account_that_is_declared_no_more_is_let_in_no_more(
    broker: EmbeddedBroker,
) -> None:
    broker.declare(ACCOUNTS[:2])
    async with asyncio.timeout(WAIT_S):
        while True:
            try:
                async with client(broker, "ikn-1"):
                    await asyncio.sleep(0.05)
            except aiomqtt.MqttError:
                return
