"""A relayed connection leaves nothing behind, however its ends go."""

from __future__ import annotations

import asyncio
import errno
import random
from typing import Any

import pytest

from lab.roads.relay import Connection, Road, _Side


class Wire(asyncio.Transport):
    """An end that was reset: nothing more can be said to it."""

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        raise OSError(errno.ENOTCONN, "Transport endpoint is not connected")

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def abort(self) -> None:
        pass

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default


@pytest.fixture(autouse=True)
def dialled(monkeypatch: pytest.MonkeyPatch) -> None:
    """The far end is there at once, and no real one is looked for."""

    async def dial(_connection: Connection) -> None:
        return

    monkeypatch.setattr(Connection, "_dial", dial)


async def carried(
    delay_s: float = 0.0,
) -> tuple[set[Connection], asyncio.Protocol, asyncio.Protocol]:
    """The connections that are carried, one, and its two ends."""
    roads = [Road(delay_s, random.Random(1)) for _ in range(2)]
    alive: set[Connection] = set()
    connection = Connection(roads[0], roads[1], ("127.0.0.1", 1), alive)
    near = connection.near_side()
    near.connection_made(Wire())
    far = _Side(connection, connection.back, connection.there, near=False)
    far.connection_made(Wire())
    await asyncio.sleep(0)
    assert alive == {connection}
    return alive, near, far


async def test_an_end_that_is_reset_before_it_is_told_of_the_last_byte_leaves_nothing() -> None:
    alive, _near, far = await carried()
    far.eof_received()
    # The timer of the road without delay is due at once.
    await asyncio.sleep(0.05)
    assert not alive


async def test_both_ends_lost_before_either_could_be_told_leave_nothing() -> None:
    alive, near, far = await carried(delay_s=60.0)
    far.connection_lost(None)
    assert alive
    near.connection_lost(None)
    assert not alive
