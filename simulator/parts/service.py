"""One service of the simulated world: its copies, its stream, and a client that never stops."""

from __future__ import annotations

from functools import partial

from controller.core.model import ServiceSpec
from protocol.messages import Role
from simulator.kernel import Kernel
from simulator.parts.engine import Changed, Engine
from simulator.parts.history import History
from simulator.parts.network import Network

STREAM_EVERY_MS = 50


class Service:
    """The declared service, its engines by agent, and what flows through them."""

    def __init__(
        self,
        kernel: Kernel,
        network: Network,
        spec: ServiceSpec,
        changed: Changed,
        write_every_ms: int,
        write_bytes: int,
    ) -> None:
        self._kernel = kernel
        self._network = network
        self.spec = spec
        self.name = spec.name
        self.uid = spec.uid
        self.history = History()
        self.engines: dict[str, Engine] = {}
        self.write_bytes = write_bytes
        self.write_every_ms = write_every_ms
        self._addresses: dict[str, Engine] = {}
        for replica in spec.replicas:
            engine = Engine(kernel, network, self.history, replica.site, changed)
            self.engines[replica.agent] = engine
            self._addresses[replica.engine_address] = engine
        self._engines = list(self.engines.values())
        kernel.after(write_every_ms, self._write)
        kernel.after(STREAM_EVERY_MS, self._stream_all)

    @property
    def rate_bytes_s(self) -> int:
        return self.write_bytes * 1000 // self.write_every_ms

    def primary_at(self, address: str, site: str) -> Engine | None:
        """The primary that answers there, as seen from a site."""
        engine = self._addresses.get(address)
        if engine is None or not engine.writable or not engine.well:
            return None
        return engine if self._network.open_both_ways(site, engine.site) else None

    def stream(self, source: Engine) -> None:
        """Send the log to every copy that follows this one and may."""
        for copy in self._engines:
            if copy.role is Role.STANDBY and self._addresses.get(copy.upstream) is source:
                self._send_log(source, copy)

    def hand_over_log(self, address: str, copy: Engine) -> str:
        """Give a standby what the log there holds more; the error, or nothing."""
        source = self._addresses.get(address)
        if (
            source is None
            or source.frozen
            or not self._network.open_both_ways(copy.site, source.site)
        ):
            return f"{address} cannot be reached"
        if not self.history.follows(copy.timeline, copy.position, source.timeline, source.position):
            return "that log is of another history"
        copy.timeline, copy.position = source.timeline, source.position
        return ""

    def _write(self) -> None:
        for engine in self._engines:
            engine.write(self.write_bytes)
        self._kernel.after(self.write_every_ms, self._write)

    def _stream_all(self) -> None:
        for engine in self._engines:
            if engine.may_commit:
                self.stream(engine)
        self._kernel.after(STREAM_EVERY_MS, self._stream_all)

    def _send_log(self, source: Engine, copy: Engine) -> None:
        if not self._network.open_both_ways(source.site, copy.site):
            return
        follows = self.history.follows(
            copy.timeline, copy.position, source.timeline, source.position
        )
        copy.learn_whether_apart(not follows)
        if not follows:
            return
        run, source_run, target = copy.run, source.run, source.position
        delay_ms = self._network.stream_ms(source.site, copy.site)
        self._kernel.after(delay_ms, partial(copy.receive, run, source, source_run, target))
