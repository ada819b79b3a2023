"""One contract for every layer of the fence, and the kernel's door for real.

The door is tried in a network namespace of the test's own, over TCP that a fence must stop: new
connections and old ones. That needs root, nft and its library; else the test says so.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from agents.fences.base import ARMED, CLOSED, OPEN, FenceError, Layer
from agents.fences.nftables import Nftables
from agents.fences.process import Process
from agents.fences.watchdog import Watchdog
from agents.guard.client import GuardRefused, LayerStatus, now_ms
from lab.roads.netns import Place, within
from tests.agents.guard.bench import PatientClient, until
from tests.contracts.doors import guard_within, needs_door, why_no_door

ADDRESS = "127.0.0.1:5433"
LATE_AT_MOST_MS = 30
"""Set timers run on the kernel's tick: ten of a slow one. The rest is the test's own reading."""
ENGINE = """
import socketserver
class Echo(socketserver.BaseRequestHandler):
    def handle(self):
        while said := self.request.recv(100):
            self.request.sendall(said)
socketserver.ThreadingTCPServer.allow_reuse_address = True
socketserver.ThreadingTCPServer.daemon_threads = True
socketserver.ThreadingTCPServer(("127.0.0.1", 5433), Echo).serve_forever()
"""


class StandIn:
    """In a watchdog's place."""

    def set_timeout(self, seconds: int) -> int:
        return seconds

    def pet(self) -> None:
        pass

    def disarm(self) -> bool:
        return True


@pytest.fixture(params=["process", "nftables", "watchdog"])
def layer(request: pytest.FixtureRequest) -> Iterator[Layer]:
    if request.param == "process":
        yield Process(locked_memory=True, realtime=True)
    elif request.param == "watchdog":
        yield Watchdog("/dev/null", lambda _: StandIn())
    elif why_no_door():
        pytest.skip(why_no_door())
    else:
        with within(request.getfixturevalue("network")):
            yield Nftables("paspor", ADDRESS)


def test_a_layer_stands_as_it_is_told_however_often(layer: Layer) -> None:
    soon_ms = now_ms() + 20_000
    layer.begin()
    layer.open(alone=False)
    for _ in range(2):
        layer.arm(soon_ms, soon_ms + 500)
        layer.arm(soon_ms + 1000, soon_ms + 1500)
        layer.tick()
        assert layer.state == ARMED
    for _ in range(2):
        layer.open(alone=True)
        assert layer.state == OPEN
    for _ in range(2):
        layer.close()
        assert layer.state == CLOSED
    layer.open(alone=False)
    assert layer.state == OPEN
    layer.remove()
    layer.remove()


def test_a_layer_is_tried_without_a_trace(layer: Layer) -> None:
    health = layer.check()
    assert health.text
    # The watchdog of this test is no device of the kernel's; the rest holds here.
    assert health.holds


# The door.


def reset_or_silent(client: socket.socket) -> bool:
    """Nothing comes out of this connection any more."""
    client.settimeout(1.0)
    try:
        return client.recv(100) == b""
    except OSError:
        return True


OPENED: list[socket.socket] = []


@pytest.fixture(autouse=True)
def no_socket_is_left() -> Iterator[None]:
    yield
    for opened in OPENED:
        opened.close()
    OPENED.clear()


def connection(to: str = "127.0.0.1", source: str = "127.0.0.1") -> socket.socket:
    OPENED.append(socket.create_connection((to, 5433), 1, (source, 0)))
    return OPENED[-1]


def listening(at: str = "127.0.0.1") -> socket.socket:
    OPENED.append(socket.create_server((at, 5433)))
    return OPENED[-1]


def taken(server: socket.socket) -> socket.socket:
    OPENED.append(server.accept()[0])
    return OPENED[-1]


@needs_door
def test_an_acknowledgement_behind_a_shut_door_is_never_delivered(network: Place) -> None:
    """Not by the kernel's own repetition either, once the door is open again."""
    with within(network):
        door = Nftables("paspor", ADDRESS)
        door.open(alone=False)
        server = listening()
        client = connection()
        accepted = taken(server)
        door.close()
        accepted.sendall(b"committed")
        door.open(alone=False)
        assert reset_or_silent(client)
        with pytest.raises(ConnectionError):
            accepted.sendall(b"x")
        until_open(door)
        assert connection()
        door.remove()


def until_open(door: Nftables) -> None:
    until_ms = now_ms() + 20_000
    door.open(alone=False)
    while door.state != OPEN:
        assert now_ms() < until_ms
        door.tick()


@needs_door
def test_a_door_that_was_shut_on_a_writer_waits_for_its_last_connection(network: Place) -> None:
    with within(network):
        door = Nftables("paspor", ADDRESS)
        door.open(alone=False)
        server = listening()
        client = connection()
        accepted = taken(server)
        door.close()
        door.arm(now_ms() + 60_000, 0)
        assert (door.state, "held shut" in door.note) == (CLOSED, True)
        client.close()
        accepted.close()
        until_armed = now_ms() + 20_000
        while door.state != ARMED and now_ms() < until_armed:
            door.tick()
        assert door.state == ARMED
        door.remove()


@needs_door
def test_a_guard_that_begins_resets_nobody_on_a_port_that_no_guard_shut(network: Place) -> None:
    """It may be that of a server that is not adopted yet."""
    with within(network):
        server = listening()
        client = connection()
        accepted = taken(server)
        door = Nftables("paspor", ADDRESS)
        door.begin()
        door.open(alone=False)
        accepted.sendall(b"row")
        assert client.recv(3) == b"row"
        door.close()
        heir = Nftables("paspor", ADDRESS)
        heir.begin()
        assert heir.state == CLOSED
        with pytest.raises(ConnectionRefusedError):
            connection()
        # A door that waits for its connections resets them when they send.
        for opened in (client, accepted):
            opened.close()
        until_open(heir)
        heir.remove()


@needs_door
def test_the_partner_passes_a_shut_door_and_nobody_else_does(network: Place) -> None:
    with within(network):
        subprocess.run(["ip", "address", "add", "10.9.0.1/24", "dev", "lo"], check=True)
        subprocess.run(["ip", "address", "add", "10.9.0.2/24", "dev", "lo"], check=True)
        door = Nftables("paspor", "10.9.0.1:5433", ("10.9.0.2",))
        door.close()
        server = listening("10.9.0.1")
        partner = connection("10.9.0.1", "10.9.0.2")
        accepted = taken(server)
        accepted.sendall(b"log")
        assert partner.recv(3) == b"log"
        with pytest.raises(ConnectionRefusedError):
            connection("10.9.0.1", "10.9.0.1")
        door.remove()


@needs_door
def test_without_the_capability_it_says_what_to_give() -> None:
    code = (
        "from agents.fences.nftables import Nftables\n"
        "from agents.fences.base import FenceError\n"
        "try:\n    Nftables('paspor', '127.0.0.1:5433').open(False)\n"
        "except FenceError as error:\n    print(error, error.mend)\n"
    )
    powerless = ["setpriv", "--bounding-set", "-net_admin", sys.executable, "-c", code]
    said = subprocess.run(powerless, capture_output=True, text=True, check=True).stdout
    assert "CAP_NET_ADMIN is missing" in said
    assert "AmbientCapabilities=CAP_NET_ADMIN" in said


# The door in the hands of a guard.


class Guarded:
    """A guard in the namespace, with a server of TCP in the engine's place."""

    def __init__(self, root: Path, network: Place) -> None:
        self.root, self.network = root, network
        (root / "data").mkdir()
        self.client = PatientClient(root / "run", root / "data")

    async def guard(self, *prefix: str) -> None:
        await guard_within(self.network, self.root / "run", self.root / "data", *prefix)

    async def fence(self, demand: str = "required") -> tuple[LayerStatus, ...]:
        return await self.client.fences(service="paspor", address=ADDRESS, nftables=demand)

    async def start(self, as_primary: bool) -> None:
        argv = [sys.executable, "-I", "-c", ENGINE]
        await self.client.start(argv, {}, self.root / "log", as_primary)

    async def connected(self) -> socket.socket:
        """Waits until the server listens and the door is open."""
        until_ms = now_ms() + 20_000
        while True:
            with within(self.network), contextlib.suppress(OSError):
                return connection()
            assert now_ms() < until_ms, (self.root / "log").read_text()
            await asyncio.sleep(0.01)

    async def pid(self) -> int:
        return (await self.client.status()).pid

    def tables(self) -> str:
        return self.nft("list", "tables")

    def nft(self, *words: str) -> str:
        command = ["ip", "netns", "exec", self.network.host, "nft", *words]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    async def end(self) -> None:
        with contextlib.suppress(Exception):
            os.kill(await self.pid(), signal.SIGKILL)
        await self.client.close()


@pytest.fixture
async def guarded(network: Place) -> AsyncIterator[Guarded]:
    with tempfile.TemporaryDirectory(prefix="fence-") as root:
        made = Guarded(Path(root), network)
        await made.guard()
        yield made
        await made.end()


def last_answer_ms(client: socket.socket, alive: Callable[[], bool] = lambda: True) -> int:
    """Echoes without a pause until the connection fails or `alive` says no.

    When the last echo that came was asked for: what it waits for a core here is no lateness of
    the kernel's.
    """
    client.settimeout(20)
    answered_ms = 0
    with contextlib.suppress(OSError):
        while alive():
            asked_ms = now_ms()
            client.sendall(b"x")
            if not client.recv(1):
                break
            answered_ms = asked_ms
    return answered_ms


@needs_door
async def test_the_kernel_shuts_the_door_at_the_deadline_though_the_guard_is_frozen(
    guarded: Guarded,
) -> None:
    await guarded.fence()
    await guarded.client.lease(now_ms() + 10_000)
    await guarded.start(as_primary=True)
    old, idle = await guarded.connected(), await guarded.connected()
    await guarded.client.close_permission()
    assert last_answer_ms(old) == 0
    deadline_ms = await guarded.client.lease(now_ms() + 4000)
    await guarded.start(as_primary=True)
    old, idle = await guarded.connected(), await guarded.connected()
    pid = await guarded.pid()
    os.kill(pid, signal.SIGSTOP)
    answered_ms = last_answer_ms(old)
    assert 0 < answered_ms <= deadline_ms + LATE_AT_MOST_MS
    assert last_answer_ms(idle) == 0
    with within(guarded.network), pytest.raises(ConnectionRefusedError):
        connection()
    # The dead guard's door stays shut, until a new one knows that nothing of its engine is left.
    os.kill(pid, signal.SIGKILL)
    await guarded.guard()
    assert "saling_paspor" in guarded.tables()
    await guarded.fence()
    await guarded.start(as_primary=False)
    assert await guarded.connected()


@needs_door
async def test_a_renewal_extends_and_a_lesser_one_does_not_shorten(guarded: Guarded) -> None:
    await guarded.fence()
    first_ms = await guarded.client.lease(now_ms() + 4000)
    await guarded.start(as_primary=True)
    client = await guarded.connected()
    assert await guarded.client.lease(first_ms + 1500) == first_ms + 1500
    assert await guarded.client.lease(first_ms + 1) == first_ms + 1500
    answered_ms = await asyncio.to_thread(last_answer_ms, client)
    assert first_ms + LATE_AT_MOST_MS < answered_ms <= first_ms + 1500 + LATE_AT_MOST_MS


@needs_door
async def test_a_door_that_somebody_flushed_is_put_up_again_by_the_next_renewal(
    guarded: Guarded,
) -> None:
    await guarded.fence()
    await guarded.client.lease(now_ms() + 10_000)
    guarded.nft("flush", "ruleset")
    await guarded.client.lease(now_ms() + 10_001)
    assert "saling_paspor" in guarded.tables()


@needs_door
async def test_a_clean_stop_leaves_nothing_and_so_does_a_change_of_mind(guarded: Guarded) -> None:
    await guarded.fence()
    assert "saling_paspor" in guarded.tables()
    assert [layer.name for layer in await guarded.fence("off")] == ["process"]
    assert guarded.tables() == ""
    await guarded.fence()
    pid = await guarded.pid()
    await guarded.client.shutdown()
    await until(lambda: not Path(f"/proc/{pid}/cwd").exists(), "the guard ended")
    assert guarded.tables() == ""


@needs_door
async def test_a_guard_without_the_capability_refuses_leases_where_the_door_is_required(
    guarded: Guarded,
) -> None:
    os.kill(await guarded.pid(), signal.SIGKILL)
    await guarded.guard("setpriv", "--bounding-set", "-net_admin")
    told = {layer.name: layer for layer in await guarded.fence()}
    assert "CAP_NET_ADMIN" in told["nftables"].why
    with pytest.raises(GuardRefused, match="required and missing"):
        await guarded.client.lease(now_ms() + 5000)
    assert (await guarded.client.status()).permission == "closed"
    await guarded.fence("if_present")
    await guarded.client.lease(now_ms() + 5000)


def test_what_is_no_address_is_refused() -> None:
    with pytest.raises(ValueError, match="nowhere"):
        Nftables("paspor", ADDRESS, ("nowhere",))
    with pytest.raises(FenceError, match="is not there"):
        Watchdog("/dev/saling-none").open(alone=False)
