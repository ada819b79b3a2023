"""Makes what a link publishes get lost, doubled, late and garbled, from a fixed seed."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Any

EACH_PERCENT = 10
LATE_S = 0.3


def spoil(link: Any, seed: int) -> None:
    """Wrap the `publish` of a class of broker links."""
    dice = random.Random(seed)
    publish = link.publish

    def chaotic(self: Any, where: str, payload: bytes) -> None:
        def send(sent: bytes) -> Callable[[], None]:
            return lambda: publish(self, where, sent)

        fate = dice.randrange(100) // EACH_PERCENT
        if fate == 0:
            return
        if fate == 1:
            publish(self, where, payload)
        if fate == 2:
            asyncio.get_running_loop().call_later(dice.random() * LATE_S, send(payload))
            return
        if fate == 3:
            at = dice.randrange(len(payload))
            garbage = payload[:at] + bytes([dice.randrange(256)]) + payload[at + 1 :]
            publish(self, where, dice.choice([garbage, payload[:at], dice.randbytes(300)]))
            return
        publish(self, where, payload)

    link.publish = chaotic
