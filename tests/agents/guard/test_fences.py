"""The guard's loop with clocks and layers of the test's own: what is armed before it answers."""

from __future__ import annotations

import json
import socket
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agents.fences.base import ARMED, CLOSED, OPEN, FenceError, Health, Layer
from agents.fences.process import Process
from agents.guard.clocks import Clocks, Reading, read_clocks
from agents.guard.engine import boottime_ms
from agents.guard.fences import Stacked
from agents.guard.guard import Guard


class Door:
    """A layer that remembers, and does not hold when the test says so."""

    name = "nftables"
    note = ""
    least_ttl_ms = 0
    identity = "door"

    def __init__(self) -> None:
        self.state = CLOSED
        self.armed_until: list[int] = []
        self.broken = False
        self.slow_s = 0.0
        self.did: list[str] = []

    def after(self, other: Layer | None) -> Layer:
        return self

    def begin(self) -> None:
        self.did.append("begun")

    def arm(self, deadline_ms: int, end_ms: int) -> None:
        time.sleep(self.slow_s)
        self._become(ARMED)
        self.armed_until.append(deadline_ms)

    def open(self, alone: bool) -> None:
        self._become(OPEN)

    def close(self) -> None:
        self._become(CLOSED)

    def _become(self, state: str) -> None:
        if self.broken:
            raise FenceError("CAP_NET_ADMIN is missing", "give it")
        self.state = state
        self.did.append(state)

    def tick(self) -> None:
        pass

    def remove(self) -> None:
        self.did.append("removed")

    def check(self) -> Health:
        return Health(True, "here")


class Bench:
    """A guard in this process, its clocks, a layer, and one connection to it."""

    def __init__(self, root: Path) -> None:
        self.ahead_ms = self.slept_ms = 0
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(root / "guard.sock"))
        self.listener.listen()
        self.listener.setblocking(False)
        process, clocks = Process(True, True), Clocks(self.read)
        (root / "data").mkdir()
        self.guard = Guard(str(root / "data"), str(root), self.listener, False, process, clocks)
        self.door = Door()
        self.peer = socket.socket(socket.AF_UNIX)
        self.peer.connect(str(root / "guard.sock"))
        self.peer.setblocking(False)
        self.heard = b""

    def read(self) -> Reading:
        now = read_clocks()
        return now._replace(
            realtime_ms=now.realtime_ms + self.ahead_ms,
            monotonic_ms=now.monotonic_ms - self.slept_ms,
        )

    def put_up(self, required: bool = True) -> None:
        self.guard._fences.configure([Stacked(self.door, required)])

    def ask(self, request: str, **fields: Any) -> dict[str, Any]:
        line = json.dumps({"id": request, "request": request, **fields}).encode() + b"\n"
        self.peer.send(line)
        return self.answer(request)

    def answer(self, request: str) -> dict[str, Any]:
        until_s = time.monotonic() + 20
        while time.monotonic() < until_s:
            self.guard.step()
            try:
                self.heard += self.peer.recv(65536)
            except BlockingIOError:
                continue
            *lines, self.heard = self.heard.split(b"\n")
            for line in lines:
                said: dict[str, Any] = json.loads(line)
                if said.get("id") == request:
                    return said
        pytest.fail(f"no answer to {request}")

    def until(self, state: str) -> None:
        until_s = time.monotonic() + 20
        while self.door.state != state and time.monotonic() < until_s:
            self.guard.step()
        assert self.door.state == state

    def until_jumped(self) -> None:
        """Until the jump is a millisecond ago. A reading that was interrupted may hide it first."""
        until_s, jumps = time.monotonic() + 20, self.guard._clocks._jumps
        while not (jumps and jumps[-1][0] < boottime_ms()) and time.monotonic() < until_s:
            self.guard.step()
            jumps = self.guard._clocks._jumps
        assert jumps

    def status(self) -> dict[str, Any]:
        return self.ask("status")

    def end(self) -> None:
        self.guard.end()
        self.peer.close()
        for connection in self.guard._connections:
            connection.peer.close()
        self.listener.close()


@pytest.fixture
def bench() -> Iterator[Bench]:
    with tempfile.TemporaryDirectory(prefix="gf-") as root:
        made = Bench(Path(root))
        yield made
        made.end()


def test_a_lease_is_acknowledged_when_every_layer_has_been_armed(bench: Bench) -> None:
    bench.put_up()
    bench.door.slow_s = 0.05
    deadline_ms = boottime_ms() + 5000
    said = bench.ask("lease", deadline_ms=deadline_ms)
    assert (said["ok"], bench.door.armed_until) == (True, [deadline_ms])
    later_ms = deadline_ms + 1000
    assert bench.ask("lease", deadline_ms=later_ms)["deadline_ms"] == later_ms
    assert bench.ask("lease", deadline_ms=deadline_ms)["deadline_ms"] == later_ms
    assert bench.door.armed_until[-1] == later_ms


def test_the_deadline_is_kept_while_a_layer_dawdles(bench: Bench) -> None:
    bench.put_up()
    bench.ask("lease", deadline_ms=boottime_ms() + 1000)
    bench.door.slow_s = 1.5
    said = bench.ask("lease", deadline_ms=boottime_ms() + 1100)
    assert (said["ok"], "before its fences were armed" in said.get("error", "")) == (False, True)
    assert bench.status()["permission"] == "closed"


def test_a_required_layer_that_does_not_hold_refuses_the_lease_and_the_old_one_runs_out(
    bench: Bench,
) -> None:
    bench.put_up()
    deadline_ms = boottime_ms() + 20_000
    bench.ask("lease", deadline_ms=deadline_ms)
    bench.door.broken = True
    said = bench.ask("lease", deadline_ms=deadline_ms + 3000)
    assert (said["ok"], said["code"]) == (False, "refused")
    assert "required and missing: CAP_NET_ADMIN" in said["error"]
    status = bench.status()
    assert (status["permission"], status["deadline_ms"]) == ("leased", deadline_ms)
    missing = [layer for layer in status["layers"] if layer["state"] == "missing"]
    assert [layer["mend"] for layer in missing] == ["give it"]


def test_one_that_is_used_where_it_can_be_refuses_nothing(bench: Bench) -> None:
    bench.put_up(required=False)
    bench.door.broken = True
    assert bench.ask("lease", deadline_ms=boottime_ms() + 20_000)["ok"]


def test_no_lease_waits_for_a_layer_that_is_not_required(bench: Bench) -> None:
    """Else a kernel that is busy with others' rules would end a healthy primary."""
    bench.put_up(required=False)
    bench.door.slow_s = 2.0
    said = bench.ask("lease", deadline_ms=boottime_ms() + 60_000)
    assert (said["ok"], bench.door.armed_until) == (True, [])


def test_the_door_follows_what_is_in_force(bench: Bench) -> None:
    bench.put_up()
    bench.ask("lease", deadline_ms=boottime_ms() + 60_000)
    bench.ask("alone")
    bench.until(OPEN)
    bench.ask("lease", deadline_ms=boottime_ms() + 1000)
    assert bench.door.state == ARMED
    bench.until(OPEN)
    assert bench.status()["permission"] == "closed"
    # What an engine that died under the lease may still send was not let out meanwhile.
    assert bench.door.did[-2:] == [CLOSED, OPEN]
    bench.guard.end()
    assert bench.door.did[-1] == "removed"


def test_a_layer_for_long_leases_refuses_short_ones(bench: Bench) -> None:
    bench.door.least_ttl_ms = 10_000
    bench.put_up()
    now_ms = boottime_ms()
    said = bench.ask("lease", deadline_ms=now_ms + 5000, ttl_ms=6000)
    assert "leases of 10000 ms or more" in said["error"] or "too short" in said["error"]
    assert bench.ask("lease", deadline_ms=now_ms + 9000, ttl_ms=10_000)["ok"]


# Clocks.


def test_a_suspend_voids_the_lease_at_once(bench: Bench) -> None:
    bench.ask("lease", deadline_ms=boottime_ms() + 60_000)
    bench.slept_ms += 1000
    until_s = time.monotonic() + 20
    while bench.guard._permission != "closed" and time.monotonic() < until_s:
        bench.guard.step()
    assert bench.status()["permission"] == "closed"


def test_a_jump_of_wall_time_makes_the_deadline_earlier_and_a_step_back_does_not(
    bench: Bench,
) -> None:
    bench.put_up()
    deadline_ms = boottime_ms() + 60_000
    bench.ask("lease", deadline_ms=deadline_ms, asked_ms=boottime_ms())
    bench.ahead_ms += 5000
    until_s = time.monotonic() + 20
    while bench.door.armed_until[-1] == deadline_ms and time.monotonic() < until_s:
        bench.guard.step()
    shortened_ms = bench.status()["deadline_ms"]
    assert abs(deadline_ms - 5000 - shortened_ms) <= 5
    assert bench.door.armed_until[-1] == shortened_ms
    bench.ahead_ms -= 9000
    assert bench.status()["deadline_ms"] == shortened_ms


def test_a_jump_is_told_after_the_deadline_was_cut(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To tell may take a while, on a disk that hangs."""
    bench.ask("lease", deadline_ms=boottime_ms() + 4000)
    seen: list[str] = []
    monkeypatch.setattr(bench.guard, "_tell", lambda _event: seen.append(bench.guard._permission))
    bench.ahead_ms += 5000
    bench.until_jumped()
    assert seen == ["closed"]


def test_a_lease_of_an_agent_that_names_no_question_outlives_an_old_jump(bench: Bench) -> None:
    bench.ahead_ms += 100_000
    bench.until_jumped()
    deadline_ms = boottime_ms() + 60_000
    assert bench.ask("lease", deadline_ms=deadline_ms)["deadline_ms"] == deadline_ms


def test_a_jump_longer_than_what_is_left_fences(bench: Bench) -> None:
    bench.ask("lease", deadline_ms=boottime_ms() + 4000)
    bench.ahead_ms += 5000
    bench.until_jumped()
    assert bench.status()["permission"] == "closed"


def test_a_lease_that_was_asked_for_before_a_jump_counts_less(bench: Bench) -> None:
    asked_ms = boottime_ms()
    bench.status()
    bench.ahead_ms += 5000
    bench.until_jumped()
    deadline_ms = boottime_ms() + 60_000
    early = bench.ask("lease", deadline_ms=deadline_ms, asked_ms=asked_ms)
    assert abs(deadline_ms - 5000 - early["deadline_ms"]) <= 5
    late = bench.ask("lease", deadline_ms=deadline_ms, asked_ms=boottime_ms())
    assert late["deadline_ms"] == deadline_ms


def test_the_end_of_the_lease_is_shortened_with_its_deadline(bench: Bench) -> None:
    bench.put_up()
    now_ms = boottime_ms()
    bench.ask("lease", deadline_ms=now_ms + 60_000, end_ms=now_ms + 61_000)
    bench.ahead_ms += 1000
    bench.until_jumped()
    bench.status()
    wished = bench.guard._fences.wished
    assert wished.end_ms - wished.deadline_ms == 1000
