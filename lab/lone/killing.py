"""One kill after the other at a `LoneAgent` under two commit loops, each judged at once."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

import msgspec

from agents.guard.client import GuardStatus
from lab.base.processes import Child, module
from lab.base.records import Connect, Insert, Outcome, now_ms
from lab.clients.writer import Target, WriterSpec
from lab.lone.lone_agent import LOOK_AGAIN_S, SITE, Ends, LoneAgent

KINDS = ("agent", "guard", "postmaster", "both")
BACK_LIMIT_S = 30.0
SETTLE_ACKED = 3
SETTLE_MOST_S = 0.5
AT_ONCE_SHARE = 0.4
"""Of the killed agents so many are started at once, the others after the fence."""
AS_FAST_AS_IT_CAN = 1e9


class Kill(msgspec.Struct, frozen=True):
    """One kill. Times are of the boot-time clock; -1 and 0 stand for 'none'."""

    who: str
    killed_ms: float
    ended: bool
    """Whether the engine ended of it: one whose agent is back in time goes on."""
    lease_end_ms: float
    """When the lease ended at the latest: the guard's deadline and the fence's budget."""
    gone_ms: float
    """When the last process of that engine had ended."""
    gone_after_ms: float
    """From the deadline, where the deadline ended it, else from the kill."""
    last_ack_ms: float
    """The last acknowledgement of that life of the engine; 0 when none came after the kill."""
    back_after_ms: float
    """Until both writers commit again, from the kill or the start of the agent after it."""


class Result(msgspec.Struct, frozen=True):
    """All kills, and what must not be."""

    kills: list[Kill]
    acked: int
    lost: int
    wrong: list[str]


@dataclass
class CommitLoop:
    """One writer, and its log as far as it was read."""

    name: str
    child: Child
    log: Path
    acked: set[int] = field(default_factory=set)
    lines: list[Insert | Connect] = field(default_factory=list)
    """Since the last `forget`."""
    _read_bytes: int = 0

    def read(self) -> None:
        """Take what was written since; half a line waits for the next time."""
        with self.log.open("rb") as file:
            file.seek(self._read_bytes)
            whole = file.read().rpartition(b"\n")[0]
        if not whole:
            return
        self._read_bytes += len(whole) + 1
        decoder = msgspec.json.Decoder(Insert | Connect)
        fresh = [decoder.decode(line) for line in whole.split(b"\n")]
        self.acked.update(x.n for x in fresh if _is_ack(x))
        self.lines += fresh

    def forget(self) -> None:
        self.lines = []

    def acks_since(self, moment_ms: float) -> int:
        """Acknowledged writes that were begun since then."""
        return sum(1 for x in self.lines if _is_ack(x) and x.start_ms >= moment_ms)

    def last_ack_ms(self, killed_ms: float) -> float:
        """The last one after the kill and before another life of the engine was found."""
        last_ms = 0.0
        for line in self.lines:
            if isinstance(line, Connect) and line.found and line.end_ms > killed_ms:
                break
            if _is_ack(line) and line.end_ms > killed_ms:
                last_ms = line.end_ms
        return last_ms


class Killer:
    """`async with Killer(...)` writes; `kill` as often as wanted, `finish` once."""

    def __init__(self, lone: LoneAgent, seed: int) -> None:
        self.random = random.Random(seed)
        self.kills: list[Kill] = []
        self.wrong: list[str] = []
        self._lone = lone
        self._loops: list[CommitLoop] = []
        self._memory: set[tuple[str, ...]] = set()
        self._quiet_since_ms = now_ms()

    async def __aenter__(self) -> Killer:
        directory = self._lone.directory
        for name, (address, login) in self._lone.targets().items():
            spec = WriterSpec(name, login, (Target(SITE, address),), AS_FAST_AS_IT_CAN)
            spec_file, log = directory / f"{name}.json", directory / f"{name}.jsonl"
            spec_file.write_bytes(msgspec.json.encode(spec))
            log.touch(0o600)
            arguments = module("lab.clients.writer", "--spec", str(spec_file), "--log", str(log))
            child = Child(f"writer over {name}", directory / f"{name}.out", arguments)
            child.start()
            self._loops.append(CommitLoop(name, child, log))
        return self

    async def __aexit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        for loop in self._loops:
            await loop.child.end()

    async def kill(self, who: str) -> None:
        """Kill, wait until all is well again, and judge. Raises TimeoutError when it is not."""
        await self._until_both_write(self._quiet_since_ms)
        await asyncio.sleep(self.random.uniform(0, SETTLE_MOST_S))
        at_once = self.random.random() < AT_ONCE_SHARE
        status = await self._running()
        assert status.engine is not None
        self._memory |= _shared_memory_of(self._lone.config.services[0].data_directory)
        for loop in self._loops:
            loop.read()
            loop.forget()
        life = self._lone.grantor.life
        ends = Ends(self._lone.engine_processes())
        killed_ms = now_ms()
        self._send(who, status)
        # Until it died the agent went on renewing: what it had asked for last binds its engine.
        deadline_ms = max(_deadline_ms(status), _deadline_ms(await self._lone.status()))
        agent_dies = who in ("agent", "both")
        waits_from_ms, gone_ms = killed_ms, -1.0
        if agent_dies and not at_once:
            gone_ms = await ends.last_ms(BACK_LIMIT_S)
            waits_from_ms = now_ms()
        if agent_dies:
            await self._lone.agent.end(signal.SIGKILL)
            self._lone.agent.start()
            await self._lone.until_writable(life, BACK_LIMIT_S)
        if who == "agent" and at_once and await self._is_still(status.engine.pid):
            ends.close()
        elif gone_ms < 0:
            gone_ms = await ends.last_ms(BACK_LIMIT_S)
        back_ms = await self._until_both_write(max(gone_ms, waits_from_ms))
        if at_once and agent_dies:
            deadline_ms = max(deadline_ms, await self._fenced_at_ms())
        self._judge(who, deadline_ms, killed_ms, gone_ms, back_ms - waits_from_ms)
        self._quiet_since_ms = back_ms

    async def finish(self) -> Result:
        """Compare what was acknowledged with what is there, and stop everything in order."""
        for loop in self._loops:
            await loop.child.end()
            loop.read()
        acked = lost = 0
        for loop, (_, login) in zip(self._loops, self._lone.targets().values(), strict=True):
            connection = await self._lone.connect(login.database)
            rows = await connection.fetch("SELECT n FROM lab_writes")
            await connection.close(timeout=2)
            missing = loop.acked - {row["n"] for row in rows}
            acked, lost = acked + len(loop.acked), lost + len(missing)
            if missing:
                self.wrong.append(f"{loop.name}: acknowledged and absent: {sorted(missing)[:10]}")
        if left := await self._lone.stop_in_order():
            self.wrong.append(f"after `saling-agent stop` there live on: {left}")
        if segments := self._memory & _shared_memory():
            self.wrong.append(f"shared memory is left over (key, id): {segments}")
        return Result(self.kills, acked, lost, self.wrong)

    def _send(self, who: str, status: GuardStatus) -> None:
        assert status.engine is not None
        if who in ("agent", "both"):
            os.kill(self._lone.agent.pid, signal.SIGKILL)
        if who in ("guard", "both"):
            os.kill(status.pid, signal.SIGKILL)
        if who == "postmaster":
            os.kill(status.engine.pid, signal.SIGKILL)

    async def _fenced_at_ms(self) -> int:
        """The deadline of the last fence: the next life of the agent may have moved it on."""
        status = await self._lone.status()
        return status.last_fence.deadline_ms if status and status.last_fence else 0

    async def _running(self) -> GuardStatus:
        end_ms = now_ms() + BACK_LIMIT_S * 1000
        while now_ms() < end_ms:
            status = await self._lone.status()
            leased = status is not None and status.permission == "leased"
            if status is not None and status.engine is not None and leased:
                return status
            await asyncio.sleep(LOOK_AGAIN_S)
        raise TimeoutError(f"no leased engine runs: {await self._lone.status()}")

    async def _is_still(self, pid: int) -> bool:
        status = await self._lone.status()
        return status is not None and status.engine is not None and status.engine.pid == pid

    async def _until_both_write(self, since_ms: float) -> float:
        end_ms = now_ms() + BACK_LIMIT_S * 1000
        while now_ms() < end_ms:
            for loop in self._loops:
                loop.read()
            if all(loop.acks_since(since_ms) >= SETTLE_ACKED for loop in self._loops):
                return now_ms()
            await asyncio.sleep(LOOK_AGAIN_S)
        words = "\n".join(loop.child.last_words(3) for loop in self._loops)
        raise TimeoutError(
            f"the writers do not commit again within {BACK_LIMIT_S:.0f} s\n{words}\n"
            f"{self._lone.agent.last_words()}"
        )

    def _judge(
        self, who: str, deadline_ms: int, killed_ms: float, gone_ms: float, back_after_ms: float
    ) -> None:
        ended = gone_ms >= 0
        lease_end_ms = deadline_ms + self._lone.terms.fence_budget_ms
        last_ms = max(loop.last_ack_ms(killed_ms) for loop in self._loops)
        begun_ms = max(deadline_ms, killed_ms) if who == "agent" else killed_ms
        self.kills.append(
            Kill(
                who=who,
                killed_ms=killed_ms,
                ended=ended,
                lease_end_ms=lease_end_ms,
                gone_ms=gone_ms,
                gone_after_ms=gone_ms - begun_ms if ended else -1,
                last_ack_ms=last_ms if ended else 0,
                back_after_ms=back_after_ms,
            )
        )
        if ended and last_ms > lease_end_ms:
            self.wrong.append(
                f"kill {len(self.kills)} of {who}: a write was acknowledged "
                f"{last_ms - lease_end_ms:.0f} ms after the lease's end"
            )
        if ended and who == "agent" and gone_ms > lease_end_ms:
            self.wrong.append(
                f"kill {len(self.kills)} of {who}: the engine was gone "
                f"{gone_ms - lease_end_ms:.0f} ms after the lease's end"
            )


def _deadline_ms(status: GuardStatus | None) -> int:
    return status.deadline_ms or 0 if status else 0


def _is_ack(line: Insert | Connect) -> bool:
    return isinstance(line, Insert) and line.outcome is Outcome.ACKED


def _shared_memory_of(data: Path) -> set[tuple[str, ...]]:
    """Key and id of the running server's segment, as its own file says; none on a short file."""
    lines = (data / "postmaster.pid").read_text().splitlines()
    return {tuple(lines[6].split())} if len(lines) > 6 else set()


def _shared_memory() -> set[tuple[str, ...]]:
    rows = Path("/proc/sysvipc/shm").read_text().splitlines()[1:]
    return {tuple(row.split()[:2]) for row in rows}
