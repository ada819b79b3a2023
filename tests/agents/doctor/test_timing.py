"""The doctor asks the running agent, over its own port, whether it renews and fences in time."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from aiohttp import web

from agents.core.model import Durable
from agents.doctor.findings import Finding, Level
from agents.doctor.timing import timing_findings
from agents.durable import DurableFile, lock_directory, prepare_directory
from agents.metrics import Metrics
from agents.network.peers import server_context
from agents.timings import KILLS_TO_JUDGE, RENEWALS_TO_JUDGE
from config.agent import AgentConfig
from config.loader import load_agent
from config.values import split_address
from protocol.messages import Goal, Right
from tests.agents.conftest import SERVICE, TERMS, Orders

HOME = "batam-1"


@pytest.fixture
def config(configure: Callable[..., Path], orders: Orders) -> Iterator[AgentConfig]:
    """Of an agent that runs, as its lock says, and knows its lease's terms."""
    made = load_agent(configure(HOME, "127.0.0.1:1")).value
    prepare_directory(made.state_directory)
    orders.addresses = dict.fromkeys(("batam-1", "ikn-1"), ("127.0.0.1:1", "127.0.0.1:2"))
    assignment = orders.make(Goal.PRIMARY, Right.LEASED, 1)
    file = DurableFile(made.state_directory, made.cluster, made.agent, SERVICE)
    file.write("paspor-2026", Durable(assignment=assignment))
    lock = lock_directory(made.state_directory)
    yield made
    os.close(lock)


@pytest.fixture
async def metrics(config: AgentConfig) -> AsyncIterator[Metrics]:
    """Served as the agent serves them."""
    shown = Metrics(config.agent, config.site)

    async def show(_request: web.Request) -> web.Response:
        return web.Response(body=shown.text())

    application = web.Application()
    application.add_routes([web.get("/metrics", show)])
    runner = web.AppRunner(application)
    await runner.setup()
    host, port = split_address(config.listen)
    await web.TCPSite(runner, host, port, ssl_context=server_context(config.tls)).start()
    yield shown
    await runner.cleanup()


def renew(metrics: Metrics, gap_ms: int) -> None:
    for number in range(RENEWALS_TO_JUDGE + 1):
        metrics.renewed(SERVICE, number * gap_ms)


async def found(config: AgentConfig, what: str) -> Finding:
    (finding,) = [one for one in await timing_findings(config) if one.what == what]
    return finding


async def test_an_agent_of_few_renewals_is_not_judged(
    config: AgentConfig, metrics: Metrics
) -> None:
    (finding,) = await timing_findings(config)
    assert finding.level is Level.OK
    assert "too few" in finding.found


async def test_renewals_in_time_are_found_to_be_so(config: AgentConfig, metrics: Metrics) -> None:
    renew(metrics, TERMS.renew_ms + 20)
    finding = await found(config, "renewals")
    assert (finding.level, finding.found) == (
        Level.OK,
        "paspor: they come in time, p99.9 is 20 ms late",
    )


async def test_late_renewals_are_warned_of_with_the_mend(
    config: AgentConfig, metrics: Metrics
) -> None:
    renew(metrics, TERMS.renew_ms + TERMS.ttl_ms // 8 + 10)
    finding = await found(config, "renewals")
    assert finding.level is Level.WARN
    assert "renewals of batam-1 come late: p99.9 is 760 ms, TTL/8 is 750 ms" in finding.found
    assert finding.mend == "choose profile patient or free the machine"


async def test_a_kill_that_does_not_fit_the_budget_is_warned_of(
    config: AgentConfig, metrics: Metrics
) -> None:
    for _ in range(KILLS_TO_JUDGE):
        metrics.timings(SERVICE).killed(TERMS.fence_budget_ms - 150)
    assert (await found(config, "fence")).level is Level.WARN


async def test_a_running_agent_that_does_not_answer_is_warned_of(config: AgentConfig) -> None:
    (finding,) = await timing_findings(config)
    assert (finding.level, finding.what) == (Level.WARN, "timing")
    assert "SSLContext" not in finding.found


async def test_where_no_agent_runs_nothing_is_found(configure: Callable[..., Path]) -> None:
    assert await timing_findings(load_agent(configure(HOME, "127.0.0.1:1")).value) == []
