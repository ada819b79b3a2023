"""The systems that the benchmark can measure: Saling by its lease profiles, and its peers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from config.leases import PROFILES
from lab.base.plan import Plan, Service
from lab.benches.scenarios import SERVICE
from lab.peers.patroni import PLACES, Patroni
from lab.peers.patroni_files import TIMINGS, Timing
from lab.running.four_sites import Lab
from lab.running.ground import Ground

SITES = ("jabodetabek", "batam")
PEERS = ("patroni",)

Make = Callable[[Path, str, Mapping[str, Any]], AbstractAsyncContextManager[Ground]]


@dataclass(frozen=True)
class System:
    """One system as it is set up; `make` starts it in a directory, on a network of the lab, with
    a service that differs in these fields of `lab.base.plan.Service`, and leaves nothing behind."""

    name: str
    profile: str
    lease_ttl_s: float
    look_s: float
    """How often it looks: a fault comes at a random moment between two looks."""
    make: Make


def saling(profile: str) -> System:
    """Saling under one lease profile."""

    def make(
        directory: Path, network: str, other: Mapping[str, Any]
    ) -> AbstractAsyncContextManager[Ground]:
        service = Service(SERVICE, SITES, profile, **other)
        return Lab(Plan(directory, (service,)), network=network)

    terms = PROFILES[profile]
    return System("saling", profile, terms.ttl_ms / 1000, terms.renew_ms / 1000, make)


def systems_of(peer: str) -> tuple[System, ...]:
    """A peer as it is set up by default, and as tight as it can be; none for an empty name."""
    if not peer:
        return ()
    return tuple(_patroni(timing) for timing in TIMINGS)


def _patroni(timing: Timing) -> System:
    def make(
        directory: Path, network: str, other: Mapping[str, Any]
    ) -> AbstractAsyncContextManager[Ground]:
        service = Service(SERVICE, SITES, settings=other.get("settings", {}))
        return Patroni(Plan(directory, (service,)), timing, PLACES[network])

    return System("patroni", timing.name, timing.ttl_s, timing.loop_wait_s, make)
