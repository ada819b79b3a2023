"""The link over real brokers: several at once, one of them frozen, denied or dead."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import aiomqtt
import msgspec
import pytest

from controller.broker import Account, EmbeddedBroker, agent_account, controller_account
from controller.core.events import RenewCame, ReportCame
from controller.link import Link
from lab.base.ports import free_address
from protocol.messages import Order
from protocol.session import BrokerLogin
from tests.controller.cluster import Cluster

PASSWORD = "p4ssword-of-these-tests-only"
WAIT_S = 60.0
AGENT = "batam-1"
pytestmark = pytest.mark.broker


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(WAIT_S):
        while not condition():  # noqa: ASYNC110 - the link tells nobody when it is connected
            await asyncio.sleep(0.01)


def login(broker: EmbeddedBroker) -> BrokerLogin:
    address = f"{broker.host}:{broker.port}"
    return BrokerLogin(address, broker.host, broker.port, "controller", PASSWORD)


def client(broker: EmbeddedBroker) -> aiomqtt.Client:
    return aiomqtt.Client(broker.host, broker.port, username=AGENT, password=PASSWORD)


@contextmanager
def frozen(broker: EmbeddedBroker) -> Iterator[None]:
    assert broker.pid is not None
    os.kill(broker.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(broker.pid, signal.SIGCONT)


@pytest.fixture
async def brokers(tmp_path: Path) -> AsyncIterator[list[EmbeddedBroker]]:
    accounts = (
        controller_account("c1", "controller", PASSWORD),
        agent_account("c1", AGENT, PASSWORD),
    )
    both = [EmbeddedBroker(tmp_path / name, free_address(), accounts) for name in "ab"]
    for broker in both:
        await broker.start()
    yield both
    for broker in both:
        await broker.stop()


@pytest.fixture
def heard() -> list[ReportCame | RenewCame]:
    return []


@pytest.fixture
async def link(
    brokers: list[EmbeddedBroker], heard: list[ReportCame | RenewCame]
) -> AsyncIterator[Link]:
    one = Link(tuple(map(login, brokers)), "c1", frozenset({AGENT}), heard.append)
    task = asyncio.create_task(one.run())
    await until(lambda: all(broker.connected for broker in one.brokers))
    yield one
    task.cancel()
    await asyncio.wait([task], timeout=WAIT_S)


async def test_of_two_copies_over_two_brokers_the_first_counts(
    link: Link,
    brokers: list[EmbeddedBroker],
    heard: list[ReportCame | RenewCame],
    cluster: Cluster,
) -> None:
    report = cluster.report(AGENT, 1)
    for broker in brokers:
        async with client(broker) as agent:
            await agent.publish(f"saling/c1/{AGENT}/report", msgspec.json.encode(report))
    await until(lambda: link.counts.rejected["stale"] == 1)
    assert heard == [ReportCame(report)]


async def test_a_frozen_broker_holds_up_nobody_and_is_used_again_afterwards(
    link: Link, brokers: list[EmbeddedBroker]
) -> None:
    bad, good = brokers
    payload = b"x" * 20_000
    async with client(good) as agent:
        await agent.subscribe(f"saling/c1/{AGENT}/order")
        messages = aiter(agent.messages)
        with frozen(bad):
            for number in range(3000):
                link.publish(AGENT, Order, b"%d " % number + payload)
                if number % 50 == 0:
                    async with asyncio.timeout(WAIT_S):
                        await anext(messages)
            await until(lambda: not link.brokers[0].connected)
            assert link.brokers[1].connected
            assert link.brokers[0].problem
    await until(lambda: link.brokers[0].connected)


async def test_a_broker_that_restarts_is_used_again(
    link: Link,
    brokers: list[EmbeddedBroker],
    heard: list[ReportCame | RenewCame],
    cluster: Cluster,
) -> None:
    first = brokers[0]
    await first.stop()
    await until(lambda: not link.brokers[0].connected)
    await first.start()
    await until(lambda: link.brokers[0].connected)
    async with client(first) as agent:
        report = cluster.report(AGENT, 1)
        await agent.publish(f"saling/c1/{AGENT}/report", msgspec.json.encode(report))
        await until(lambda: len(heard) == 1)


async def test_a_broker_that_denies_reading_is_told_as_not_connected(tmp_path: Path) -> None:
    denying = Account("controller", PASSWORD, publish=("saling/#",), subscribe=())
    broker = EmbeddedBroker(tmp_path / "broker", free_address(), (denying,))
    await broker.start()
    link = Link((login(broker),), "c1", frozenset({AGENT}), lambda _event: None)
    task = asyncio.create_task(link.run())
    await until(lambda: "may not read saling/c1/+/report" in link.brokers[0].problem)
    assert not link.brokers[0].connected
    task.cancel()
    await asyncio.wait([task], timeout=WAIT_S)
    await broker.stop()


async def test_a_wrong_password_is_told_and_tried_again(brokers: list[EmbeddedBroker]) -> None:
    wrong = replace(login(brokers[0]), password="wrong")
    link = Link((wrong,), "c1", frozenset({AGENT}), lambda _event: None)
    task = asyncio.create_task(link.run())
    await until(lambda: "authorized" in link.brokers[0].problem.lower())
    assert not task.done()
    task.cancel()
    await asyncio.wait([task], timeout=WAIT_S)
