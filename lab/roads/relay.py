"""One relayed TCP connection with the delay, the speed and the faults of a long road.

A Road is one direction between two places and is shared by all connections that use it. A
Flow is one direction of one connection: bytes wait in it, each piece with the moment at which
it may leave. Delay costs no throughput: a Flow holds up to MAX_FLOW_BYTES and then stops
reading. Moments are seconds of the event loop's clock.

A new connection is dialled on at one and a half round trips after it was accepted, which is
when the far end of a real handshake would see it with its first bytes; only the near end's
connect() returns earlier than it really would.
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
import random
import socket
import struct
from collections import deque

MAX_CONNECTIONS = 512
MAX_FLOW_BYTES = 8 * 1024 * 1024
SLOW_PIECE_BYTES = 16 * 1024
SLOW_QUEUE_S = 0.25
DIAL_TIMEOUT_S = 10.0
WRITE_BUFFER_BYTES = 1024 * 1024
EARLY_S = 1e-6
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class State(enum.Enum):
    """OPEN carries. SILENT holds all bytes and ends back until healed. RESET refuses."""

    OPEN = "open"
    SILENT = "silent"
    RESET = "reset"


class _End(enum.Enum):
    """What may follow the last byte of a flow."""

    SHUT = "shut"
    CLOSED = "closed"
    ABORTED = "aborted"


class Road:
    """One direction between two places; `delay_s` is half of their round trip."""

    def __init__(self, delay_s: float, dice: random.Random) -> None:
        self.delay_s = delay_s
        self.bytes_s = 0
        """Speed shared by all connections, 0 for no limit."""
        self.hiccup_probability = 0.0
        self.hiccup_s = 0.0
        self.flows: set[Flow] = set()
        self.passable = asyncio.Event()
        self.passable.set()
        self._state = State.OPEN
        self._dice = dice
        self._free_at = 0.0

    @property
    def state(self) -> State:
        return self._state

    def become(self, state: State) -> None:
        """Change the state; what was held back leaves one delay after the road opened."""
        if state is self._state:
            return
        self._state = state
        if state is State.OPEN:
            self.passable.set()
            for flow in tuple(self.flows):
                flow.road_opened()
            return
        self.passable.clear()
        if state is State.RESET:
            for flow in tuple(self.flows):
                flow.connection.close(abort=True)

    def due(self, now: float, size: int) -> float:
        """When `size` bytes that enter now come out at the far end."""
        leaves = now
        if self.bytes_s:
            leaves = max(now, self._free_at) + size / self.bytes_s
            self._free_at = leaves
        if self.hiccup_probability and self._dice.random() < self.hiccup_probability:
            leaves += self.hiccup_s
        return leaves + self.delay_s

    def queue_limit_bytes(self) -> int:
        """A slow road must not look like a fast one with a deep buffer before it."""
        if not self.bytes_s:
            return MAX_FLOW_BYTES
        return min(MAX_FLOW_BYTES, max(SLOW_PIECE_BYTES, int(self.bytes_s * SLOW_QUEUE_S)))


class Flow:
    """One direction of one connection: from `source`, over the road, into `sink`."""

    def __init__(self, road: Road, connection: Connection) -> None:
        self.road = road
        self.source: asyncio.Transport | None = None
        self.sink: asyncio.Transport | None = None
        self.carried_bytes = 0
        self.shut = False
        self.connection = connection
        self._loop = asyncio.get_running_loop()
        self._queue: deque[tuple[float, bytes | _End]] = deque()
        self._queued_bytes = 0
        self._last_due = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._sink_full = False
        self._source_paused = False
        road.flows.add(self)

    def push(self, data: bytes) -> None:
        """Bytes from the source."""
        now = self._loop.time()
        step = SLOW_PIECE_BYTES if self.road.bytes_s else len(data)
        for start in range(0, len(data), step):
            piece = data[start : start + step]
            self._enqueue(self.road.due(now, len(piece)), piece)
        self._queued_bytes += len(data)
        if self._queued_bytes > self.road.queue_limit_bytes() and self.source is not None:
            self._source_paused = True
            self.source.pause_reading()

    def end(self, how: _End) -> None:
        """The source says no more; told at the far end after the bytes before it."""
        if how is not _End.SHUT:
            self.source = None
        self._enqueue(self.road.due(self._loop.time(), 0), how)

    def attach_sink(self, sink: asyncio.Transport) -> None:
        self.sink = sink
        self._pump()

    def sink_full(self, full: bool) -> None:
        self._sink_full = full
        if not full:
            self._pump()

    def road_opened(self) -> None:
        again_at = self._loop.time() + self.road.delay_s
        self._last_due = max(self._last_due, again_at)
        self._queue = deque((max(due, again_at), what) for due, what in self._queue)
        self._pump()

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._queue.clear()
        self.source = self.sink = None
        self.road.flows.discard(self)

    def _enqueue(self, due: float, what: bytes | _End) -> None:
        self._last_due = max(self._last_due, due)
        self._queue.append((self._last_due, what))
        self._arm()

    def _arm(self) -> None:
        if self._queue and self._timer is None and self._may_deliver():
            self._timer = self._loop.call_at(self._queue[0][0], self._on_timer)

    def _may_deliver(self) -> bool:
        return self.sink is not None and not self._sink_full and self.road.state is State.OPEN

    def _on_timer(self) -> None:
        self._timer = None
        self._pump()

    def _pump(self) -> None:
        now = self._loop.time() + EARLY_S
        ready: list[bytes] = []
        end: _End | None = None
        while end is None and self._may_deliver() and self._queue and self._queue[0][0] <= now:
            what = self._queue.popleft()[1]
            if isinstance(what, _End):
                end = what
            else:
                ready.append(what)
        self._deliver(ready, end)
        self._arm()

    def _deliver(self, ready: list[bytes], end: _End | None) -> None:
        if ready and self.sink is not None:
            size = sum(map(len, ready))
            self._queued_bytes -= size
            self.carried_bytes += size
            self.sink.write(ready[0] if len(ready) == 1 else b"".join(ready))
        if self._source_paused and self._queued_bytes <= self.road.queue_limit_bytes() // 2:
            self._source_paused = False
            if self.source is not None:
                self.source.resume_reading()
        if end is _End.SHUT:
            self._shut()
        elif end is not None:
            self.connection.close(abort=end is _End.ABORTED)

    def _shut(self) -> None:
        self.shut = True
        try:
            if self.sink is not None and self.sink.can_write_eof():
                self.sink.write_eof()
        except OSError:
            # It was reset a moment ago, so nothing is carried any more, either way.
            self.connection.close(abort=True)
            return
        self.connection.one_way_shut()


class _Side(asyncio.Protocol):
    """One end of a connection: what it reads goes `out`, what comes `back` is written to it."""

    def __init__(self, connection: Connection, out: Flow, back: Flow, *, near: bool) -> None:
        self._connection = connection
        self._out = out
        self._back = back
        self._near = near

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.set_write_buffer_limits(high=WRITE_BUFFER_BYTES)
        self._out.source = transport
        if self._near:
            self._connection.accepted(transport)
        self._back.attach_sink(transport)

    def data_received(self, data: bytes) -> None:
        self._out.push(data)

    def eof_received(self) -> bool:
        self._out.end(_End.SHUT)
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self._connection.lost(self._out, self._back, abort=exc is not None)

    def pause_writing(self) -> None:
        self._back.sink_full(True)

    def resume_writing(self) -> None:
        self._back.sink_full(False)


class Connection:
    """An accepted connection and the one dialled for it.

    `connections` holds it while it lives; beyond MAX_CONNECTIONS of them it is reset at once.
    """

    def __init__(
        self,
        there: Road,
        back: Road,
        target: tuple[str, int],
        connections: set[Connection],
    ) -> None:
        self.there = Flow(there, self)
        self.back = Flow(back, self)
        self._target = target
        self._connections = connections
        self._dialling: asyncio.Task[None] | None = None
        self._ends: list[asyncio.Transport] = []
        self._closed = False

    def near_side(self) -> asyncio.Protocol:
        return _Side(self, self.there, self.back, near=True)

    def accepted(self, transport: asyncio.Transport) -> None:
        self._ends.append(transport)
        full = len(self._connections) >= MAX_CONNECTIONS
        self._connections.add(self)
        if full or State.RESET in (self.there.road.state, self.back.road.state):
            self.close(abort=True)
            return
        self._dialling = asyncio.create_task(self._dial(), name="relay dial")

    async def _dial(self) -> None:
        there, back = self.there.road, self.back.road
        await asyncio.sleep(2 * there.delay_s + back.delay_s)
        while not (there.passable.is_set() and back.passable.is_set()):
            await there.passable.wait()
            await back.passable.wait()
        # The handshake is past, so the first bytes have no further delay to wait for.
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(DIAL_TIMEOUT_S):
                transport, _ = await loop.create_connection(
                    lambda: _Side(self, self.back, self.there, near=False), *self._target
                )
        except OSError:
            self.close(abort=True)
            return
        self._ends.append(transport)

    def lost(self, out: Flow, back: Flow, *, abort: bool) -> None:
        """One end is gone; the other learns of it when the news has travelled."""
        if self._closed:
            return
        back.sink = None
        if out.sink is None:
            # The other end is not there yet, or is gone before this one could tell it.
            self.close(abort=True)
            return
        out.end(_End.ABORTED if abort else _End.CLOSED)

    def one_way_shut(self) -> None:
        if self.there.shut and self.back.shut:
            self.close(abort=False)

    def close(self, *, abort: bool) -> None:
        """End both sides at once; with `abort` they see a reset."""
        if self._closed:
            return
        self._closed = True
        self._connections.discard(self)
        if self._dialling is not None and self._dialling is not asyncio.current_task():
            self._dialling.cancel()
        self.there.close()
        self.back.close()
        for transport in self._ends:
            if abort:
                _reset_on_close(transport)
                transport.abort()
            else:
                transport.close()


def _reset_on_close(transport: asyncio.Transport) -> None:
    sock = transport.get_extra_info("socket")
    if sock is not None:
        # The peer may have gone first, and its end with it.
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
