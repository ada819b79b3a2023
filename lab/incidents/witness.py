"""What is seen from within a site while nobody else can see it: a client of its own, its lease.

The writer stands in the site and never leaves its engine. The ground is asked when the lease of
that engine ends, where the system can tell. All times are milliseconds of the boot-time clock,
which all sites of a machine share.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from lab.base.geography import SITES
from lab.base.processes import Child
from lab.base.records import Answer, Insert, now_ms
from lab.incidents.incident import Watch, acked
from lab.incidents.loyal import FAR_APART, INSIDE, Loyal, start_loyal

FIRST_WRITE_TIMEOUT_S = 30.0
LOOK_AGAIN_S = 0.05


@dataclass
class Witness:
    """A writer in one site, and the last lease that its engine was given, while it is open."""

    watch: Watch[Any]
    """On a `lab.running.ground.UnkindGround`."""
    site: str
    patience_s: float = 0.0
    """Above 0 there are `lab.incidents.loyal` clients of its engine, too, who wait so long for an
    answer."""
    loyal: list[Loyal] = field(default_factory=list, init=False)
    lease_end_ms: float | None = field(default=0.0, init=False)
    """0 while no lease has ever been seen; None where the system does not tell."""
    begun_ms: float = field(default_factory=now_ms, init=False)
    _writer: Child = field(init=False)
    _asking: asyncio.Task[None] = field(init=False)

    async def __aenter__(self) -> Witness:
        first_n = FAR_APART * (INSIDE + SITES.index(self.site))
        self._writer = self.watch.start_writer(self._name, self.site, (self.site,), first_n)
        if self.patience_s:
            self.loyal = start_loyal(self.watch, self.site, self.patience_s)
        self._asking = asyncio.create_task(self._ask(), name=f"witness of {self.site}")
        try:
            await self._wait_for_writes()
        except BaseException:
            await self._end()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._end()

    @property
    def pid(self) -> int:
        """The writer's process."""
        return self._writer.pid

    def inserts(self) -> list[Insert]:
        """What the clients of the site's own engine tried since this witness was called."""
        return [line for lines in self._by_client() for line in lines]

    def last_acked_ms(self, until_ms: float) -> float:
        """The last acknowledgement before this, that any client got from this site's engine."""
        inserts = [*self.inserts(), *self.watch.inserts()]
        ends = [i.end_ms for i in inserts if acked(i) and i.site == self.site]
        ends += [
            probe.end_ms
            for probe in self.watch.probes()
            if probe.answer is Answer.COMMITTED and probe.site == self.site
        ]
        return max((end for end in ends if end < until_ms), default=0.0)

    @property
    def _name(self) -> str:
        return f"inside-{self.site}"

    async def _wait_for_writes(self) -> None:
        while now_ms() < self.begun_ms + FIRST_WRITE_TIMEOUT_S * 1000:
            all_write = all(any(acked(i) for i in lines) for lines in self._by_client())
            if self.lease_end_ms != 0 and all_write:
                return
            await asyncio.sleep(LOOK_AGAIN_S)
        acks = [sum(acked(i) for i in lines) for lines in self._by_client()]
        raise TimeoutError(
            f"{self.site}: no write of a client inside was acknowledged under a lease within "
            f"{FIRST_WRITE_TIMEOUT_S} s; acknowledged by client: {acks}, the lease ends at "
            f"{self.lease_end_ms} ms\n{self._writer.last_words(5)}"
        )

    def _by_client(self) -> list[list[Insert]]:
        names = (self._name, *(one.name for one in self.loyal))
        found = [self.watch.inserts_of(name) for name in names]
        return [[line for line in lines if line.start_ms >= self.begun_ms] for lines in found]

    async def _end(self) -> None:
        self._asking.cancel()
        await asyncio.gather(self._asking, return_exceptions=True)
        children = (self._writer, *(one.child for one in self.loyal))
        await asyncio.gather(*(child.end() for child in children))

    async def _ask(self) -> None:
        lab, service = self.watch.lab, self.watch.service
        while self.lease_end_ms is not None:
            # A holder that is frozen, or begins anew, says nothing; the next answer counts.
            with contextlib.suppress(OSError, ValueError):
                told_ms = await lab.lease_end_ms(service, self.site)
                self.lease_end_ms = None if told_ms is None else max(self.lease_end_ms, told_ms)
            await asyncio.sleep(LOOK_AGAIN_S)
