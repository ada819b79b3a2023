"""What the agent tells its guard of the fence, and what it makes of the answer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agents.core.events import FencesTold
from agents.doctor import fences as doctor_fences
from agents.doctor.findings import Level
from agents.guard.client import GuardRefused, LayerStatus
from agents.metrics import Metrics
from agents.replica.fencing import FORMER, Fencing, addresses_of
from config.agent import Fences
from config.loader import load_agent

PROCESS = LayerStatus("process", "open", True)
HOLDS = LayerStatus("nftables", "open", True)
LACKS = LayerStatus("nftables", "missing", True, "CAP_NET_ADMIN is missing", "give it")


class Guard:
    """Answers with the layers of the test, and remembers what it was told."""

    def __init__(self, *layers: LayerStatus) -> None:
        self.layers = layers
        self.told: list[dict[str, Any]] = []
        self.former = False

    async def fences(self, timeout_ms: int = 1, **wanted: object) -> tuple[LayerStatus, ...]:
        if self.former:
            raise GuardRefused("request: one of status")
        self.told.append(wanted)
        return self.layers


class Case:
    """One agent's part, with a partner that may move."""

    def __init__(self, **fences: Any) -> None:
        self.partner = "10.0.0.2:5432"
        self.events: list[Any] = []
        self.metrics = Metrics("batam-1", "batam")
        wanted = Fences(**fences)
        self.fencing = Fencing(
            "paspor", wanted, "10.0.0.1:5432", lambda: self.partner, self.events.append,
            self.metrics,
        )  # fmt: skip


async def test_a_guard_is_told_the_layers_and_where_the_backup_stands() -> None:
    case, guard = Case(nftables="required"), Guard(PROCESS, HOLDS)
    await case.fencing.configure(guard)
    (told,) = guard.told
    assert (told["nftables"], told["watchdog"]) == ("required", "off")
    assert (told["address"], told["partners"]) == ("10.0.0.1:5432", ["10.0.0.2"])
    assert case.events == [FencesTold("process, nftables", "", 0)]


async def test_it_is_told_again_when_the_backup_is_another_and_not_before() -> None:
    case, guard = Case(), Guard(PROCESS, HOLDS)
    await case.fencing.configure(guard)
    await case.fencing.keep(guard)
    assert len(guard.told) == 1
    case.partner = "[2001:db8::7]:5432"
    await case.fencing.keep(guard)
    assert guard.told[-1]["partners"] == ["2001:db8::7"]
    assert len(case.events) == 1


async def test_what_is_missing_is_told_with_its_mend_and_counted() -> None:
    case, guard = Case(nftables="required"), Guard(PROCESS, LACKS)
    await case.fencing.configure(guard)
    (told,) = case.events
    assert told.missing == "nftables: CAP_NET_ADMIN is missing; give it"
    assert told.fences == "process, no nftables (CAP_NET_ADMIN is missing)"
    name = 'saling_agent_fence_layer{layer="nftables",required="true",service="paspor"}'
    assert f"{name} 0.0" in case.metrics.text().decode()
    case.fencing.heard((PROCESS, HOLDS))
    assert case.events[-1].missing == ""
    assert f"{name} 1.0" in case.metrics.text().decode()


async def test_a_layer_that_may_be_missing_is_told_and_forbids_nothing() -> None:
    case = Case()
    await case.fencing.configure(Guard(PROCESS, LayerStatus("nftables", "missing", False, "no")))
    assert case.events == [FencesTold("process, no nftables (no)", "", 0)]


async def test_a_guard_of_a_former_version_lacks_what_is_required() -> None:
    case, guard = Case(nftables="required"), Guard()
    guard.former = True
    await case.fencing.configure(guard)
    assert case.events[-1].missing == f"nftables: {FORMER}"


async def test_the_shortest_lease_of_what_is_required_is_told() -> None:
    dog = LayerStatus("watchdog", "open", True, least_ttl_ms=10_000)
    case = Case(watchdog="required")
    await case.fencing.configure(Guard(PROCESS, dog))
    assert case.events[-1].least_ttl_ms == 10_000


@pytest.mark.parametrize(
    ("address", "found"),
    [
        ("10.0.0.2:5432", ("10.0.0.2",)),
        ("[::1]:5432", ("::1",)),
        ("", ()),
        ("no.such.host.invalid:5432", ()),
    ],
)
async def test_names_are_resolved_and_what_is_not_resolved_is_left_out(
    address: str, found: tuple[str, ...]
) -> None:
    assert await addresses_of(address) == found


async def test_the_doctor_tries_each_layer(configure: Callable[..., Path]) -> None:
    config = load_agent(configure("batam-1", "127.0.0.1:1")).value
    service = config.services[0]
    wanted = Fences(nftables="if_present", watchdog="required", watchdog_device="/dev/none")
    fenced = service.model_copy(update={"fences": wanted})
    found = await doctor_fences.fence_findings(config.model_copy(update={"services": (fenced,)}))
    door, dog = found
    assert (door.level is Level.OK) is ("can drop" in door.found)
    assert (dog.level, "/dev/none is not there" in dog.found) == (Level.FAIL, True)
    assert "modprobe softdog" in dog.mend
    off = await doctor_fences.fence_findings(config)
    assert [finding.level for finding in off] == [Level.OK, Level.OK]
