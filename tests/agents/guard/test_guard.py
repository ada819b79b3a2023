"""The guard with small programs in the engine's place: its state, its deadline, its kill."""

from __future__ import annotations

import asyncio
import os
import signal
import stat
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agents.guard.client import (
    EngineExit,
    Fence,
    GuardGone,
    GuardRefused,
    now_ms,
    patiently,
)
from tests.agents.guard.bench import Bench, PatientClient, until

SOON_MS = 1000
"""Time enough for a request to arrive, on a machine under load as well."""


@pytest.fixture(params=["auto", "plain"])
async def bench(request: pytest.FixtureRequest) -> AsyncIterator[Bench]:
    with tempfile.TemporaryDirectory(prefix="guard-") as root:
        bench = Bench(Path(root), request.param)
        await bench.client.ensure_running()
        yield bench
        await bench.end()


@pytest.fixture
def isolated(bench: Bench) -> Bench:
    if bench.isolation != "auto":
        pytest.skip("about namespaces")
    return bench


async def test_without_a_lease_nothing_starts_as_primary(bench: Bench) -> None:
    with pytest.raises(GuardRefused, match="no lease"):
        await bench.start(as_primary=True)
    assert (await bench.client.status()).engine is None
    await bench.start(as_primary=False)


async def test_with_a_lease_or_alone_it_starts_as_primary(bench: Bench) -> None:
    await bench.client.lease(now_ms() + 60_000)
    await bench.start(as_primary=True)
    await bench.client.kill()
    await bench.client.alone()
    await bench.start(as_primary=True)
    status = await bench.client.status()
    assert status.permission == "alone"
    assert status.engine
    assert status.engine.writable


@pytest.mark.parametrize("wrong", [-1, 0, 2**63, True, "soon", 1.5, None])
async def test_a_deadline_that_is_none_is_refused(bench: Bench, wrong: object) -> None:
    with pytest.raises(GuardRefused, match="deadline_ms"):
        await bench.client.lease(wrong)  # type: ignore[arg-type]
    assert (await bench.client.status()).permission == "closed"


async def test_a_lease_is_only_ever_extended(bench: Bench) -> None:
    far = now_ms() + 60_000
    assert await bench.client.lease(far) == far
    assert await bench.client.lease(far - 30_000) == far
    assert await bench.client.lease(far + 1) == far + 1


async def test_a_lease_after_alone_binds_at_its_own_deadline(bench: Bench) -> None:
    await bench.client.alone()
    await bench.start(as_primary=True)
    await bench.client.lease(now_ms() + SOON_MS)
    await until(lambda: len(bench.events) >= 2, "fenced")
    assert bench.alive() == []


async def test_when_the_deadline_passes_no_process_is_left(bench: Bench) -> None:
    await bench.client.lease(now_ms() + 3 * SOON_MS)
    await bench.start(as_primary=True)
    deadline_ms = (await bench.client.status()).deadline_ms
    await until(lambda: len(bench.events) >= 2, "fenced")
    assert bench.alive() == []
    ended, fence = bench.events
    assert isinstance(ended, EngineExit)
    assert isinstance(fence, Fence)
    assert ended.reason == "deadline"
    assert fence.deadline_ms == deadline_ms
    assert fence.late_ms >= 0
    status = await bench.client.status()
    assert status.permission == "closed"
    assert status.last_fence == fence
    with pytest.raises(GuardRefused):
        await bench.start(as_primary=True)


async def test_a_standby_outlives_a_deadline_and_cannot_be_promoted_after_it(bench: Bench) -> None:
    await bench.client.lease(now_ms() + SOON_MS)
    await bench.start(as_primary=False)
    async with asyncio.timeout(20):
        await bench.until_closed()
    assert (await bench.client.status()).engine
    with pytest.raises(GuardRefused, match="no lease"):
        await bench.client.allow_promotion()


async def test_a_promoted_standby_is_bound_by_the_deadline(bench: Bench) -> None:
    await bench.start(as_primary=False)
    await bench.client.lease(now_ms() + 2 * SOON_MS)
    await bench.client.allow_promotion()
    await until(lambda: len(bench.events) >= 2, "fenced")
    assert bench.alive() == []


async def test_close_ends_a_writer_and_spares_a_standby(bench: Bench) -> None:
    await bench.start(as_primary=False)
    assert await bench.client.close_permission() == 0
    assert (await bench.client.status()).engine
    await bench.client.alone()
    await bench.client.allow_promotion()
    await bench.client.close_permission()
    assert bench.alive() == []
    status = await bench.client.status()
    assert (status.permission, status.engine) == ("closed", None)


async def test_kill_answers_when_no_process_is_left(bench: Bench) -> None:
    await bench.start()
    await bench.client.kill()
    assert bench.alive() == []
    assert await bench.client.kill() == 0
    status = await bench.client.status()
    assert status.last_exit
    assert (status.last_exit.status, status.last_exit.reason) == (137, "killed")


async def test_an_engine_that_ends_by_itself_leaves_nothing_behind(bench: Bench) -> None:
    await bench.client.start(
        ["/bin/sh", "-c", "setsid sleep 600 & exit 3"], {}, bench.log, as_primary=False
    )
    ended = await bench.client.wait_engine_gone(20_000)
    assert ended
    assert (ended.status, ended.reason) == (3, "exited")
    assert bench.alive() == []


async def test_killing_the_guard_ends_the_engine(isolated: Bench) -> None:
    await isolated.start()
    os.kill((await isolated.client.status()).pid, signal.SIGKILL)
    await until(lambda: isolated.alive() == [], "the engine is gone with its guard")
    with pytest.raises(GuardGone):
        await isolated.client.status()


async def test_killing_the_holder_ends_the_engine_and_is_noticed(isolated: Bench) -> None:
    pid = await isolated.start()
    holder = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    os.kill(holder, signal.SIGKILL)
    ended = await isolated.client.wait_engine_gone(20_000)
    assert ended
    assert isolated.alive() == []


async def test_a_new_guard_adopts_nothing_and_starts_only_on_free_data(bench: Bench) -> None:
    await bench.start()
    before = set(bench.alive())
    os.kill((await bench.client.status()).pid, signal.SIGKILL)
    status = await bench.client.ensure_running()
    assert (status.engine, status.permission) == (None, "closed")

    async def start() -> int:
        return await bench.client.start(
            ["/bin/sh", "-c", "sleep 600"], {}, bench.log, as_primary=False
        )

    # Without namespaces the old engine's processes are ended first: busy until then.
    await patiently(start, 20_000)
    assert before.isdisjoint(bench.alive())


async def test_two_guards_never_run_in_one_directory(bench: Bench) -> None:
    (bench.run / "guard.sock").unlink()
    await bench.client.close()
    with pytest.raises(GuardGone, match="another guard"):
        await bench.client.ensure_running(20_000)
    pid = int((bench.run / "guard.lock").read_text())
    os.kill(pid, signal.SIGKILL)


async def test_two_guards_never_run_one_data_directory(bench: Bench) -> None:
    await bench.start()
    other = PatientClient(bench.root / "other", bench.data, bench.isolation)
    status = await other.ensure_running()
    with pytest.raises(GuardRefused, match="runs an engine on this data"):
        await other.start(["/bin/sleep", "1"], {}, bench.log, as_primary=False)
    assert len(bench.alive()) >= 4
    os.kill(status.pid, signal.SIGKILL)
    await other.close()


async def test_a_program_that_is_missing_is_named(bench: Bench) -> None:
    with pytest.raises(GuardRefused, match=r"/nowhere/postgres.*No such file"):
        await bench.client.start(["/nowhere/postgres"], {}, bench.log, as_primary=False)
    assert (await bench.client.status()).engine is None
    await bench.start()


async def test_the_engine_inherits_its_log_and_its_lock_alone(bench: Bench) -> None:
    await bench.start("ls -l /proc/self/fd; sleep 600")
    await until(lambda: bench.log.exists() and "data.lock" in bench.log.read_text(), "listed")
    listed = bench.log.read_text()
    assert "socket:" not in listed
    assert "pipe:" not in listed
    assert "guard.lock" not in listed


async def test_signals_reach_the_first_process(bench: Bench) -> None:
    await bench.start("trap 'exit 7' INT; echo up; while :; do sleep 0.01; done")
    await until(lambda: bench.log.exists() and "up" in bench.log.read_text(), "trap is set")
    with pytest.raises(GuardRefused, match="name: one of"):
        await bench.client.signal("SIGSEGV")
    await bench.client.signal("SIGINT")
    ended = await bench.client.wait_engine_gone(20_000)
    assert ended
    assert ended.status == 7


async def test_terminating_the_guard_stops_the_engine_in_order(bench: Bench) -> None:
    script = f"trap 'touch {bench.root}/ordered; exit 0' INT; echo up; while :; do sleep 0.01; done"
    await bench.start(script)
    await until(lambda: bench.log.exists() and "up" in bench.log.read_text(), "trap is set")
    os.kill((await bench.client.status()).pid, signal.SIGTERM)
    await until(lambda: bench.alive() == [], "stopped")
    assert (bench.root / "ordered").exists()


async def test_the_guard_ends_when_told_but_not_under_an_engine(bench: Bench) -> None:
    await bench.start()
    with pytest.raises(GuardRefused, match="an engine is running"):
        await bench.client.shutdown()
    await bench.client.kill()
    pid = (await bench.client.status()).pid
    await bench.client.shutdown()
    await until(lambda: not Path(f"/proc/{pid}/cwd").exists(), "the guard ended")


async def test_the_socket_is_for_its_owner_alone(bench: Bench) -> None:
    assert stat.S_IMODE((bench.run / "guard.sock").stat().st_mode) == 0o600
    assert stat.S_IMODE(bench.run.stat().st_mode) == 0o700
