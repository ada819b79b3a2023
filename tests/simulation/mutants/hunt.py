"""Lets mutants loose in simulated worlds until a promise breaks, on two processes."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager

import pytest
from msgspec import Struct

from simulator.command import end_quietly_on_interrupt
from tests.simulation.mutants.catalogue import MUTANTS

PROCESSES = 2


class Catch(Struct, frozen=True):
    """How the hunt for one mutant ended."""

    name: str
    caught_as: str
    """The promise that broke; empty when the mutant survived."""
    seed: int
    worlds: int
    """How many were tried."""
    took_s: float
    others: tuple[str, ...] = ()
    """What else broke, though it is not what this mutant threatens."""

    @property
    def text(self) -> str:
        """What became of it, for a failing test."""
        if self.caught_as:
            return f"{self.name} was caught as {self.caught_as} by seed {self.seed}"
        return f"{self.name} went through {self.worlds} worlds; others broke {self.others}"


def hunt(name: str) -> Catch:
    """Worlds, from seed 0 on, until one breaks a promise that this mutant threatens."""
    mutant = MUTANTS[name]
    begun_s, worlds = time.process_time(), 0
    others: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        mutant.apply(patch)
        for seed in range(mutant.seeds_at_most):
            rule = mutant.live(seed).rule
            worlds += 1
            if rule in mutant.caught_as:
                took_s = time.process_time() - begun_s
                return Catch(name, rule, seed, worlds, took_s, tuple(others))
            if rule:
                others.append(rule)
    return Catch(name, "", -1, worlds, time.process_time() - begun_s, tuple(others))


@contextmanager
def hunters() -> Iterator[Executor]:
    """As many processes as the smallest machine that must be enough has cores."""
    context = multiprocessing.get_context("forkserver")
    with ProcessPoolExecutor(PROCESSES, context, end_quietly_on_interrupt) as executor:
        yield executor
