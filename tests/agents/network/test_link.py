"""The link over real brokers: what the controller said counts once, the rest is put aside."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import aiomqtt
import msgspec
import pytest

from agents.metrics import Metrics
from agents.network.link import Gate, Link
from agents.network.refusals import Refusals
from config.brokers import Broker
from controller.broker import Account, EmbeddedBroker, agent_account, controller_account
from lab.base.keys import LabKeys
from lab.base.ports import free_address
from protocol.messages import Goal, Grant, Header, Order, Report, Right
from protocol.sealing import Signer
from protocol.topics import topic

pytestmark = pytest.mark.broker
Until = Callable[[Callable[[], object], str], Awaitable[None]]
HOME, AWAY, CLUSTER = "batam-1", "ikn-1", "testing"
ORDER_TOPIC = topic(CLUSTER, HOME, Order)


class Linked:
    """The link of HOME to some brokers."""

    def __init__(self, brokers: list[EmbeddedBroker], keys: LabKeys) -> None:
        self.metrics = Metrics(HOME, "batam")
        self.heard: list[Order | Grant] = []
        party = keys.agents[HOME]
        logins = [
            Broker.model_construct(
                url=f"mqtt://{broker.host}:{broker.port}",
                username=HOME,
                password_file=party.password_file,
                ca_file=None,
                certificate=None,
                key=None,
            )
            for broker in brokers
        ]
        refusals = Refusals(self.metrics)
        key = keys.controller.public_key
        gate = Gate(CLUSTER, HOME, key, self.heard.append, refusals)
        self.link = Link(logins, CLUSTER, HOME, gate, self.metrics)
        self.task = asyncio.create_task(self.link.run())

    def rejected(self, reason: str) -> float:
        return float(self.metrics.rejected.labels(reason)._value.get())

    async def close(self) -> None:
        self.task.cancel()
        await asyncio.wait({self.task})


def sealed(keys: LabKeys, orders: Any, sequence: int, audience: str = HOME, **more: Any) -> bytes:
    signer = Signer.from_file(more.get("key", keys.controller.signing_key))
    header = Header(more.get("cluster", CLUSTER), "controller", "b", "life", sequence)
    assignment = orders.make(Goal.PRIMARY, Right.ALONE, sequence)
    return signer.seal(Order(header, audience, 1, "store", (assignment,)), audience)


@pytest.fixture
async def second(directory: Path, keys: LabKeys) -> AsyncIterator[EmbeddedBroker]:
    address = free_address()
    password = keys.controller.password_file.read_text()
    mine = keys.agents[HOME].password_file.read_text()
    accounts = [
        controller_account(CLUSTER, "controller", password),
        agent_account(CLUSTER, HOME, mine),
    ]
    made = EmbeddedBroker(directory / "second", address, accounts)
    await made.start()
    yield made
    await made.stop()


async def publish(broker: EmbeddedBroker, keys: LabKeys, *payloads: bytes, **more: Any) -> None:
    password = keys.controller.password_file.read_text()
    async with aiomqtt.Client(
        broker.host, broker.port, username="controller", password=password
    ) as client:
        for payload in payloads:
            await client.publish(ORDER_TOPIC, payload, qos=1, **more)


async def test_the_first_copy_of_an_order_counts_whatever_broker_it_came_over(
    broker: EmbeddedBroker, second: EmbeddedBroker, keys: LabKeys, orders: Any, until: Until
) -> None:
    linked = Linked([broker, second], keys)
    await until(lambda: all(link.connected for link in linked.link.links), "both connected")
    first = sealed(keys, orders, 1)
    await publish(broker, keys, first)
    await publish(second, keys, first, sealed(keys, orders, 2))
    await until(lambda: len(linked.heard) == 2, "both orders")
    await until(lambda: linked.rejected("stale") == 1, "the second copy")
    assert [order.header.sequence for order in linked.heard] == [1, 2]
    await linked.close()


async def test_what_the_controller_did_not_sign_for_this_agent_is_put_aside_and_counted(
    broker: EmbeddedBroker, keys: LabKeys, orders: Any, until: Until
) -> None:
    linked = Linked([broker], keys)
    await until(lambda: linked.link.connected, "connected")
    await publish(
        broker,
        keys,
        b"",
        b"\xff\xfe",
        b"[" * 10_000,
        sealed(keys, orders, 1, key=keys.agents[AWAY].signing_key),
        sealed(keys, orders, 2, audience=AWAY),
        sealed(keys, orders, 3, cluster="another"),
        sealed(keys, orders, 4),
    )
    await until(lambda: linked.heard, "the one that counts")
    assert [order.header.sequence for order in linked.heard] == [4]
    assert linked.rejected("malformed") == 3
    assert linked.rejected("unsigned") == 2
    assert linked.rejected("foreign") == 1
    await linked.close()


async def test_a_lost_broker_is_found_again_and_reports_go_on_over_the_other(
    broker: EmbeddedBroker, second: EmbeddedBroker, keys: LabKeys, orders: Any, until: Until
) -> None:
    linked = Linked([broker, second], keys)
    await until(lambda: all(link.connected for link in linked.link.links), "both connected")
    await second.stop()
    await until(lambda: not linked.link.links[1].connected, "the loss is noticed")
    password = keys.controller.password_file.read_text()
    report = Report(Header(CLUSTER, HOME, "b", "1-a", 1), ())
    async with aiomqtt.Client(
        broker.host, broker.port, username="controller", password=password
    ) as client:
        await client.subscribe(topic(CLUSTER, HOME, Report))
        linked.link.publish(report)
        async with asyncio.timeout(30):
            message = await anext(aiter(client.messages))
    assert msgspec.json.decode(bytes(message.payload), type=Report) == report
    await second.start()
    await until(lambda: linked.link.links[1].connected, "connected again")
    await publish(second, keys, sealed(keys, orders, 1))
    await until(lambda: linked.heard, "heard over the broker that came back")
    text = linked.metrics.text().decode()
    assert f'saling_broker_connected{{broker="127.0.0.1:{second.port}"}} 1.0' in text
    await linked.close()


async def test_a_broker_that_never_answers_disturbs_nothing_and_does_not_hold_up_the_end(
    broker: EmbeddedBroker, keys: LabKeys, orders: Any, until: Until
) -> None:
    writers: list[asyncio.StreamWriter] = []

    async def silent(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    frozen = EmbeddedBroker(Path("/nowhere"), "127.0.0.1:1", ())
    frozen.port = server.sockets[0].getsockname()[1]
    linked = Linked([frozen, broker], keys)
    await until(lambda: linked.link.connected, "the sound one is connected")
    await publish(broker, keys, sealed(keys, orders, 1))
    await until(lambda: linked.heard, "an order")
    await asyncio.wait_for(linked.close(), 30)
    server.close()
    for writer in writers:
        writer.close()
        await writer.wait_closed()


async def test_a_broker_that_denies_the_own_topics_is_said_to(
    directory: Path, keys: LabKeys, until: Until
) -> None:
    address = free_address()
    mine = keys.agents[HOME].password_file.read_text()
    made = EmbeddedBroker(directory / "deny", address, [Account(HOME, mine, (), ())])
    await made.start()
    linked = Linked([made], keys)
    link = linked.link.links[0]
    await until(lambda: "may not read" in link.problem, "the denial")
    assert not link.connected
    await linked.close()
    await made.stop()


async def test_a_slow_broker_loses_the_oldest_messages_only(
    broker: EmbeddedBroker, keys: LabKeys, until: Until
) -> None:
    linked = Linked([broker], keys)
    await until(lambda: linked.link.connected, "connected")
    link = linked.link.links[0]
    for number in range(100):
        link.publish("x", str(number).encode())
    assert [payload for _, payload in link._outgoing][-1] == b"99"
    assert len(link._outgoing) == 64
    assert linked.metrics.broker_dropped.labels(link.name)._value.get() == 36
    await linked.close()
