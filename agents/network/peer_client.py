"""Asking partners for leases over HTTPS with mutual TLS.

What is asked of one partner within two milliseconds goes in one request. At most two requests
are under way to a partner; while both hang, only the newest question of each service waits.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from typing import NamedTuple

import aiohttp
import msgspec
import structlog

from agents.metrics import Metrics
from agents.network.refusals import Refusals
from agents.network.voice import Voice
from config.agent import Tls
from protocol.intake import MAX_BYTES, Intake, Reason, Rejected
from protocol.messages import Ask, Grant, Partner
from protocol.sealing import Verifier

COALESCE_S = 0.002
CONNECT_LIMIT_S = 0.5
FLIGHTS_AT_MOST = 2
KEEPALIVE_S = 75.0
CLOSE_LIMIT_S = 1.0

log = structlog.get_logger("peers")


class Question(NamedTuple):
    """One ask and how long its answer is of use."""

    ask: Ask
    limit_ms: int


Heard = Callable[[str, Grant], None]


class PeerClient:
    """All partners that are asked. Its tasks belong to `group`."""

    def __init__(
        self,
        voice: Voice,
        context: ssl.SSLContext,
        reached: Callable[[str], str],
        heard: Heard,
        refusals: Refusals,
        metrics: Metrics,
        group: asyncio.TaskGroup,
    ) -> None:
        self._voice = voice
        self._context = context
        self._reached = reached
        self._heard = heard
        self._refusals = refusals
        self._metrics = metrics
        self._group = group
        self._intake = Intake(voice.cluster)
        self._lines: dict[str, Line] = {}

    def ask(self, ask: Ask, partner: Partner, limit_ms: int) -> None:
        """Ask a partner; the answer goes to `heard`. Never waits."""
        line = self._lines.get(partner.agent)
        if line is None or not line.leads_to(partner):
            if line is not None:
                self._group.create_task(line.close(), name=f"partner {partner.agent} moved")
            try:
                line = self._new_line(partner)
            except ValueError as error:
                rejected = Rejected(Reason.MALFORMED, f"its public key is none: {error}")
                self._refusals.note(rejected, f"the Order's partner {partner.agent}")
                return
            self._lines[partner.agent] = line
        line.ask(Question(ask, limit_ms))

    async def close(self) -> None:
        """Close all connections."""
        for line in self._lines.values():
            await line.close()

    def _new_line(self, partner: Partner) -> Line:
        return Line(
            partner,
            f"https://{self._reached(partner.agent_address)}/saling/v1/renew",
            self._voice,
            Reader(self._intake, self._voice.agent, partner, self._heard, self._refusals),
            self._context,
            self._metrics,
            self._group,
        )


class Reader:
    """Believes only what this partner signed for this agent."""

    def __init__(
        self, intake: Intake, agent: str, partner: Partner, heard: Heard, refusals: Refusals
    ) -> None:
        """Raises ValueError when the partner's public key is none."""
        self._intake = intake
        self._agent = agent
        self._partner = partner
        self._heard = heard
        self._refusals = refusals
        self._verifier = Verifier(partner.public_key)

    def take(self, raw: bytes) -> bool:
        """Hand a Grant on, or put it aside; whether it counted."""
        name = self._partner.agent
        try:
            grant = self._intake.take_sealed(raw, Grant, name, self._agent, self._verifier)
            if grant.audience != self._agent:
                raise Rejected(Reason.IMPOSTOR, f"inside it is meant for {grant.audience!r}")
        except Rejected as rejected:
            self._refusals.note(rejected, f"partner {name}")
            return False
        self._heard(name, grant)
        return True


class Line:
    """One partner at one address."""

    def __init__(
        self,
        partner: Partner,
        url: str,
        voice: Voice,
        reader: Reader,
        context: ssl.SSLContext,
        metrics: Metrics,
        group: asyncio.TaskGroup,
    ) -> None:
        self.partner = partner
        self._url = url
        self._voice = voice
        self._reader = reader
        self._metrics = metrics
        self._group = group
        self._waiting: dict[str, Question] = {}
        self._flights = 0
        self._timer: asyncio.TimerHandle | None = None
        self._said = ""
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                ssl=context, limit=FLIGHTS_AT_MOST, keepalive_timeout=KEEPALIVE_S
            ),
            auto_decompress=False,
        )

    def leads_to(self, partner: Partner) -> bool:
        """Whether this is the partner's line; each of its services has another engine."""
        known = (self.partner.agent_address, self.partner.public_key)
        return known == (partner.agent_address, partner.public_key)

    def ask(self, question: Question) -> None:
        """Send it with what else is asked in this moment."""
        self._waiting[question.ask.service] = question
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(COALESCE_S, self._flush)

    async def close(self) -> None:
        """Close the connections."""
        if self._timer is not None:
            self._timer.cancel()
        await self._session.close()

    def _flush(self) -> None:
        self._timer = None
        if not self._waiting or self._flights >= FLIGHTS_AT_MOST or self._session.closed:
            return
        batch = tuple(self._waiting.values())
        self._waiting.clear()
        self._flights += 1
        self._group.create_task(self._fly(batch), name=f"renewal at {self.partner.agent}")

    async def _fly(self, batch: tuple[Question, ...]) -> None:
        limit_s = max(question.limit_ms for question in batch) / 1000
        try:
            raw = await self._post(tuple(question.ask for question in batch), limit_s)
            outcome = "answered" if self._reader.take(raw) else "put_aside"
            self._said = ""
        except Exception as error:  # noqa: BLE001
            # Whatever happens on the way to a partner must end no other lease.
            outcome = "timeout" if isinstance(error, TimeoutError) else "failed"
            self._say(repr(error))
        finally:
            self._flights -= 1
        if outcome != "answered":
            for question in batch:
                service = question.ask.service
                self._metrics.renewals.labels(service, self.partner.agent, outcome).inc()
        self._flush()

    async def _post(self, asks: tuple[Ask, ...], limit_s: float) -> bytes:
        async with asyncio.timeout(limit_s):
            try:
                return await self._post_once(asks)
            except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError):
                if self._session.closed:
                    raise
                # A kept connection that the partner closed meanwhile; a new one may do.
                return await self._post_once(asks)

    async def _post_once(self, asks: tuple[Ask, ...]) -> bytes:
        async with self._session.post(
            self._url,
            data=msgspec.json.encode(self._voice.renew(asks)),
            headers={"Content-Type": "application/json"},
            # Who answers is proved by its certificate's name, whatever its address is.
            server_hostname=self.partner.agent,
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(sock_connect=CONNECT_LIMIT_S),
        ) as response:
            body = b""
            async for chunk in response.content.iter_any():
                body += chunk
                if len(body) > MAX_BYTES:
                    raise aiohttp.ClientPayloadError(f"over {MAX_BYTES} bytes")
            if response.status != 200:
                text = body[:200].decode(errors="replace")
                raise aiohttp.ClientPayloadError(f"status {response.status}: {text}")
            return body

    def _say(self, problem: str) -> None:
        if problem != self._said:
            self._said = problem
            log.warning(
                "a partner did not answer",
                partner=self.partner.agent,
                url=self._url,
                problem=problem,
            )


def client_context(tls: Tls) -> ssl.SSLContext:
    """TLS 1.3 with our certificate; only our authority is believed. Raises OSError."""
    context = ssl.create_default_context(cafile=tls.authority)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_cert_chain(tls.certificate, tls.key)
    return context
