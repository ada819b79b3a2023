"""The one port of an agent: renewals of partners, and answers for load balancers and Prometheus.

    POST /saling/v1/renew            mutual TLS; a Renew in, a signed Grant out
    GET  /saling/v1/log/NAME         mutual TLS; the rest of a fenced log: log_server.py
    GET  /saling/v1/probe            mutual TLS; says that it is there, and what its clocks show
    GET  /primary  /replica          200 or 503; ?service=NAME, which one service alone may omit;
                                     /replica takes lag=BYTES as well
    GET  /services/NAME/primary      the same with the service in the path; .../replica
    ...  /v1/symptoms                what somebody says is not well: agents/host/symptom_desk.py
    GET  /health                     200 while the agent works, with all its replicas
    GET  /metrics                    for Prometheus

TLS 1.3. A certificate of the client is asked for and only needed where it says so; its common
name is who asks. /primary is 503 from the very start of a fence.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Awaitable, Callable, Sequence

import msgspec
import structlog
from aiohttp import web

from agents.core.model import Replica
from agents.core.permission import may_write
from agents.metrics import Metrics
from agents.network.desk import Desk
from agents.network.log_server import PATH, LogServer
from agents.network.refusals import Refusals
from agents.network.voice import Voice
from config.agent import Tls
from config.values import split_address
from protocol.intake import MAX_BYTES, Intake, Reason, Rejected
from protocol.messages import Renew, Role
from protocol.probing import PROBE_PATH, ProbeAnswer

CONNECTIONS_AT_MOST = 512
BODY_LIMIT_S = 2.0
HANDSHAKE_LIMIT_S = 5.0
SILENT_LIMIT_S = 10.0
"""A connection that asked nothing for so long is closed."""
KEEPALIVE_S = 75.0
SHUTDOWN_S = 1.0

log = structlog.get_logger("peers")

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Board:
    """The replicas as they are now."""

    def __init__(self, replica: Callable[[str], Replica | None], names: tuple[str, ...]) -> None:
        self.replica = replica
        self.names = names


class PeerServer:
    """Listens on the agent's port."""

    def __init__(
        self,
        voice: Voice,
        desk: Desk,
        board: Board,
        refusals: Refusals,
        metrics: Metrics,
        logs: LogServer,
        clock: Callable[[], int],
        more: Sequence[web.RouteDef] = (),
    ) -> None:
        """`more`: what else is served on the port."""
        self._voice = voice
        self._desk = desk
        self._board = board
        self._refusals = refusals
        self._metrics = metrics
        self._logs = logs
        self._clock = clock
        self._more = more
        self._intake = Intake(voice.cluster)
        self._silent: set[web.RequestHandler] = set()
        self.port = 0

    async def run(self, listen: str, context: ssl.SSLContext, ready: asyncio.Event) -> None:
        """Serve, until cancelled; sets `ready` when it listens. Raises OSError."""
        runner = web.AppRunner(
            self._application(),
            handle_signals=False,
            access_log=None,
            keepalive_timeout=KEEPALIVE_S,
            shutdown_timeout=SHUTDOWN_S,
        )
        await runner.setup()
        try:
            host, port = split_address(listen)
            server = await asyncio.get_running_loop().create_server(
                lambda: self._protocol(runner),
                host.strip("[]"),
                port,
                ssl=context,
                ssl_handshake_timeout=HANDSHAKE_LIMIT_S,
                backlog=128,
            )
            async with server:
                self.port = server.sockets[0].getsockname()[1]
                ready.set()
                await asyncio.get_running_loop().create_future()
        finally:
            await runner.cleanup()

    def _protocol(self, runner: web.AppRunner) -> asyncio.Protocol:
        assert runner.server is not None
        if len(runner.server.connections) >= CONNECTIONS_AT_MOST:
            return _Full()
        protocol = runner.server()
        self._silent.add(protocol)
        loop = asyncio.get_running_loop()
        loop.call_later(SILENT_LIMIT_S, self._close_if_silent, protocol)
        return protocol

    def _close_if_silent(self, protocol: web.RequestHandler) -> None:
        if protocol in self._silent:
            self._silent.discard(protocol)
            protocol.force_close()

    def _application(self) -> web.Application:
        application = web.Application(client_max_size=MAX_BYTES + 1, middlewares=[self._note])
        application.add_routes(
            [
                web.post("/saling/v1/renew", self._renew),
                web.get(PATH, self._give_log),
                web.get(PROBE_PATH, self._probe),
                web.get("/primary", self._primary),
                web.get("/replica", self._standby),
                web.get("/services/{service}/primary", self._primary),
                web.get("/services/{service}/replica", self._standby),
                web.get("/health", self._health),
                web.get("/metrics", self._show_metrics),
                *self._more,
            ]
        )
        return application

    @web.middleware
    async def _note(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        self._silent.discard(request.protocol)
        return await handler(request)

    async def _renew(self, request: web.Request) -> web.Response:
        sender = peer_name(request.transport)
        try:
            if sender is None:
                raise Rejected(Reason.UNSIGNED, "no client certificate of our authority")
            renew = self._intake.take(await _body(request), Renew, sender)
        except Rejected as rejected:
            self._refusals.note(rejected, f"{request.remote} ({sender or 'no certificate'})")
            return _refused(rejected)
        except TimeoutError:
            return web.Response(status=408, text="the question did not arrive in time")
        answers = await asyncio.gather(*(self._desk.ask(sender, ask) for ask in renew.asks))
        grants = tuple(answer for answer in answers if answer is not None)
        if not grants:
            return web.Response(status=503, text="no answer in time")
        body = self._voice.grant(grants, sender)
        return web.Response(body=body, content_type="application/json")

    async def _give_log(self, request: web.Request) -> web.StreamResponse:
        return await self._logs.give(request, peer_name(request.transport))

    async def _probe(self, request: web.Request) -> web.Response:
        """Needs no rules and no engine: an agent without any service is there, too."""
        if peer_name(request.transport) is None:
            return web.Response(status=403, text="no client certificate of our authority")
        wall_ms = time.time_ns() // 1_000_000
        answer = ProbeAnswer(self._voice.agent, wall_ms, self._clock())
        return web.Response(body=msgspec.json.encode(answer), content_type="application/json")

    async def _primary(self, request: web.Request) -> web.Response:
        replica = self._wanted(request)
        is_role = replica.observation.role is Role.PRIMARY
        return self._verdict(replica, is_role and may_write(replica, self._clock()))

    async def _standby(self, request: web.Request) -> web.Response:
        replica = self._wanted(request)
        seen = replica.observation
        fits = seen.role is Role.STANDBY and seen.streaming
        if (limit := _number(request, "lag")) is not None:
            behind = max(replica.heard_position_bytes, seen.position_bytes) - seen.replayed_bytes
            fits = fits and behind <= limit
        return self._verdict(replica, fits)

    async def _health(self, _request: web.Request) -> web.Response:
        shown = [self._shown(r) for name in self._board.names if (r := self._board.replica(name))]
        return web.json_response({"agent": self._voice.agent, "services": shown})

    async def _show_metrics(self, _request: web.Request) -> web.Response:
        return web.Response(body=self._metrics.text(), headers={"Content-Type": METRICS_TYPE})

    def _wanted(self, request: web.Request) -> Replica:
        names = self._board.names
        name = request.match_info.get("service") or request.query.get("service")
        if name is None:
            if len(names) != 1:
                raise web.HTTPBadRequest(text=f"name one with ?service=: {', '.join(names)}")
            name = names[0]
        replica = self._board.replica(name)
        if replica is None:
            raise web.HTTPNotFound(text=f"not a service here; there is: {', '.join(names)}")
        return replica

    def _verdict(self, replica: Replica, fits: bool) -> web.Response:
        return web.json_response(self._shown(replica), status=200 if fits else 503)

    def _shown(self, replica: Replica) -> dict[str, object]:
        assignment = replica.durable.assignment
        seen = replica.observation
        is_primary = seen.role is Role.PRIMARY
        return {
            "service": replica.service,
            "role": seen.role.value,
            "writable": is_primary and may_write(replica, self._clock()),
            "epoch": assignment.epoch if assignment else 0,
            "revision": assignment.revision if assignment else 0,
            "streaming": seen.streaming,
            "timeline": seen.timeline,
            "position_bytes": seen.position_bytes,
            "replayed_bytes": seen.replayed_bytes,
        }


METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class _Full(asyncio.Protocol):
    """One connection too many: closed at once."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.close()


async def _body(request: web.Request) -> bytes:
    try:
        async with asyncio.timeout(BODY_LIMIT_S):
            return await request.read()
    except web.HTTPRequestEntityTooLarge:
        raise Rejected(Reason.TOO_LARGE, f"at most {MAX_BYTES} bytes are read") from None


def _refused(rejected: Rejected) -> web.Response:
    status = 403 if rejected.reason in (Reason.UNSIGNED, Reason.IMPOSTOR) else 400
    if rejected.reason is Reason.TOO_LARGE:
        status = 413
    return web.Response(status=status, text=str(rejected))


def _number(request: web.Request, name: str) -> int | None:
    text = request.query.get(name)
    if text is None:
        return None
    if not text.isascii() or not text.isdecimal() or len(text) > 18:
        raise web.HTTPBadRequest(text=f"{name}: a number of bytes is needed")
    return int(text)


def peer_name(transport: asyncio.BaseTransport | None) -> str | None:
    """Who the certificate of the other side says it is, None without one.

    Its common name; without one, its only DNS name.
    """
    certificate = transport.get_extra_info("peercert") if transport else None
    if not certificate:
        return None
    names = [v for rdn in certificate.get("subject", ()) for k, v in rdn if k == "commonName"]
    if not names:
        names = [v for k, v in certificate.get("subjectAltName", ()) if k == "DNS"]
    return str(names[0]) if len(names) == 1 else None


def server_context(tls: Tls) -> ssl.SSLContext:
    """TLS 1.3; a client may show a certificate of our authority. Raises OSError, ssl.SSLError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_cert_chain(tls.certificate, tls.key)
    context.load_verify_locations(tls.authority)
    context.verify_mode = ssl.CERT_OPTIONAL
    return context
