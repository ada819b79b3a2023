"""Asks the feeds that have a URL, each on its own: in time, within bounds, and without haste.

A feed that fails is asked ever more seldom, up to a quarter of an hour. None of it ends the
controller, and none of it holds the rules up.
"""

from __future__ import annotations

import asyncio

import aiohttp
import structlog
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, wait_exponential

from config.hazards import Feed
from controller.hazards.desk import DOCUMENT_AT_MOST_BYTES, Arrival, HazardDesk
from controller.hazards.quakes import UnfitDocument

TIMEOUT_S = 15.0
LONGEST_PAUSE_S = 900.0
HEADERS = {"Accept": "application/json", "Accept-Encoding": "identity"}
"""Uncompressed, so that a small answer cannot become a huge document."""

log = structlog.get_logger("hazards")


class FeedFailed(Exception):
    """The feed gave no document; the text says why."""

    def __init__(self, arrival: Arrival, problem: str) -> None:
        self.arrival, self.problem = arrival, problem
        super().__init__(problem)


async def poll_all(feeds: tuple[Feed, ...], desk: HazardDesk, version: str) -> None:
    """Ask all feeds that have a URL, until cancelled."""
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
    headers = {**HEADERS, "User-Agent": f"saling/{version}"}
    session = aiohttp.ClientSession(
        timeout=timeout, headers=headers, trust_env=True, auto_decompress=False
    )
    async with session, asyncio.TaskGroup() as group:
        for feed in feeds:
            if feed.url is not None:
                group.create_task(Poller(feed, desk, session).run(), name=f"feed {feed.name}")


class Poller:
    """Asks one feed again and again."""

    def __init__(self, feed: Feed, desk: HazardDesk, session: aiohttp.ClientSession) -> None:
        self._feed = feed
        self._desk = desk
        self._session = session
        self._etag = ""

    async def run(self, pause_s: float | None = None) -> None:
        """Until cancelled."""
        every_s = self._feed.every_ms / 1000 if pause_s is None else pause_s
        persistent = AsyncRetrying(
            retry=retry_if_exception_type(FeedFailed),
            wait=wait_exponential(multiplier=every_s, min=every_s, max=LONGEST_PAUSE_S),
            before_sleep=self._say,
        )
        while True:
            await persistent(self.ask)
            await asyncio.sleep(every_s)

    async def ask(self) -> None:
        """Ask once. Raises FeedFailed, which was counted."""
        try:
            raw = await self._document()
            if raw is None:
                self._desk.unchanged(self._feed.name)
            else:
                await self._desk.take(self._feed.name, raw)
        except FeedFailed as failed:
            self._desk.failed(self._feed.name, failed.arrival, failed.problem)
            raise
        except UnfitDocument as error:
            self._etag = ""
            raise FeedFailed(Arrival.MALFORMED, str(error)) from None
        except Exception as error:  # noqa: BLE001 - a stranger's word must not end the controller
            self._etag = ""
            problem = f"{type(error).__name__}: {error}"
            self._desk.failed(self._feed.name, Arrival.FAILED, problem)
            raise FeedFailed(Arrival.FAILED, problem) from None

    async def _document(self) -> bytes | None:
        """What the feed answers; None where nothing is new. Raises FeedFailed."""
        asked = {"If-None-Match": self._etag} if self._etag else {}
        try:
            async with self._session.get(
                str(self._feed.url), headers=asked, allow_redirects=False
            ) as answer:
                if answer.status == 304 and self._etag:
                    return None
                if answer.status != 200:
                    raise FeedFailed(Arrival.FAILED, _not_well(answer))
                raw = await _bounded(answer)
                self._etag = answer.headers.get("ETag", "")[:200]
                return raw
        except TimeoutError:
            text = f"no whole answer within {TIMEOUT_S:g} s"
            raise FeedFailed(Arrival.FAILED, text) from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            text = str(error) or type(error).__name__
            raise FeedFailed(Arrival.FAILED, text[:200]) from None

    def _say(self, state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        pause_s = state.next_action.sleep if state.next_action else 0
        log.warning(
            "a hazard feed gave no document that can be read",
            feed=self._feed.name,
            problem=str(error),
            asked_again_in_s=round(pause_s),
        )


async def _bounded(answer: aiohttp.ClientResponse) -> bytes:
    raw = bytearray()
    async for part in answer.content.iter_chunked(2**16):
        raw += part
        if len(raw) > DOCUMENT_AT_MOST_BYTES:
            text = f"larger than {DOCUMENT_AT_MOST_BYTES} bytes"
            raise FeedFailed(Arrival.TOO_LARGE, text)
    return bytes(raw)


def _not_well(answer: aiohttp.ClientResponse) -> str:
    if 300 <= answer.status < 400:
        to = answer.headers.get("Location", "")[:200]
        return f"it is elsewhere now ({answer.status}, {to!r}): give that URL, if it is the feed's"
    return f"it answered with status {answer.status}"
