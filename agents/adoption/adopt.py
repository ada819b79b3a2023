"""Takes a running PostgreSQL over for Saling: looks at everything first, then acts in order.

Nothing here initialises, copies or deletes a database, and nothing here starts one: what was
stopped starts as a standby, and only the agent lets it write, on the controller's Order.
See docs/decisions/0009-adoption.md for why there are never two writers meanwhile.
"""

from __future__ import annotations

import os
from pathlib import Path

import asyncpg
from msgspec import Struct

from agents.adoption import takeover
from agents.adoption.checks import primary_findings, server_findings, standby_findings
from agents.adoption.facts import AdoptError, Facts, facts_of, session
from agents.adoption.host import file_findings, host_findings, program_findings
from agents.adoption.managers import (
    manager_findings,
    start_conf,
    start_conf_findings,
    starts_by_itself,
)
from agents.adoption.plan import Part, Plan, Step
from agents.adoption.provision import provision
from agents.adoption.remote import ask_primary
from agents.core.observation import Disk
from agents.doctor.findings import Finding, Level, fail, ok, warn
from agents.durable import lock_directory, prepare_directory
from agents.engines.pg_directory import Directory
from agents.engines.pg_running import Running, running_server


class Seen(Struct, frozen=True):
    """What was found. `facts` is None while no server answers; `stopped`: by an earlier run."""

    findings: tuple[Finding, ...]
    facts: Facts | None = None
    stopped: str = ""
    """The system identifier of what an earlier run stopped and did not finish."""

    @property
    def refused(self) -> bool:
        return any(finding.level is Level.FAIL for finding in self.findings)


async def examine(plan: Plan) -> Seen:
    """Look, change nothing. Raises AdoptError when the server does not answer."""
    data = plan.engine.data
    if (disk := Directory(data).disk()) is not Disk.DATA:
        text = f"{data}: {disk.value}, not a whole copy of a database"
        return Seen((fail("data", text, "name the running server's data_directory"),))
    findings = [*host_findings(plan), *await program_findings(plan)]
    running = running_server(data)
    if running is None:
        return _at_rest(plan, findings)
    if any(finding.level is Level.FAIL for finding in findings):
        # Another user cannot even ask the server.
        return Seen(tuple(findings))
    async with session(running, plan.superuser) as connection:
        facts = await facts_of(connection)
    findings += await _findings(plan, facts, running)
    return Seen(tuple(findings), facts)


def _at_rest(plan: Plan, findings: list[Finding]) -> Seen:
    stopped = takeover.marked(plan)
    if stopped and plan.step is Step.TAKE_OVER:
        found = ok("server", "an earlier run stopped it; this one finishes what is left")
        return Seen((*findings, found), stopped=stopped)
    mend = (
        "start it as you always did, then run this again; one that was adopted already is started "
        "by the agent"
    )
    found = fail("server", f"no server runs on {plan.engine.data}", mend)
    return Seen((*findings, found))


async def _findings(plan: Plan, facts: Facts, running: Running) -> list[Finding]:
    data, settings = plan.engine.data, facts.settings
    found = [*server_findings(plan, facts), *file_findings(plan, facts)]
    found += await manager_findings(data, running.pid, settings["shared_preload_libraries"])
    if plan.step is Step.PREPARE and facts.standby:
        text = "roles are made on the primary, from where they come to this standby"
        return [*found, fail("prepare", text, "run this on the primary's host")]
    if plan.step is Step.TAKE_OVER:
        found += start_conf_findings(Path(settings["config_file"]), plan.consent)
    if not facts.standby:
        return [*found, *(primary_findings(plan, facts) if plan.part else ())]
    if plan.part is Part.STANDBY:
        primary = await ask_primary(plan.engine, plan.primary_address, plan.slot)
        found += standby_findings(plan, facts, primary)
    old = settings["primary_slot_name"]
    if old and plan.part and old != plan.slot:
        mend = f"SELECT pg_drop_replication_slot('{old}') on the primary, once this one is adopted"
        found.append(warn("replication", f"slot {old} on the primary will keep log unread", mend))
    return found


def steps(plan: Plan, seen: Seen) -> tuple[str, ...]:
    """What a run would do, in its order."""
    data = plan.engine.data
    rest = (
        f"put standby.signal into {data}: whoever starts it from now on gets a standby",
        f"then start agent {plan.agent}: it runs the copy as the controller orders",
    )
    if seen.stopped or seen.facts is None:
        return rest if seen.stopped else ()
    if plan.step is Step.PREPARE:
        return (
            "create or mend Saling's roles and the table saling.probe",
            f"create the slot {plan.slot}, which keeps log from now on",
            f"put Saling's block on top of {seen.facts.settings['hba_file']}, and reload",
        )
    conf = start_conf(Path(seen.facts.settings["config_file"]))
    first = [f"write `disabled` into {conf}"] if conf and starts_by_itself(conf) else []
    stop = "checkpoint, then stop the server in order (clients wait from here on)"
    return (*first, stop, *rest)


async def carry_out(plan: Plan) -> tuple[Seen, tuple[str, ...]]:
    """Examine, and unless refused, act; what was done. Raises AdoptError, DurableError, OSError."""
    seen = await examine(plan)
    if seen.refused:
        return seen, ()
    prepare_directory(plan.state_directory)
    # Held until we are done: the agent cannot start in the middle.
    lock = lock_directory(plan.state_directory)
    try:
        return seen, await _act(plan, seen)
    finally:
        os.close(lock)


async def _act(plan: Plan, seen: Seen) -> tuple[str, ...]:
    running = running_server(plan.engine.data)
    if running is None or seen.facts is None:
        if not seen.stopped:
            raise AdoptError("the server stopped while it was looked at: start it, run this again")
        return _rested(await takeover.lay_to_rest(plan, seen.stopped))
    identifier = seen.facts.system_identifier
    async with session(running, plan.superuser) as connection:
        if plan.step is Step.PREPARE:
            await provision(connection, seen.facts, plan.engine, plan.slot, plan.superuser)
            return steps(plan, seen)
        if not seen.facts.standby and not plan.partner:
            # Nobody streams from it, so nobody asked for --prepare.
            await provision(connection, seen.facts, plan.engine, "", plan.superuser)
        await takeover.flush(connection)
        await _need_unchanged(plan, connection)
    done = []
    if takeover.keep_host_from_starting(Path(seen.facts.settings["config_file"])):
        done.append("the host does not start it any more (start.conf: disabled)")
    if seen.facts.standby:
        takeover.keep_standby(plan)
    takeover.mark(plan, identifier)
    await takeover.stop_server(running.pid, plan.engine.data)
    return (*done, *_rested(await takeover.lay_to_rest(plan, identifier)))


async def _need_unchanged(plan: Plan, connection: asyncpg.Connection) -> None:
    """The checkpoint may have taken minutes: the last look is right before the stop."""
    facts = await facts_of(connection)
    found = [*server_findings(plan, facts)]
    if not facts.standby:
        found += primary_findings(plan, facts)
    for finding in found:
        if finding.level is Level.FAIL:
            raise AdoptError(f"{finding.what}: {finding.found}; {finding.mend}")


def _rested(clean: bool) -> tuple[str, ...]:
    how = "in order" if clean else "not in order: it will replay its log first"
    return (f"the server stopped {how}", "its copy starts as a standby from now on")
