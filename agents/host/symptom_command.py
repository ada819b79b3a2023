"""The command `saling-agent symptom`: tells the running agent of this host what is not well.

It asks the agent's own port, with the agent's certificate, so it runs as root or the agent's user.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import Any

import aiohttp
import msgspec

from agents.host.symptom_desk import SYMPTOMS_PATH
from agents.network.peer_client import client_context
from agents.network.unreached import why_unreached
from config.agent import AgentConfig
from config.problems import Refused
from config.values import parse_name, split_address

LIMIT_S = 5.0
ANY = ("0.0.0.0", "::")
TOO_MANY = 409
NOT_UNDERSTOOD = 422


class SymptomRefused(Exception):
    """The agent did not take it; `status` is that of the exit."""

    def __init__(self, text: str, status: int) -> None:
        super().__init__(text)
        self.status = status


class SymptomError(Exception):
    """It could not be asked; the text says why, and the mend."""


def report(config: AgentConfig, kind: str, text: str, lasts: str) -> dict[str, Any]:
    """Say that something is not well. Raises SymptomRefused, SymptomError."""
    return _ask(config, "POST", "", {"kind": kind, "text": text, "for": lasts})


def withdraw(config: AgentConfig, kind: str) -> dict[str, Any]:
    """Say that it is well again. Raises SymptomRefused, SymptomError."""
    try:
        parse_name(kind)
    except Refused as fault:
        raise SymptomRefused(f"{kind[:40]!a}: {fault.message}; {fault.mend}", 2) from None
    return _ask(config, "DELETE", f"/{kind}")


def listed(config: AgentConfig) -> dict[str, Any]:
    """All that the agent tells of. Raises SymptomRefused, SymptomError."""
    return _ask(config, "GET", "")


def as_lines(told: dict[str, Any], agent: str) -> str:
    """For people: a line a symptom."""
    symptoms = told["symptoms"]
    if not symptoms:
        return f"{agent} tells of nothing that is not well"
    return "\n".join(
        f"{one['kind']}: {one['text']} (for {_span(one['age_ms'])}{_left(one)})" for one in symptoms
    )


def _left(one: dict[str, Any]) -> str:
    return "" if one["left_ms"] is None else f", posted, {_span(one['left_ms'])} left"


def _span(span_ms: int) -> str:
    minutes, seconds = divmod(span_ms // 1000, 60)
    if minutes < 60:
        return f"{minutes} min {seconds} s" if minutes else f"{seconds} s"
    return f"{minutes // 60} h {minutes % 60} min"


def _ask(config: AgentConfig, method: str, path: str, body: object = None) -> dict[str, Any]:
    try:
        context = client_context(config.tls)
        status, raw = asyncio.run(_request(config, context, method, path, body))
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        reason = why_unreached(error, LIMIT_S)
        mend = "see whether it runs, and run this as its user or as root"
        raise SymptomError(f"the agent {config.agent} was not asked: {reason}; {mend}") from None
    try:
        told: dict[str, Any] = msgspec.json.decode(raw, type=dict[str, Any])
    except ValueError:
        said = raw[:200].decode(errors="replace")
        raise SymptomError(f"the agent answered {status}: {said}") from None
    if status == 200:
        return told
    exit_status = {NOT_UNDERSTOOD: 2, TOO_MANY: 5}.get(status, 1)
    raise SymptomRefused(f"{told.get('error')}; {told.get('mend')}", exit_status)


async def _request(
    config: AgentConfig, context: ssl.SSLContext, method: str, path: str, body: object
) -> tuple[int, bytes]:
    host, port = split_address(config.listen)
    if host in ANY:
        host = "127.0.0.1" if host == ANY[0] else "::1"
    shown = f"[{host}]" if ":" in host else host
    url = f"https://{shown}:{port}{SYMPTOMS_PATH}{path}"
    timeout = aiohttp.ClientTimeout(total=LIMIT_S)
    async with (
        aiohttp.ClientSession(timeout=timeout) as session,
        session.request(
            method,
            url,
            data=None if body is None else msgspec.json.encode(body),
            headers={"Content-Type": "application/json"},
            ssl=context,
            server_hostname=config.agent,
        ) as answer,
    ):
        return answer.status, await answer.read()
