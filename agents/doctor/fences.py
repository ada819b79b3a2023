"""The doctor's trial of each layer of the fence, and what the running guard says of it.

The kernel's door is tried for real: a table of the doctor's own, which is taken down again. A
watchdog is only looked at: one that is opened runs.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from agents.doctor.findings import Finding, fail, ok, warn
from agents.durable import DurableError, DurableFile
from agents.fences.base import MISSING, Layer
from agents.fences.nftables import Nftables
from agents.fences.watchdog import LEAST_TTL_MS, Watchdog
from agents.guard.client import GuardClient, GuardError, LayerStatus
from config.agent import AgentConfig, LocalService

CAN_WAIT = "if_present"


async def fence_findings(config: AgentConfig) -> list[Finding]:
    """One for each layer of each service."""
    findings: list[Finding] = []
    for service in config.services:
        running = await _running(service)
        findings += _judge(config, service, running)
    return findings


async def _running(service: LocalService) -> dict[str, LayerStatus]:
    """How the layers of a guard that runs already stand; nothing when none does."""
    with contextlib.suppress(GuardError, TimeoutError):
        guard = GuardClient(service.socket_directory.absolute(), service.data_directory.absolute())
        try:
            return {layer.name: layer for layer in (await guard.status()).layers}
        finally:
            await guard.close()
    return {}


def _judge(
    config: AgentConfig, service: LocalService, running: dict[str, LayerStatus]
) -> list[Finding]:
    fences, what = service.fences, f"fence of {service.name}"
    device = str(fences.watchdog_device)
    made: dict[str, tuple[str, Callable[[], Layer]]] = {
        "nftables": (fences.nftables, lambda: Nftables(service.name, service.listen)),
        "watchdog": (fences.watchdog, lambda: Watchdog(device)),
    }
    findings = []
    for name, (demand, make) in made.items():
        if demand == "off":
            findings.append(_left_out(what, name))
            continue
        bad = warn if demand == CAN_WAIT else fail
        health, stands = make().check(), running.get(name)
        if not health.holds:
            findings.append(bad(what, f"{name} ({demand}): {health.text}", health.mend))
        elif stands is not None and stands.state == MISSING:
            findings.append(bad(what, f"{name} ({demand}): {stands.why}", stands.mend))
        elif name == "watchdog" and (ttl_ms := _ttl_ms(config, service)) < LEAST_TTL_MS:
            text = f"watchdog ({demand}): leases of {ttl_ms} ms are too short for it"
            findings.append(bad(what, text, "a lease_profile of 10 s or more, such as patient"))
        else:
            findings.append(ok(what, f"{name} ({demand}): {health.text}"))
    return findings


def _left_out(what: str, name: str) -> Finding:
    prices = {
        "watchdog": "nothing resets the host of an engine that cannot be ended",
        "nftables": "after a freeze of the whole host a fenced primary may still answer",
    }
    return ok(what, f"{name} (off): {prices[name]}")


def _ttl_ms(config: AgentConfig, service: LocalService) -> int:
    """Of the last assignment; long enough when there was none yet."""
    file = DurableFile(config.state_directory, config.cluster, config.agent, service.name)
    with contextlib.suppress(DurableError, OSError):
        assignment = file.load().durable.assignment
        if assignment is not None:
            return assignment.terms.ttl_ms
    return LEAST_TTL_MS
