"""The simulated network does what its faults say; the shipped intake refuses damage."""

from __future__ import annotations

import msgspec
import pytest

from protocol.intake import Intake, Reason, Rejected
from protocol.messages import Header, Renew
from simulator.kernel import Kernel
from simulator.network import HUB, Network, damage
from simulator.setting import WEATHERS

RAW = msgspec.json.encode(Renew(Header("simulated", "alpha", "boot-1", "1-alpha", 7), ()))


def told(network: Network, kernel: Kernel, *numbers: int) -> list[bytes]:
    """What arrives of these at the hub, from now on."""
    heard: list[bytes] = []
    for number in numbers:
        network.send("alpha", HUB, b"%d" % number, heard.append)
    kernel.run_until(kernel.now_ms + 100)
    return heard


@pytest.fixture
def kernel() -> Kernel:
    return Kernel(1, keep_story=False)


@pytest.fixture
def network(kernel: Kernel) -> Network:
    return Network(kernel, WEATHERS["calm"], ordered=True)


def test_damaged_message_is_refused_wherever_it_was_hit() -> None:
    """Cut short anywhere, or any one byte changed: nothing of it is taken."""
    for dice in range(2 * len(RAW)):
        with pytest.raises(Rejected) as refused:
            Intake("simulated").take(damage(RAW, dice), Renew, "alpha")
        assert refused.value.reason is Reason.MALFORMED


def test_stalled_link_tells_everything_at_once_in_its_order(
    network: Network, kernel: Kernel
) -> None:
    """Nothing is lost of what waited."""
    network.stall("alpha", HUB, 500)
    heard = told(network, kernel, 1, 2, 3)
    assert heard == []
    kernel.run_until(500)
    assert heard == [b"1", b"2", b"3"]


def test_restarted_broker_forgets_what_was_under_way(network: Network, kernel: Kernel) -> None:
    """And passes on what is sent when it is back."""
    heard: list[bytes] = []
    network.send("alpha", HUB, b"1", heard.append)
    network.restart_broker(kernel.now_ms)
    assert told(network, kernel, 2) == [b"2"]
    assert heard == []


def test_old_message_comes_again(network: Network, kernel: Kernel) -> None:
    """The one so far back, or the oldest that is known."""
    heard = told(network, kernel, *range(5))
    network.replay("alpha", HUB, 1)
    kernel.run_until(kernel.now_ms + 100)
    network.replay("alpha", HUB, 99)
    kernel.run_until(kernel.now_ms + 100)
    assert heard[5:] == [b"3", b"0"]
