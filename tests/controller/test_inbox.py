"""The queue before the rules: bounded, fair to requests, and counted."""

from __future__ import annotations

import asyncio

import pytest

from controller.core.events import Kind, RenewCame, ReportCame, Requested, Tick
from controller.inbox import REQUESTS_AT_MOST, Busy, Inbox, Submission
from protocol.messages import Header, Renew, Report

HEADER = Header("c1", "batam-1", "boot", "life", 1)
REPORT = ReportCame(Report(HEADER, ()))
RENEW = RenewCame(Renew(HEADER, ()))


def submission() -> Submission:
    future = asyncio.get_running_loop().create_future()
    return Submission(Requested("r", Kind.PAUSE, "paspor", "siti"), future)


async def everything(inbox: Inbox) -> list[type]:
    return [type(await inbox.get()) for _ in range(len(inbox))]


async def test_what_comes_first_is_served_first() -> None:
    inbox = Inbox()
    inbox.put(REPORT)
    inbox.tick()
    inbox.submit(submission())
    inbox.put(RENEW)
    assert await everything(inbox) == [ReportCame, Tick, Submission, RenewCame]
    assert not inbox.dropped


async def test_a_tick_that_waits_is_not_doubled() -> None:
    inbox = Inbox()
    inbox.tick()
    inbox.tick()
    assert await everything(inbox) == [Tick]
    inbox.tick()
    assert await everything(inbox) == [Tick]


async def test_a_full_queue_drops_reports_before_renewals_and_never_requests() -> None:
    inbox = Inbox(items_at_most=3)
    inbox.submit(submission())
    inbox.put(RENEW)
    inbox.put(REPORT)
    inbox.put(RENEW)
    assert inbox.dropped == {"report": 1}
    inbox.put(RENEW)
    assert inbox.dropped == {"report": 1, "renew": 1}
    inbox.submit(submission())
    inbox.submit(submission())
    assert inbox.dropped == {"report": 1, "renew": 3}
    inbox.put(REPORT)
    assert inbox.dropped == {"report": 2, "renew": 3}
    assert await everything(inbox) == [Submission] * 3


async def test_too_many_requests_are_told_to_come_again() -> None:
    inbox = Inbox()
    for _ in range(REQUESTS_AT_MOST):
        inbox.submit(submission())
    with pytest.raises(Busy, match="again"):
        inbox.submit(submission())
    await inbox.get()
    inbox.submit(submission())


async def test_the_reader_wakes_for_what_comes_later() -> None:
    inbox = Inbox()
    reader = asyncio.create_task(inbox.get())
    await asyncio.sleep(0)
    inbox.put(REPORT)
    assert await asyncio.wait_for(reader, 10) is REPORT
