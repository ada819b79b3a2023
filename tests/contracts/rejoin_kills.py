"""Kills at random moments of an old primary's return: `python -m tests.contracts.rejoin_kills`.

Each round the backup takes over while the primary commits on and dies. A process of its own
then does what an agent does with the old copy, and at a random moment that process, the program
of PostgreSQL that it runs, or the upstream is killed; then it is left in peace. In the end the
copy must stream with the same rows, and the quarantine must hold what was committed alone, to
the transaction. Then the two change places.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from agents.core.observation import Disk
from agents.engines.base import EngineBusy, EngineError, Progress
from agents.engines.pg_settings import PostgresConfig
from agents.engines.postgresql import PostgreSQL
from agents.guard.engine import EngineLock
from protocol.messages import Role
from tests.contracts.conftest import FOUND, Pair, Site, ignore

VICTIMS = ("agent", "program", "upstream")
TRIGGERS = ("begun", "asking", "reading", "putting", "rewinding", "rewinding", "rewinding")
"""What is said when the clock of the kill begins to run; rewinding is where it hurts."""
DELAY_AT_MOST_S = 0.4
ATTEMPTS_AT_MOST = 20
ATTEMPT_LIMIT_S = 120
ROWS = (
    "SELECT count(*)::text || ' ' || coalesce(sum(hashtext(t::text)), 0) FROM saling.ledger AS t",
    "SELECT count(*)::text || ' ' || coalesce(sum(hashtext(t::text)), 0) FROM saling.bulk AS t",
)


async def come_home(words: dict[str, Any]) -> int:
    """What an agent does with a copy of an old primary, once; prints how it ended."""
    paths = {name: Path(words[name]) for name in ("data", "run", "binaries", "password_file")}
    engine = PostgreSQL(
        PostgresConfig(service=words["service"], listen=words["listen"], **paths)  # type: ignore[arg-type]
    )
    site = Site.__new__(Site)
    site.address = words["upstream"]
    upstream = site.upstream(words["name"], words["identifier"])

    def told(progress: Progress) -> None:
        print(f"told {progress.doing}", flush=True)

    print("begun", flush=True)
    try:
        if (await engine.observe()).disk is Disk.DATA:
            print("ended", (await engine.rejoin(upstream, told)).how.value, flush=True)
        else:
            await engine.seed(upstream, told)
            print("ended seeded", flush=True)
    except EngineBusy as busy:
        print("later", busy, flush=True)
        return 2
    finally:
        await engine.close()
    return 0


class Home:
    """The process that brings one copy home."""

    def __init__(self, site: Site, upstream: Site, identifier: str) -> None:
        config = site.config
        words = {
            "service": config.service,
            "listen": config.listen,
            **{n: str(getattr(config, n)) for n in ("data", "run", "binaries", "password_file")},
            "upstream": upstream.address,
            "name": site.name,
            "identifier": identifier,
        }
        self._argv = [sys.executable, "-m", "tests.contracts.rejoin_kills", "--home"]
        self._argv.append(json.dumps(words))
        self.process: asyncio.subprocess.Process
        self.said: list[str] = []
        self.heard, self.ended = asyncio.Event(), asyncio.Event()

    async def begin(self) -> None:
        """Returns when it is about to touch the copy."""
        self.process = await asyncio.create_subprocess_exec(
            *self._argv, stdout=asyncio.subprocess.PIPE, cwd=Path(__file__).parents[2]
        )
        assert self.process.stdout is not None
        line = await asyncio.wait_for(self.process.stdout.readline(), ATTEMPT_LIMIT_S)
        assert line == b"begun\n"
        self.said = ["begun"]
        self.ended.clear()

    async def until_said(self, trigger: str) -> None:
        """Until it says so, or has ended."""
        while not any(trigger in line for line in self.said) and not self.ended.is_set():
            self.heard.clear()
            await asyncio.wait_for(self.heard.wait(), ATTEMPT_LIMIT_S)

    async def end(self) -> str:
        """How it ended; empty when it was killed or has to come again."""
        assert self.process.stdout is not None
        async with asyncio.timeout(ATTEMPT_LIMIT_S):
            async for line in self.process.stdout:
                self.said.append(line.decode().strip())
                self.heard.set()
            await self.process.wait()
        self.ended.set()
        self.heard.set()
        last = self.said[-1] if self.said else ""
        if self.process.returncode not in (0, 2, -signal.SIGKILL):
            raise AssertionError(f"the return failed for good: {self.said[-3:]}")
        return last.removeprefix("ended ") if last.startswith("ended") else ""


class Kills:
    """Rounds of kills on one pair, which changes places after each."""

    def __init__(self, pair: Pair, seed: int) -> None:
        self.pair = pair
        self.random = random.Random(seed)
        self.ended: Counter[str] = Counter()
        self._rounds = 0

    async def prepare(self) -> None:
        primary = self.pair.primary
        await primary.sql("CREATE TABLE saling.ledger (i int, note text)")
        await primary.sql(
            "CREATE TABLE saling.bulk AS"
            " SELECT i, repeat(md5(i::text), 8) AS x FROM generate_series(1, 20000) AS i"
        )

    async def round(self) -> str:
        """One return with one kill; says how it ended. AssertionError when it did not end well."""
        self._rounds += 1
        old, new = self.pair.primary, self.pair.backup
        alone = await self._diverge()
        victim = self.random.choice(VICTIMS)
        phase, how = await self._return_under_fire(victim)
        await old.engine.start_standby(new.upstream(old.name))
        await old.observed(role=Role.STANDBY, streaming=True)
        turned = Pair(new, old, self.pair.identifier)
        await turned.caught_up()
        for rows in ROWS:
            assert await old.sql(rows) == await new.sql(rows)
        await self._check_quarantine(alone)
        shutil.rmtree(old.config.quarantine_root, ignore_errors=True)
        await old.engine.forget_old_copy()
        self.pair = turned
        name = f"{victim} killed while {phase}: {how}"
        self.ended[name] += 1
        return name

    async def _diverge(self) -> int:
        """Returns how many transactions only the old primary has."""
        old, new = self.pair.primary, self.pair.backup
        await self.pair.caught_up()
        await new.lease()
        await new.engine.ensure_slot(f"saling_{old.name}")
        await new.engine.promote(30_000)
        alone = self.random.randint(1, 12)
        for number in range(alone):
            await old.sql(f"INSERT INTO saling.ledger VALUES ({number}, 'alone in {self._rounds}')")
        await old.engine.kill()
        await new.sql(f"INSERT INTO saling.ledger VALUES ({self._rounds}, 'of the new reign')")
        await new.sql(f"UPDATE saling.bulk SET x = x || '.' WHERE i % 50 = {self._rounds % 50}")
        return alone

    async def _return_under_fire(self, victim: str) -> tuple[str, str]:
        """What was going on when the kill came, and how the return ended."""
        old, new = self.pair.primary, self.pair.backup
        home = Home(old, new, self.pair.identifier)
        await home.begin()
        killing = asyncio.create_task(self._kill_later(home, victim))
        how = await home.end()
        phase = await killing
        for _ in range(ATTEMPTS_AT_MOST):
            if how:
                return phase, how
            await home.begin()
            how = await home.end()
        raise AssertionError(f"not home after {ATTEMPTS_AT_MOST} attempts: {home.said}")

    async def _kill_later(self, home: Home, victim: str) -> str:
        """What was going on then."""
        await home.until_said(self.random.choice(TRIGGERS))
        await asyncio.sleep(self.random.random() * DELAY_AT_MOST_S)
        if home.process.returncode is not None:
            return "over already"
        phase = home.said[-1].removeprefix("told ").split(":")[0]
        new, data = self.pair.backup, self.pair.primary.config.data
        if victim == "agent":
            home.process.kill()
        elif victim == "program":
            lock = EngineLock(f"{data}.copy", str(data))
            if not lock.free():
                lock.kill_holders()
        else:
            await new.engine.kill()
            await new.lease()
            await new.engine.start_primary(30_000)
        return phase

    async def _check_quarantine(self, alone: int) -> None:
        kept = (await self.pair.primary.engine.aside()).quarantines
        counts = [each.transactions for each in kept]
        assert counts == [alone], f"{counts} in quarantine, {alone} were committed alone"


async def kills_on(root: Path, binaries: Path, seed: int) -> tuple[Kills, list[Site]]:
    """A pair that streams, ready for rounds. The caller ends the sites."""
    sites = [Site(root, name, binaries) for name in ("a", "b")]
    primary, backup = sites
    identifier = await primary.engine.create()
    await primary.lease()
    await primary.engine.start_primary(30_000)
    await primary.engine.ensure_slot("saling_b")
    await backup.engine.seed(primary.upstream("b", identifier), ignore)
    await backup.engine.start_standby(primary.upstream("b", identifier))
    await backup.observed(streaming=True)
    kills = Kills(Pair(primary, backup, identifier), seed)
    await kills.prepare()
    return kills, sites


async def bench(rounds: int, limit_s: float, major: int, seed: int) -> int:
    """Prints how each ended; 1 when one did not end well."""
    root = Path(tempfile.mkdtemp(prefix="kills-"))
    sites: list[Site] = []
    end_s, done = time.monotonic() + limit_s, 0
    try:
        kills, sites = await kills_on(root, FOUND[major], seed)
        while done < rounds and time.monotonic() < end_s:
            print(f"{done + 1}: {await kills.round()}", flush=True)
            done += 1
    except (AssertionError, EngineError) as failure:
        print(f"round {done + 1} of seed {seed} did not end well: {failure}")
        return 1
    finally:
        for site in sites:
            await site.end()
        shutil.rmtree(root, ignore_errors=True)
    print(f"PostgreSQL {major}, seed {seed}: {done} kills, all streaming with identical rows")
    for name, times in sorted(kills.ended.items()):
        print(f"{times:5}  {name}")
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--limit-s", type=float, default=3600)
    parser.add_argument("--major", type=int, default=max(FOUND), choices=sorted(FOUND))
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(4)))
    parser.add_argument("--home", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.home:
        return asyncio.run(come_home(json.loads(asked.home)))
    return asyncio.run(bench(asked.kills, asked.limit_s, asked.major, asked.seed))


if __name__ == "__main__":
    sys.exit(main())
