"""What is written in a thread is never overtaken by what is written after it."""

from __future__ import annotations

import asyncio
import threading

import pytest

from agents.engines.pg_offloop import to_the_end


async def test_a_cancelled_caller_waits_for_its_thread_while_the_loop_goes_on() -> None:
    begun, may_end, done = threading.Event(), threading.Event(), []

    def work() -> None:
        begun.set()
        assert may_end.wait(30)
        done.append(threading.current_thread())

    task = asyncio.create_task(to_the_end(work))
    await asyncio.to_thread(begun.wait, 30)
    task.cancel()
    await asyncio.sleep(0)
    assert not task.done()
    may_end.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert done
    assert done[0] is not threading.main_thread()


async def test_its_result_and_its_error_come_back() -> None:
    assert await to_the_end(int, "7") == 7
    with pytest.raises(ValueError, match="invalid literal"):
        await to_the_end(int, "x")
