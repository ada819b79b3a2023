"""Partners over real TLS: who may ask, what is put aside, what load balancers hear."""

from __future__ import annotations

import asyncio
import contextlib
import io
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest

from agents.core.actions import AnswerAsk
from agents.core.events import AskCame
from agents.core.model import Durable, Lease, Permit, Replica
from agents.core.observation import Observation
from agents.core.step import begin
from agents.metrics import Metrics
from agents.network.desk import Desk
from agents.network.log_server import LogServer
from agents.network.peer_client import PeerClient, client_context
from agents.network.peers import Board, PeerServer, server_context
from agents.network.refusals import Refusals
from agents.network.voice import Voice
from config.agent import Tls
from lab.base.keys import LabKeys, make_keys
from protocol.intake import MAX_BYTES
from protocol.messages import (
    Ask,
    Goal,
    Grant,
    Granted,
    Header,
    Mode,
    Partner,
    Renew,
    Right,
    Role,
)
from protocol.sealing import Sealed, Signer

Until = Callable[[Callable[[], object], str], Awaitable[None]]
HOME, AWAY = "batam-1", "ikn-1"
ASK = Ask("paspor", "paspor-2026", 1, 1, "1-a.1", True, 99)
NOW_MS = 10_000


def tls_of(keys: LabKeys, agent: str) -> Tls:
    party = keys.agents[agent]
    return Tls.model_construct(
        certificate=party.certificate, key=party.certificate_key, authority=keys.authority
    )


def voice_of(keys: LabKeys, agent: str, cluster: str = "testing") -> Voice:
    signer = Signer.from_file(keys.agents[agent].signing_key)
    return Voice(cluster, agent, f"1-{agent}", "boot", signer)


class Grantor:
    """The server of AWAY, with rules that grant everything at once."""

    def __init__(self, keys: LabKeys) -> None:
        self.metrics = Metrics(AWAY, "ikn")
        self.replicas: dict[str, Replica] = {}
        self.asked: list[AskCame] = []
        self.answers = True
        self.desk = Desk(self.put)
        board = Board(self.replicas.get, ("paspor", "visa"))
        self.server = PeerServer(
            voice_of(keys, AWAY),
            self.desk,
            board,
            Refusals(self.metrics),
            self.metrics,
            LogServer({}, self.replicas.get),
            lambda: NOW_MS,
        )
        self.context = server_context(tls_of(keys, AWAY))
        self.ready = asyncio.Event()

    def put(self, service: str, event: AskCame) -> bool:
        if service != "paspor":
            return False
        self.asked.append(event)
        if self.answers:
            ask = event.ask
            granted = Granted("paspor", ask.service_uid, 1, 1, ask.nonce, 1, 6000)
            asyncio.get_running_loop().call_soon(
                self.desk.answer, AnswerAsk(event.question, granted)
            )
        return True

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.server.port}"

    def rejected(self, reason: str) -> float:
        return float(self.metrics.rejected.labels(reason)._value.get())


@pytest.fixture
async def grantor(keys: LabKeys) -> AsyncIterator[Grantor]:
    made = Grantor(keys)
    task = asyncio.create_task(made.server.run("127.0.0.1:0", made.context, made.ready))
    await asyncio.wait_for(made.ready.wait(), 30)
    yield made
    task.cancel()
    await asyncio.wait({task})


async def post(
    grantor: Grantor, body: bytes, context: ssl.SSLContext, path: str = "/saling/v1/renew"
) -> tuple[int, bytes]:
    connector = aiohttp.TCPConnector(ssl=context)
    url, data = grantor.url + path, io.BytesIO(body)
    async with aiohttp.ClientSession(connector=connector) as session:
        answer = await session.post(url, data=data, server_hostname=AWAY)
        return answer.status, await answer.read()


def renewal(sender: str = HOME, sequence: int = 1, cluster: str = "testing") -> bytes:
    return msgspec.json.encode(Renew(Header(cluster, sender, "b", "1-a", sequence), (ASK,)))


async def test_a_partner_is_answered_with_a_grant_signed_for_it_alone(
    grantor: Grantor, keys: LabKeys
) -> None:
    status, raw = await post(grantor, renewal(), client_context(tls_of(keys, HOME)))
    assert status == 200
    sealed = msgspec.json.decode(raw, type=Sealed)
    assert sealed.audience == HOME
    grant = msgspec.json.decode(sealed.body, type=Grant)
    assert grant.grants[0].nonce == ASK.nonce
    assert grantor.asked[0].agent == HOME


async def test_an_impostor_with_another_certificate_is_refused_and_counted(
    grantor: Grantor, keys: LabKeys
) -> None:
    status, _ = await post(grantor, renewal(HOME), client_context(tls_of(keys, AWAY)))
    assert status == 403
    assert grantor.rejected("impostor") == 1
    assert not grantor.asked


async def test_nobody_renews_without_a_certificate(grantor: Grantor, keys: LabKeys) -> None:
    plain = ssl.create_default_context(cafile=keys.authority)
    status, _ = await post(grantor, renewal(), plain)
    assert status == 403
    assert grantor.rejected("unsigned") == 1
    assert not grantor.asked


async def test_a_certificate_of_another_authority_is_refused(
    grantor: Grantor, keys: LabKeys, directory: Path
) -> None:
    foreign = make_keys(directory / "foreign", (HOME,), {})
    context = client_context(tls_of(foreign, HOME))
    context.load_verify_locations(keys.authority)
    with pytest.raises((aiohttp.ClientError, OSError)):
        await post(grantor, renewal(), context)
    assert not grantor.asked


async def test_an_older_tls_is_refused(grantor: Grantor, keys: LabKeys) -> None:
    context = client_context(tls_of(keys, HOME))
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises((aiohttp.ClientError, OSError)):
        await post(grantor, renewal(), context)


@pytest.mark.parametrize(
    ("body", "reason", "status"),
    [
        (b"", "malformed", 400),
        (b"\xff\xfe garbage", "malformed", 400),
        (b"[" * 10_000, "malformed", 400),
        (b'{"type":"renew","type":"renew"}', "malformed", 400),
        (renewal(cluster="another"), "foreign", 400),
        (b" " * (MAX_BYTES + 1), "too_large", 413),
        (b" " * (5 * MAX_BYTES), "too_large", 413),
    ],
    ids=["empty", "not utf-8", "deep", "doubled key", "other cluster", "too large", "5 MiB"],
)
async def test_garbage_is_refused_and_counted_by_its_reason(
    grantor: Grantor, keys: LabKeys, body: bytes, reason: str, status: int
) -> None:
    answered, _ = await post(grantor, body, client_context(tls_of(keys, HOME)))
    assert answered == status
    assert grantor.rejected(reason) == 1
    assert not grantor.asked


async def test_a_replayed_renewal_is_stale(grantor: Grantor, keys: LabKeys) -> None:
    context = client_context(tls_of(keys, HOME))
    assert (await post(grantor, renewal(sequence=5), context))[0] == 200
    assert (await post(grantor, renewal(sequence=5), context))[0] == 400
    assert len(grantor.asked) == 1


async def test_rules_that_do_not_answer_cost_the_partner_no_hang(
    grantor: Grantor, keys: LabKeys
) -> None:
    grantor.answers = False
    status, _ = await post(grantor, renewal(), client_context(tls_of(keys, HOME)))
    assert status == 503


class Holder:
    """The client of HOME."""

    def __init__(self, keys: LabKeys, group: asyncio.TaskGroup, reached: str) -> None:
        self.metrics = Metrics(HOME, "batam")
        self.heard: list[tuple[str, Grant]] = []
        self.client = PeerClient(
            voice_of(keys, HOME),
            client_context(tls_of(keys, HOME)),
            lambda _: reached,
            lambda name, grant: self.heard.append((name, grant)),
            Refusals(self.metrics),
            self.metrics,
            group,
        )

    def outcomes(self, outcome: str) -> float:
        return float(self.metrics.renewals.labels("paspor", AWAY, outcome)._value.get())


def partner(keys: LabKeys, signed_by: str = AWAY) -> Partner:
    return Partner(AWAY, "ikn.example:8701", "ikn.example:5432", keys.agents[signed_by].public_key)


async def test_what_is_asked_in_one_moment_goes_in_one_request_over_the_reach_mapping(
    grantor: Grantor, keys: LabKeys, until: Until
) -> None:
    async with asyncio.TaskGroup() as group:
        holder = Holder(keys, group, f"127.0.0.1:{grantor.server.port}")
        other = msgspec.structs.replace(ASK, service="visa", nonce="1-a.2")
        holder.client.ask(ASK, partner(keys), 5000)
        holder.client.ask(other, partner(keys), 5000)
        await until(lambda: holder.heard, "a grant")
        await holder.client.close()
    [(name, grant)] = holder.heard
    assert name == AWAY
    assert [(g.service, bool(g.ttl_ms)) for g in grant.grants] == [
        ("paspor", True),
        ("visa", False),
    ]


async def test_a_grant_signed_by_another_key_is_put_aside(
    grantor: Grantor, keys: LabKeys, until: Until
) -> None:
    async with asyncio.TaskGroup() as group:
        holder = Holder(keys, group, f"127.0.0.1:{grantor.server.port}")
        holder.client.ask(ASK, partner(keys, signed_by=HOME), 5000)
        await until(lambda: holder.outcomes("put_aside"), "put aside")
        await holder.client.close()
    assert not holder.heard
    assert holder.metrics.rejected.labels("unsigned")._value.get() == 1


async def test_a_partner_with_another_name_in_its_certificate_hears_nothing(
    grantor: Grantor, keys: LabKeys, until: Until
) -> None:
    stranger = msgspec.structs.replace(partner(keys), agent="sorong-1")
    async with asyncio.TaskGroup() as group:
        holder = Holder(keys, group, f"127.0.0.1:{grantor.server.port}")
        holder.client.ask(ASK, stranger, 5000)
        failed = holder.metrics.renewals.labels("paspor", "sorong-1", "failed")
        await until(failed._value.get, "a failure")
        await holder.client.close()
    assert not grantor.asked


async def test_a_hung_partner_piles_nothing_up_and_the_newest_question_wins(
    keys: LabKeys, until: Until
) -> None:
    connections = ended = 0

    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections, ended
        connections += 1
        with contextlib.suppress(OSError):
            await reader.read()
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
        ended += 1

    server = await asyncio.start_server(hang, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with asyncio.TaskGroup() as group:
        holder = Holder(keys, group, f"127.0.0.1:{port}")
        for number in range(50):
            question = msgspec.structs.replace(ASK, nonce=f"1-a.{number}")
            holder.client.ask(question, partner(keys), 1000)
            await asyncio.sleep(0.004)
        line = holder.client._lines[AWAY]
        assert line._flights == 2
        assert [q.ask.nonce for q in line._waiting.values()] == ["1-a.49"]
        assert connections <= 2
        await until(lambda: holder.outcomes("timeout") >= 3, "all were given up")
        await holder.client.close()
    # What is still open when the loop ends would fail a later test, whenever it is collected.
    await until(lambda: ended == connections, "every connection is closed")
    server.close()
    await server.wait_closed()


# What load balancers hear.


def replica(orders: Any, role: Role, **more: Any) -> Replica:
    order = orders.make(Goal.PRIMARY, Right.LEASED, 4, epoch=3)
    made = begin(HOME, "paspor", "paspor-2026", "1-a", Durable(order, Mode.LEASED), 0)
    fields = {
        "fresh": True,
        "guard_known": True,
        "permit": Permit.LEASED,
        "leases": (Lease(AWAY, NOW_MS + 1000),),
        "observation": Observation(role=role, position_bytes=500, replayed_bytes=400),
        **more,
    }
    return msgspec.structs.replace(made, **fields)


async def get(grantor: Grantor, path: str) -> tuple[int, Any]:
    insecure = ssl.create_default_context()
    insecure.check_hostname = False
    insecure.verify_mode = ssl.CERT_NONE
    connector = aiohttp.TCPConnector(ssl=insecure)
    async with aiohttp.ClientSession(connector=connector) as session:
        answer = await session.get(grantor.url + path)
        text = await answer.text()
        is_json = answer.content_type == "application/json"
        return answer.status, msgspec.json.decode(text) if is_json else text


async def test_primary_is_200_while_it_may_write_and_503_from_the_start_of_a_fence(
    grantor: Grantor, orders: Any
) -> None:
    grantor.replicas["paspor"] = replica(orders, Role.PRIMARY)
    status, said = await get(grantor, "/primary?service=paspor")
    assert status == 200
    assert (said["role"], said["epoch"], said["revision"]) == ("primary", 3, 4)
    assert (await get(grantor, "/services/paspor/primary"))[0] == 200
    # The lease still lasts, but what is left of it belongs to the fence.
    fencing = replica(orders, Role.PRIMARY, leases=(Lease(AWAY, NOW_MS + 300),))
    grantor.replicas["paspor"] = fencing
    assert (await get(grantor, "/primary?service=paspor"))[0] == 503
    grantor.replicas["paspor"] = replica(orders, Role.STANDBY)
    assert (await get(grantor, "/primary?service=paspor"))[0] == 503


async def test_replica_is_200_while_it_streams_within_the_lag(
    grantor: Grantor, orders: Any
) -> None:
    seen = Observation(role=Role.STANDBY, streaming=True, position_bytes=500, replayed_bytes=400)
    grantor.replicas["paspor"] = replica(orders, Role.STANDBY, observation=seen)
    assert (await get(grantor, "/services/paspor/replica"))[0] == 200
    assert (await get(grantor, "/services/paspor/replica?lag=100"))[0] == 200
    assert (await get(grantor, "/services/paspor/replica?lag=99"))[0] == 503
    assert (await get(grantor, "/services/paspor/replica?lag=-1"))[0] == 400
    assert (await get(grantor, "/primary?service=paspor"))[0] == 503
    grantor.replicas["paspor"] = replica(orders, Role.STANDBY)
    assert (await get(grantor, "/replica?service=paspor"))[0] == 503


async def test_a_service_must_be_named_and_known(grantor: Grantor, orders: Any) -> None:
    grantor.replicas["paspor"] = replica(orders, Role.PRIMARY)
    assert (await get(grantor, "/primary"))[0] == 400
    assert (await get(grantor, "/primary?service=none"))[0] == 404
    assert (await get(grantor, "/services/..%2f..%2fetc/primary"))[0] == 404
    status, said = await get(grantor, "/health")
    assert status == 200
    assert said["services"][0]["service"] == "paspor"


async def test_metrics_tell_role_lease_and_lag(grantor: Grantor, orders: Any) -> None:
    grantor.replicas["paspor"] = replica(orders, Role.PRIMARY)
    grantor.metrics.show(grantor.replicas.values, lambda: NOW_MS)
    status, text = await get(grantor, "/metrics")
    assert status == 200
    assert 'saling_replica_role{role="primary",service="paspor"} 1.0' in text
    assert 'saling_replica_writable{service="paspor"} 1.0' in text
    assert 'saling_lease_left_seconds{service="paspor"} 1.0' in text
