"""Whether the running agent renews and fences in time: read from its own metrics, on its port."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterator

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from agents.doctor.findings import Finding, ok, warn
from agents.durable import DurableError, DurableFile, running_agent
from agents.metrics import GAP_P999, KILL_P999
from agents.network.unreached import why_unreached
from config.agent import AgentConfig
from config.timeliness import late_renewals, slow_fence
from config.values import split_address
from protocol.messages import LeaseTerms

ASK_LIMIT_S = 3.0
EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}

Figures = dict[tuple[str, str], int]
"""Milliseconds by metric and service."""


async def timing_findings(config: AgentConfig) -> list[Finding]:
    """One or two for each service that has a lease's terms; none while no agent runs."""
    if not config.state_directory.exists() or running_agent(config.state_directory) is None:
        return []
    try:
        figures = _figures(await _metrics(config))
    except (aiohttp.ClientError, OSError, ValueError) as error:
        why = why_unreached(error, ASK_LIMIT_S)
        mend = "look at the agent's log: it runs, but does not answer on its own port"
        return [warn("timing", f"{config.listen}: {why}", mend)]
    findings: list[Finding] = []
    for service, terms in _terms(config):
        findings += _judge(config.agent, service, terms, figures)
    return findings


def _judge(agent: str, service: str, terms: LeaseTerms, figures: Figures) -> Iterator[Finding]:
    gap_ms, kill_ms = figures.get((GAP_P999, service), 0), figures.get((KILL_P999, service), 0)
    late, slow = late_renewals(agent, gap_ms, terms), slow_fence(agent, kill_ms, terms)
    if late:
        yield _warned("renewals", service, late)
    elif gap_ms:
        over_ms = max(0, gap_ms - terms.renew_ms)
        yield ok("renewals", f"{service}: they come in time, p99.9 is {over_ms} ms late")
    else:
        yield ok("renewals", f"{service}: too few in this life of the agent to judge")
    if slow:
        yield _warned("fence", service, slow)
    elif kill_ms:
        yield ok("fence", f"{service}: p99.9 of a kill is {kill_ms} ms, it fits the budget")


def _warned(what: str, service: str, text: str) -> Finding:
    found, _, mend = text.rpartition("; ")
    return warn(what, f"{service}: {found}", mend)


def _terms(config: AgentConfig) -> Iterator[tuple[str, LeaseTerms]]:
    """The terms in force, by service. A damaged state is another finding's."""
    for service in config.services:
        file = DurableFile(config.state_directory, config.cluster, config.agent, service.name)
        try:
            assignment = file.load().durable.assignment
        except DurableError:
            continue
        if assignment is not None:
            yield service.name, assignment.terms


def _figures(text: str) -> Figures:
    figures: Figures = {}
    for family in text_string_to_metric_families(text):
        if family.name in (GAP_P999, KILL_P999):
            for sample in family.samples:
                figures[sample.name, sample.labels["service"]] = round(sample.value * 1000)
    return figures


async def _metrics(config: AgentConfig) -> str:
    """Raises aiohttp.ClientError, OSError (a TimeoutError too), ValueError."""
    host, port = split_address(config.listen)
    bare = host.strip("[]")
    bare = EVERYWHERE.get(bare, bare)
    context = ssl.create_default_context(cafile=config.tls.authority)
    # It is asked at its address; its certificate says its name.
    context.check_hostname = False
    shown = f"[{bare}]" if ":" in bare else bare
    async with (
        asyncio.timeout(ASK_LIMIT_S),
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as http,
        http.get(f"https://{shown}:{port}/metrics") as answer,
    ):
        answer.raise_for_status()
        return await answer.text()
