"""The same in Debian's layout: settings under /etc, sockets for all users, owner postgres."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from agents.guard.engine import namespaces_allowed
from lab.base.plan import Plan, Service, agent_of
from lab.base.processes import Child, end_all
from tests.lab.adopting import SERVICE, Client, Said, WaitingLab, adopt, connect, run

HOME, AWAY = "jabodetabek", "batam"
FAST = Service(SERVICE, (HOME, AWAY))
BINARIES = Path("/usr/lib/postgresql/15/bin")
SHARED = "/var/run/postgresql"
AS_OWNER = ("runuser", "-u", "postgres", "--")
PASSWORD = "only-for-this-test"
AGENT_AS_OWNER = (
    "import os, pwd, runpy, sys; user = pwd.getpwnam('postgres'); "
    "os.initgroups('postgres', user.pw_gid); os.setgid(user.pw_gid); os.setuid(user.pw_uid); "
    "runpy.run_module('agents.daemon', run_name='__main__', alter_sys=True)"
)


def missing() -> str:
    """Why it cannot run here; empty if it can."""
    if os.geteuid() != 0:
        return "needs root, to make Debian clusters"
    if shutil.which("pg_createcluster") is None or not (BINARIES / "postgres").exists():
        return "needs Debian's postgresql-15 and pg_createcluster"
    if not namespaces_allowed():
        return "needs user namespaces"
    readable = subprocess.run([*AS_OWNER, sys.executable, "-c", "import agents"], check=False)
    return "" if readable.returncode == 0 else "user postgres may not read this checkout"


pytestmark = [
    pytest.mark.lab,
    pytest.mark.postgres,
    pytest.mark.root,
    pytest.mark.slow,
    pytest.mark.timeout(600),
]


def shell(*argv: str) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, (argv, done.stdout, done.stderr)
    return done.stdout


class DebianPair:
    """Two clusters of Debian's, one the standby of the other, and the lab that waits."""

    def __init__(self) -> None:
        directory = Path(tempfile.mkdtemp(prefix="sdb-"))
        directory.chmod(0o755)
        self.lab = WaitingLab(Plan(directory, (FAST,), binaries=BINARIES))
        self.names = {site: f"saling_test_{os.getpid()}_{site[:3]}" for site in (HOME, AWAY)}
        for site in (HOME, AWAY):
            self.lab.agents[site] = Child(
                agent_of(site),
                directory / f"{site}.log",
                ["-c", AGENT_AS_OWNER, "--config", str(self.lab.plan.agent_file(site))],
            )

    def etc(self, site: str) -> Path:
        return Path("/etc/postgresql/15") / self.names[site]

    def data(self, site: str) -> Path:
        return Path("/var/lib/postgresql/15") / self.names[site]

    def port(self, site: str) -> str:
        return self.lab.plan.engine(SERVICE, site).rpartition(":")[2]

    def ctl(self, site: str, action: str) -> None:
        shell("pg_ctlcluster", "--skip-systemctl-redirect", "15", self.names[site], action)

    def psql(self, site: str, sql: str, *before: str, user: str = "postgres") -> str:
        where = ("-h", SHARED, "-p", self.port(site), "-U", user, "-d", "postgres")
        return shell(*(before or AS_OWNER), "psql", *where, "-AtXc", sql).strip()

    async def start(self) -> None:
        for site in (HOME, AWAY):
            manual = ("--start-conf=manual", "-p", self.port(site))
            shell("pg_createcluster", "15", self.names[site], *manual)
            extra = self.etc(site) / "conf.d" / "ours.conf"
            extra.write_text(
                "shared_buffers = 16MB\nmax_connections = 40\nwork_mem = 5MB\n"
                "max_slot_wal_keep_size = 4GB\n"
            )
        self.ctl(HOME, "start")
        self.psql(HOME, f"CREATE ROLE app LOGIN PASSWORD '{PASSWORD}'")
        self.psql(HOME, "CREATE TABLE rows (number bigint PRIMARY KEY)")
        self.psql(HOME, "GRANT ALL ON rows TO app")
        identifier = self.psql(HOME, "SELECT system_identifier FROM pg_control_system()")
        self._make_standby()
        per_site = {site: self._lines(site) for site in (HOME, AWAY)}
        await self.lab.launch_but_agents(identifier, per_site)
        for site in (HOME, AWAY):
            shell("chown", "-R", "postgres:", str(self.lab.plan.site_directory(site)))
        # One directory of keys for all parties: the owner of the agents may read it here.
        shell("chown", "-R", "postgres:", str(self.lab.plan.directory / "keys"))
        (self.etc(HOME) / "start.conf").write_text("auto\n")

    def _make_standby(self) -> None:
        data = self.data(AWAY)
        shutil.rmtree(data)
        source = ("-h", SHARED, "-p", self.port(HOME), "-R", "-c", "fast", "-X", "stream")
        shell(*AS_OWNER, str(BINARIES / "pg_basebackup"), "-D", str(data), *source)
        self.ctl(AWAY, "start")

    def _lines(self, site: str) -> dict[str, Any]:
        return {
            "data_directory": str(self.data(site)),
            "config_directory": str(self.etc(site)),
            "client_socket_directories": [SHARED],
            "settings": {},
        }

    async def end(self) -> None:
        """Each step is taken whatever became of the one before it."""
        async with contextlib.AsyncExitStack() as stack:
            stack.push_async_callback(self.lab.remove)
            for name in self.names.values():
                stack.push_async_callback(drop, name)
            stack.push_async_callback(self.lab.stop)


async def drop(name: str) -> None:
    """Nothing of a cluster of this test is left afterwards."""
    await end_all(Path("/var/lib/postgresql/15") / name)
    await run("pg_dropcluster", "15", name, "--stop")
    # It leaves what it did not make itself, such as our file in conf.d.
    await asyncio.to_thread(shutil.rmtree, Path("/etc/postgresql/15") / name, True)
    for left in Path("/var/lib/postgresql/15").glob(f"{name}*"):
        left.unlink() if left.is_file() else shutil.rmtree(left)


async def drop_what_killed_runs_left() -> None:
    """A run that was killed could not: its clusters bear the number of a process that is gone."""
    for left in Path("/etc/postgresql/15").glob("saling_test_*"):
        pid = left.name.split("_")[2]
        if pid.isdecimal() and not Path("/proc", pid).exists():
            await drop(left.name)


@pytest.fixture
async def pair() -> AsyncIterator[DebianPair]:
    if reason := missing():
        pytest.skip(reason)
    await drop_what_killed_runs_left()
    made = DebianPair()
    try:
        await made.start()
        yield made
    finally:
        await made.end()


async def test_a_debian_pair_is_adopted_and_its_own_files_rules_and_sockets_go_on(
    pair: DebianPair,
) -> None:
    lab = pair.lab
    # Root is not the owner: it says whom to become.
    told = await adopt(lab, HOME, "--prepare")
    assert told.code == 2 and "owner of the data" in told.err

    assert_done(await as_owner(lab, HOME, "--prepare"))
    assert_done(await as_owner(lab, AWAY))
    lab.start_site(AWAY)
    await until_streams(pair, "batam-1")

    # The host would start it again at boot: refused, until it may be told not to.
    said = await as_owner(lab, HOME)
    assert said.code == 4, said
    assert "echo disabled" in said.failed()["start at boot"]
    assert list(said.failed()) == ["start at boot"], said.failed()
    login = {"user": "app", "password": PASSWORD}
    client = Client([lab.plan.engine(SERVICE, site) for site in (HOME, AWAY)], **login)
    writing = asyncio.create_task(client.run())
    while len(client.acknowledged) < 10:  # noqa: ASYNC110 - it counts by itself
        await asyncio.sleep(0.05)
    assert_done(await as_owner(lab, HOME, "--yes"))
    assert "disabled" in (pair.etc(HOME) / "start.conf").read_text()
    lab.start_site(HOME)
    await lab.wait_until_protected()
    print(f"\nadoption of a Debian pair: client's longest gap {client.longest_gap_s:.3f} s")

    # The DBA's conf.d, rules and shared socket are as before.
    assert pair.psql(HOME, "SHOW work_mem") == "5MB"
    theirs = str(pair.etc(HOME) / "pg_hba.conf")
    assert f"# copied from {theirs}" in Path(pair.psql(HOME, "SHOW hba_file")).read_text()
    assert pair.psql(HOME, "SHOW external_pid_file") == ""
    # On that socket only the agent's own user can be one of Saling's roles; it probes as such.
    for role in ("saling", "saling_probe"):
        assert pair.psql(HOME, "SELECT current_user", user=role) == role
        with pytest.raises(AssertionError, match="Peer authentication failed"):
            pair.psql(HOME, "SELECT 1", *("runuser", "-u", "nobody", "--"), user=role)
    probing = "SELECT count(*) > 0 FROM pg_stat_activity WHERE usename = 'saling_probe'"
    assert pair.psql(HOME, probing) == "t"
    # Debian's own tool does not start a second one.
    with pytest.raises(AssertionError, match="disabled"):
        pair.ctl(HOME, "start")

    await lab.ask_until_accepted(SERVICE, "switchover")
    await lab.wait_for("the switchover", lambda s: s["primary"] == "batam-1", SERVICE)
    await lab.wait_until_protected()
    writing.cancel()
    await asyncio.wait({writing})
    connection = await connect(lab.plan.engine(SERVICE, AWAY), **login)
    rows = {row["number"] for row in await connection.fetch("SELECT number FROM rows")}
    await connection.close()
    assert set(client.acknowledged) - rows == set()


async def as_owner(lab: WaitingLab, site: str, *options: str) -> Said:
    return await adopt(lab, site, *options, before=AS_OWNER)


def assert_done(said: Said) -> None:
    assert said.code == 0, said
    assert said.shown["outcome"] == "done"


async def until_streams(pair: DebianPair, name: str) -> None:
    sql = (
        "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming' "
        f"AND application_name = '{name}'"
    )
    async with asyncio.timeout(90):
        while await asyncio.to_thread(pair.psql, HOME, sql) != "1":  # noqa: ASYNC110
            await asyncio.sleep(0.1)
