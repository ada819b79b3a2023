"""The agent's part in the layers of the fence: it tells its guard which, and the rules how.

The guard owns them and drives them. Only the agent knows the configuration and the backup,
whose address passes the door. A guard is told before it is asked for anything else, so that no
lease is acknowledged with fewer layers than there shall be.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
from collections.abc import Callable
from typing import Protocol

import structlog

from agents.core.events import Event, FencesTold
from agents.fences.base import MISSING, FenceError
from agents.fences.nftables import Nftables
from agents.guard.client import GuardError, GuardRefused, LayerStatus
from agents.metrics import Metrics
from config.agent import Fences

RESOLVE_LIMIT_S = 0.3
RESOLVE_EVERY_S = 30.0
FORMER = "the guard is of a former version: end it in order (saling-agent stop) and start anew"

log = structlog.get_logger("fences")


class Configurable(Protocol):
    """What is asked of a guard here; `agents.guard.client.GuardClient` does it."""

    async def fences(self, timeout_ms: int = 3000, **wanted: object) -> tuple[LayerStatus, ...]: ...


class Fencing:
    """The layers of one replica."""

    def __init__(
        self,
        service: str,
        fences: Fences,
        address: str,
        partner: Callable[[], str],
        put: Callable[[Event], None],
        metrics: Metrics | None = None,
    ) -> None:
        """`address`: where the engine listens. `partner`: the other engine's, as reached."""
        self._metrics = metrics
        self._service = service
        self._wanted = fences
        self._address = address
        self._partner = partner
        self._put = put
        self._resolved: tuple[str, ...] = ()
        self._resolved_of = ""
        self._resolve_at_s = 0.0
        self._told: tuple[str, ...] | None = None
        self._swept = False
        self.layers: tuple[LayerStatus, ...] = ()

    async def configure(self, guard: Configurable) -> None:
        """Tell a guard that may be a new one. Raises GuardError but for a former version's."""
        await self._sweep()
        await self._resolve()
        try:
            layers = await guard.fences(
                service=self._service,
                address=self._address,
                partners=list(self._resolved),
                nftables=self._wanted.nftables,
                watchdog=self._wanted.watchdog,
                watchdog_device=str(self._wanted.watchdog_device),
            )
        except GuardRefused as error:
            log.error("the guard takes no fences", service=self._service, error=str(error))
            layers = self._lacking(FORMER)
        self._told = self._resolved
        self.heard(layers)

    async def keep(self, guard: Configurable) -> None:
        """Tell it again when the backup, or its address, became another."""
        await self._resolve()
        if self._resolved != self._told:
            # A guard that is gone or stands still is noticed by who looks after it.
            with contextlib.suppress(GuardError):
                await self.configure(guard)

    def heard(self, layers: tuple[LayerStatus, ...]) -> None:
        """How they stand by the guard's last word; the rules are told what changed."""
        before, self.layers = self.layers, layers
        if before == layers:
            return
        self._count(before)
        for layer in layers:
            if layer.state == MISSING:
                log.warning(
                    "a layer of the fence is missing",
                    service=self._service,
                    layer=layer.name,
                    required=layer.required,
                    why=layer.why,
                    mend=layer.mend,
                )
        self._put(FencesTold(said(layers), missing(layers), least_ttl_ms(layers)))

    def _count(self, before: tuple[LayerStatus, ...]) -> None:
        if self._metrics is None:
            return
        gauge = self._metrics.fence_layer
        for layer in before:
            gauge.remove(self._service, layer.name, str(layer.required).lower())
        for layer in self.layers:
            labels = (self._service, layer.name, str(layer.required).lower())
            gauge.labels(*labels).set(layer.state != MISSING)

    async def _sweep(self) -> None:
        """A door that an earlier configuration wanted must not stay shut."""
        if self._swept or self._wanted.nftables != "off":
            return
        self._swept = True
        with contextlib.suppress(FenceError, ValueError):
            door = Nftables(self._service, self._address)
            await asyncio.to_thread(door.remove)

    async def _resolve(self) -> None:
        """A name that is not resolved in time leaves what is known of it."""
        loop, partner = asyncio.get_running_loop(), self._partner()
        if partner == self._resolved_of and loop.time() < self._resolve_at_s:
            return
        self._resolve_at_s = loop.time() + RESOLVE_EVERY_S
        known = self._resolved if partner == self._resolved_of else ()
        self._resolved_of = partner
        self._resolved = await addresses_of(partner) or known

    def _lacking(self, why: str) -> tuple[LayerStatus, ...]:
        wanted = {"nftables": self._wanted.nftables, "watchdog": self._wanted.watchdog}
        return tuple(
            LayerStatus(name, MISSING, demand == "required", why)
            for name, demand in wanted.items()
            if demand != "off"
        )


async def addresses_of(address: str) -> tuple[str, ...]:
    """The IP addresses of host:port, sorted; none when it is not known in time."""
    host = address.rpartition(":")[0].strip("[]")
    with contextlib.suppress(ValueError):
        return (str(ipaddress.ip_address(host)),)
    found: set[str] = set()
    if host:
        with contextlib.suppress(OSError, TimeoutError, UnicodeError):
            async with asyncio.timeout(RESOLVE_LIMIT_S):
                loop = asyncio.get_running_loop()
                infos = await loop.getaddrinfo(host, None, type=socket.SOCK_STREAM)
                found = {str(info[4][0]) for info in infos}
    return tuple(sorted(found))


def said(layers: tuple[LayerStatus, ...]) -> str:
    """The layers that hold, innermost first, and after them those that do not."""
    holding = [layer.name for layer in layers if layer.state != MISSING]
    lacking = [f"no {layer.name} ({layer.why})" for layer in layers if layer.state == MISSING]
    return ", ".join([*holding, *lacking])


def missing(layers: tuple[LayerStatus, ...]) -> str:
    """Which required layers do not hold, why, and the mend; empty when all do."""
    return "; ".join(
        f"{layer.name}: {layer.why}; {layer.mend}" if layer.mend else f"{layer.name}: {layer.why}"
        for layer in layers
        if layer.required and layer.state == MISSING
    )


def least_ttl_ms(layers: tuple[LayerStatus, ...]) -> int:
    """How long a lease must last for all that is required; 0 for any."""
    return max((layer.least_ttl_ms for layer in layers if layer.required), default=0)
