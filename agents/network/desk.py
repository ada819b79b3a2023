"""Questions of partners that wait for the answer of a replica's rules."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable

from agents.core.actions import AnswerAsk
from agents.core.events import AskCame
from protocol.messages import Ask, Granted

ANSWER_LIMIT_S = 0.4
"""One slow service must not hold up the others that are asked in the same request."""
WAITING_AT_MOST = 1024


class Desk:
    """Hands a question to the rules of its service and waits for the answer."""

    def __init__(self, put: Callable[[str, AskCame], bool]) -> None:
        """`put` gives the event to the service of that name; False when there is none here."""
        self._put = put
        self._numbers = itertools.count(1)
        self._waiting: dict[str, asyncio.Future[Granted | None]] = {}

    async def ask(self, agent: str, ask: Ask) -> Granted | None:
        """The answer; None when there is none in time, which a holder takes as silence."""
        if len(self._waiting) >= WAITING_AT_MOST:
            return None
        question = str(next(self._numbers))
        answered: asyncio.Future[Granted | None] = asyncio.get_running_loop().create_future()
        self._waiting[question] = answered
        try:
            if not self._put(ask.service, AskCame(question, agent, ask)):
                return _unknown(ask)
            async with asyncio.timeout(ANSWER_LIMIT_S):
                return await answered
        except TimeoutError:
            return None
        finally:
            del self._waiting[question]

    def answer(self, answer: AnswerAsk) -> None:
        """The rules answered."""
        self._settle(answer.question, answer.granted)

    def give_up(self, question: str) -> None:
        """There will be no answer."""
        self._settle(question, None)

    def _settle(self, question: str, granted: Granted | None) -> None:
        answered = self._waiting.get(question)
        if answered is not None and not answered.done():
            answered.set_result(granted)


def _unknown(ask: Ask) -> Granted:
    return Granted(
        service=ask.service,
        service_uid=ask.service_uid,
        epoch=0,
        revision=0,
        nonce=ask.nonce,
        grantor_set=0,
        refusal=f"no service {ask.service} is configured on this agent",
    )
