"""What both links need of a broker, over each real one that is found here.

The embedded nats-server and Debian's mosquitto, the controller's link at one end and an agent's
at the other.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import aiomqtt
import msgspec
import pytest

from controller.broker import Account, EmbeddedBroker
from lab.base.keys import LabKeys, make_keys
from lab.base.ports import free_address
from protocol.messages import Order, Report
from protocol.topics import topic
from tests.contracts.brokers import (
    AGENT,
    CLUSTER,
    KINDS,
    MOSQUITTO,
    WAIT_S,
    AnyBroker,
    Ends,
    MakeBroker,
    Mosquitto,
    accounts_of,
    denying,
    frozen,
    order,
    report,
    until,
)

pytestmark = pytest.mark.broker
NO_MOSQUITTO = "there is no mosquitto here: install Debian's package mosquitto"


@pytest.fixture
def keys(directory: Path) -> LabKeys:
    return make_keys(directory / "keys", [AGENT], {})


@pytest.fixture
async def start(directory: Path, keys: LabKeys) -> AsyncIterator[MakeBroker]:
    """Start one more broker of a kind."""
    made: list[AnyBroker] = []

    async def make(kind: str, accounts: Sequence[Account] | None = None) -> AnyBroker:
        if kind == "mosquitto" and MOSQUITTO is None:
            pytest.skip(NO_MOSQUITTO)
        shape = EmbeddedBroker if kind == "nats-server" else Mosquitto
        place = directory / f"broker-{len(made)}"
        made.append(shape(place, free_address(), accounts or accounts_of(keys)))
        await made[-1].start()
        return made[-1]

    yield make
    for broker in made:
        await broker.stop()


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def client_of(broker: AnyBroker, keys: LabKeys, name: str) -> aiomqtt.Client:
    party = keys.controller if name == "controller" else keys.agents[name]
    return aiomqtt.Client(
        broker.host, broker.port, username=name, password=party.password_file.read_text()
    )


async def test_both_sides_connect_and_hear_each_other(
    start: MakeBroker, kind: str, keys: LabKeys
) -> None:
    async with Ends([await start(kind)], keys) as ends:
        await ends.all_connected()
        assert ends.problems(0) == ["", ""]
        for _ in range(3):
            await ends.speak()
    assert ends.stale() == [0, 0]


@pytest.mark.parametrize("kinds", [KINDS[:1] * 2, KINDS[1:] * 2, KINDS], ids="+".join)
async def test_of_two_copies_over_two_brokers_the_first_counts(
    start: MakeBroker, kinds: Sequence[str], keys: LabKeys
) -> None:
    brokers = [await start(kind) for kind in kinds]
    async with Ends(brokers, keys) as ends:
        await ends.all_connected()
        await ends.speak()
        await until(lambda: ends.stale() == [1, 1], "the second copies")
        await ends.speak()
        await until(lambda: ends.stale() == [2, 2], "the second copies again")
        assert len(ends.events) == len(ends.orders) == 2


async def test_a_broker_that_is_stopped_and_started_twice_is_found_again_by_both_sides(
    start: MakeBroker, kind: str, keys: LabKeys
) -> None:
    broker = await start(kind)
    async with Ends([broker], keys) as ends:
        await ends.all_connected()
        for _ in range(2):
            await broker.stop()
            await until(lambda: ends.connected(0) == [False, False], "both sides see the loss")
            assert all(ends.problems(0))
            await broker.start()
            await ends.all_connected()
            await ends.speak()
        assert not any(task.done() for task in ends.tasks)


async def test_a_frozen_broker_holds_up_neither_side_and_is_used_again_afterwards(
    start: MakeBroker, kind: str, keys: LabKeys
) -> None:
    bad, good = await start(kind), await start(kind)
    async with Ends([bad, good], keys) as ends:
        await ends.all_connected()
        with frozen(bad):
            for _ in range(20):
                await ends.speak()
            await until(lambda: ends.connected(0) == [False, False], "the frozen one is given up")
            assert all(ends.problems(0))
            assert ends.connected(1) == [True, True]
            await ends.speak()
        await ends.all_connected()
        await ends.speak()


@pytest.mark.parametrize("full", [False, True], ids=["idle", "full"])
async def test_both_sides_end_when_told_to_while_their_broker_is_frozen(
    start: MakeBroker, kind: str, keys: LabKeys, full: bool
) -> None:
    broker = await start(kind)
    async with Ends([broker], keys) as ends:
        await ends.all_connected()
        with frozen(broker):
            if full:
                # More than the sockets of this machine take, so that the goodbye gets stuck.
                for _ in range(40):
                    ends.controller.publish(AGENT, Order, b"x" * 1_000_000)
                    await asyncio.sleep(0)
            await ends.close()


async def test_both_sides_end_when_told_to_while_a_frozen_broker_lets_nobody_in(
    start: MakeBroker, kind: str, keys: LabKeys
) -> None:
    broker = await start(kind)
    with frozen(broker):
        async with Ends([broker], keys) as ends:
            await until(lambda: ends.problems(0) == ["Operation timed out"] * 2, "the timeouts")


async def test_what_a_broker_kept_from_before_is_put_aside_as_stale(
    start: MakeBroker, kind: str, keys: LabKeys
) -> None:
    broker = await start(kind)
    async with Ends([broker], keys) as ends:
        await ends.all_connected()
        signer = ends.signer
    for name, kept, payload in (
        ("controller", Order, order(signer, 1)),
        (AGENT, Report, msgspec.json.encode(report(1))),
    ):
        async with client_of(broker, keys, name) as client:
            await client.publish(topic(CLUSTER, AGENT, kept), payload, qos=1, retain=True)
    async with Ends([broker], keys) as ends:
        await until(lambda: ends.stale() == [1, 1], "the retained messages")
        assert ends.events == ends.orders == []
        await ends.speak()


async def test_a_wrong_password_is_said_by_both_sides(
    start: MakeBroker, kind: str, keys: LabKeys
) -> None:
    strangers = [Account(a.username, "another-word-of-tests", (), ()) for a in accounts_of(keys)]
    async with Ends([await start(kind, strangers)], keys) as ends:
        await until(
            lambda: all("authori" in problem.lower() for problem in ends.problems(0)), "the refusal"
        )
        assert ends.connected(0) == [False, False]


async def test_a_denied_subscription_is_said_where_the_broker_tells_it(
    start: MakeBroker, keys: LabKeys
) -> None:
    """nats-server answers 0x80."""
    async with Ends([await start("nats-server", denying(keys))], keys) as ends:
        await until(
            lambda: all("may not read" in problem for problem in ends.problems(0)), "the denial"
        )
        assert ends.connected(0) == [False, False]


async def test_a_denied_subscription_shows_as_silence_where_the_broker_says_yes(
    start: MakeBroker, keys: LabKeys
) -> None:
    """mosquitto's acl_file is not asked at SUBSCRIBE, only when a message is to be delivered.

    So the SUBACK grants, both sides are connected, what they publish is taken, and nothing comes
    to them. No answer of the broker tells this from a quiet line. What can be seen: the broker
    shows as connected while the controller shows the agent as not heard, and the agent counts no
    Orders. mosquitto's log does not name the denial either: at `log_type all` a 'Received PUBLISH'
    is followed by no 'Sending PUBLISH' to the one who was denied. Only denied writing is logged.
    """
    broker = await start("mosquitto", denying(keys))
    witness = Account("witness", "witness-of-these-tests", (), ("saling/#",))
    other = await start("mosquitto", (*denying(keys), witness))
    async with Ends([broker], keys) as ends:
        await ends.all_connected()
        assert ends.problems(0) == ["", ""]
    async with (
        aiomqtt.Client(
            other.host, other.port, username=witness.username, password=witness.password
        ) as client,
        Ends([other], keys) as ends,
    ):
        await client.subscribe("saling/#")
        await ends.all_connected()
        ends.agent.publish(report(1))
        ends.controller.publish(AGENT, Order, order(ends.signer, 1))
        messages = aiter(client.messages)
        async with asyncio.timeout(WAIT_S):
            heard = {str((await anext(messages)).topic) for _ in range(2)}
        assert heard == {topic(CLUSTER, AGENT, Report), topic(CLUSTER, AGENT, Order)}
        assert ends.events == ends.orders == []
        assert ends.connected(0) == [True, True]


@pytest.mark.skipif(MOSQUITTO is None, reason=NO_MOSQUITTO)
# The client library leaves the socket of a refused handshake to the garbage collector.
@pytest.mark.filterwarnings("ignore:unclosed <ssl.SSLSocket:ResourceWarning")
async def test_tls_lets_in_who_shows_a_certificate_and_refuses_a_strange_broker(
    directory: Path, keys: LabKeys
) -> None:
    """Both ways checked; the embedded broker has no TLS."""
    settings = [
        f"cafile {keys.authority}",
        f"certfile {keys.controller.certificate}",
        f"keyfile {keys.controller.certificate_key}",
        "require_certificate true",
        "tls_version tlsv1.3",
    ]
    broker = Mosquitto(directory / "tls", free_address(), accounts_of(keys), settings)
    await broker.start()
    strange = make_keys(directory / "strange", [AGENT], {})
    async with Ends([broker], keys, "mqtts") as ends, Ends([broker], strange, "mqtts") as others:
        await ends.all_connected()
        await ends.speak()
        await until(
            lambda: all("certificate" in problem for problem in others.problems(0)), "the refusal"
        )
        assert others.connected(0) == [False, False]
    await broker.stop()
    gc.collect()
