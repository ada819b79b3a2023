"""Two real agents, a real broker, real TLS between them; only the controller is scripted."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from agents.host import symptom_command
from agents.runtime import REPORT_EVERY_S
from controller.broker import EmbeddedBroker
from protocol.messages import Path as Way
from protocol.messages import Probe
from tests.agents.test_real_agent import AWAY, HOME, RealAgent

pytestmark = [pytest.mark.broker, pytest.mark.timeout(180)]
Until = Callable[[Callable[[], object], str], Awaitable[None]]


@pytest.fixture
async def agents(
    configure: Callable[..., Path], broker: EmbeddedBroker
) -> AsyncIterator[tuple[RealAgent, RealAgent]]:
    url = f"{broker.host}:{broker.port}"
    made = tuple(RealAgent(configure(name, url, services=[])) for name in (HOME, AWAY))
    for agent in made:
        await agent.start()
    yield made[0], made[1]
    for agent in made:
        print(f"log of {agent.config.agent}:\n{agent.log()}")
        await agent.stop_everything()


async def test_agents_tell_of_the_way_to_each_other_and_when_it_ends(
    agents: tuple[RealAgent, RealAgent], controller: Any, until: Until
) -> None:
    home, away = agents
    whole = controller.whole
    await until(lambda: HOME in whole and AWAY in whole, "both report")
    assert (whole[HOME].probe_list, whole[HOME].paths) == ("", ())

    controller.probes[HOME] = ("to-away", (Probe(AWAY, "ikn", away.config.listen),))
    controller.probes[AWAY] = ("to-home", (Probe(HOME, "batam", home.config.listen),))
    await until(lambda: answers(whole[HOME].paths) and answers(whole[AWAY].paths), "answers")
    assert (whole[HOME].probe_list, whole[AWAY].probe_list) == ("to-away", "to-home")
    assert [way.to for way in whole[HOME].paths] == [AWAY]
    assert whole[HOME].paths[0].lost == 0

    # An Order that names no list changes nothing; a new life asks for it by telling none.
    del controller.probes[HOME]
    await away.end(signal.SIGKILL)
    await until(lambda: whole[HOME].paths[0].lost >= 2, "losses")
    assert whole[HOME].paths[0].answer_age_ms > REPORT_EVERY_S * 1000
    life = controller.headers[AWAY].incarnation
    del controller.probes[AWAY]
    await away.start()
    await until(lambda: controller.headers[AWAY].incarnation != life, "a new life")
    assert (whole[AWAY].probe_list, whole[AWAY].paths) == ("", ())
    await until(lambda: whole[HOME].paths[0].answer_age_ms < 1000, "it answers again")


async def test_agents_tell_what_is_not_well_at_their_host_and_what_it_uses(
    agents: tuple[RealAgent, RealAgent], controller: Any, until: Until
) -> None:
    home, _ = agents
    whole, config = controller.whole, home.config
    await until(lambda: HOME in whole and whole[HOME].usage, "home reports")
    assert whole[HOME].symptoms == ()
    assert whole[HOME].usage.memory_bytes > 0

    await asyncio.to_thread(symptom_command.report, config, "power", "on battery", "1h")
    await until(lambda: whole[HOME].symptoms, "the centre hears it")
    [power] = whole[HOME].symptoms
    assert (power.kind, power.text) == ("power", "on battery")

    # It outlives the agent, with its age.
    life = controller.headers[HOME].incarnation
    await home.end(signal.SIGKILL)
    await home.start()
    await until(lambda: controller.headers[HOME].incarnation != life, "a new life")
    await until(lambda: whole[HOME].symptoms, "the centre hears it still")
    assert whole[HOME].symptoms[0].age_ms > power.age_ms
    await asyncio.to_thread(symptom_command.withdraw, config, "power")
    await until(lambda: not whole[HOME].symptoms, "it is over")


async def test_a_checks_file_is_run_by_a_real_agent(
    configure: Callable[..., Path],
    broker: EmbeddedBroker,
    controller: Any,
    until: Until,
    directory: Path,
) -> None:
    checks = directory / "checks.yaml"
    command = ["/bin/sh", "-c", "echo the generator runs; exit 1"]
    check = {"kind": "power", "command": command, "interval": "1s", "on_after": "0s"}
    checks.write_text(yaml.safe_dump({"version": 1, "checks": [check]}))
    checks.chmod(0o600)
    more = {"services": [], "symptoms": {"checks": str(checks)}}
    agent = RealAgent(configure(HOME, f"{broker.host}:{broker.port}", **more))
    await agent.start()
    try:
        whole = controller.whole
        await until(lambda: HOME in whole and whole[HOME].symptoms, "the centre hears it")
        assert whole[HOME].symptoms[0].text == "the generator runs"
    finally:
        print(agent.log())
        await agent.stop_everything()


def answers(ways: tuple[Way, ...]) -> bool:
    """Whether some probes of every way were answered."""
    return bool(ways) and all(way.asked - way.lost >= 2 and way.round_trip_us for way in ways)
