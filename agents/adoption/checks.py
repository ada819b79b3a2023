"""Whether a running server can be taken over: findings from what was seen, nothing else.

Every finding that failed says what would make the adoption possible.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from agents.adoption.facts import Facts, Follower
from agents.adoption.plan import Part, Plan, Step
from agents.adoption.remote import Upstream
from agents.doctor.findings import Finding, fail, ok, warn
from agents.engines import pg_tablespaces
from agents.engines.pg_roles import REPLICATION_USER, REWIND_USER
from agents.engines.pg_settings import settings_given
from agents.engines.pg_tools import SUPPORTED
from config.enginesettings import refusal

LAG_AT_MOST_BYTES = 16 * 1024 * 1024
WIDE = ("0.0.0.0", "::", "*")
SAME = {"localhost": "127.0.0.1"}
AGAIN = "and run this again"
SLOT_BOUND = "max_slot_wal_keep_size"


def server_findings(plan: Plan, facts: Facts) -> Iterator[Finding]:
    """What must hold on either host."""
    yield from _version(facts)
    yield from _identity(plan, facts)
    yield from _part(plan, facts)
    yield from _files(plan, facts)
    yield from _address(plan, facts)
    yield from _tablespaces(facts)
    yield from _sockets(plan, facts)
    yield from _settings(plan, facts)
    yield from _slot_bound(plan, facts)


def _tablespaces(facts: Facts) -> Iterator[Finding]:
    if facts.tablespaces:
        found = pg_tablespaces.wrong(facts.tablespaces)
        yield fail("tablespaces", found, f"{pg_tablespaces.MEND}, {AGAIN}")
    else:
        yield ok("tablespaces", "none outside the data directory")


def _version(facts: Facts) -> Iterator[Finding]:
    if facts.major in SUPPORTED:
        yield ok("version", f"PostgreSQL {facts.major}")
    else:
        yield fail("version", f"PostgreSQL {facts.major}", f"upgrade it to 15 to 18 {AGAIN}")


def _identity(plan: Plan, facts: Facts) -> Iterator[Finding]:
    what, found = "system identifier", facts.system_identifier
    line = f'system_identifier: "{found}"'
    if plan.part is None:
        yield warn(what, found, f"write `{line}` into service {plan.service.name} of the topology")
    elif not plan.system_identifier:
        yield fail(what, f"{found}; the topology names none", f"add `{line}` to the service there")
    elif plan.system_identifier != found:
        yield fail(
            what,
            f"{found}; the topology says {plan.system_identifier}: this is another database",
            "name the right data_directory here, or correct the topology",
        )
    else:
        yield ok(what, f"{found}, as in the topology")


def _part(plan: Plan, facts: Facts) -> Iterator[Finding]:
    what, found = "role", Part.STANDBY if facts.standby else Part.PRIMARY
    if plan.part is None:
        yield ok(what, f"{found}; give --topology to compare it with what is declared")
    elif plan.part is found:
        yield ok(what, f"{found}, as in the topology")
    else:
        yield fail(
            what,
            f"this server is the {found}, the topology makes it the {plan.part}",
            "give priority 1 to the copy that is the primary now, in the controller's file too; "
            "if a standby was promoted by hand, end one of the two primaries first",
        )


def _files(plan: Plan, facts: Facts) -> Iterator[Finding]:
    what, engine = "the DBA's files", plan.engine
    wanted = {
        "data_directory": engine.data,
        "config_file": engine.dba_config or engine.data / "postgresql.conf",
        "hba_file": engine.dba_hba,
        "ident_file": engine.dba_ident,
    }
    wrong = [name for name, path in wanted.items() if not _same(facts.settings[name], path)]
    if not wrong:
        yield ok(what, f"{wanted['config_file']}, {wanted['hba_file']}; they stay in force")
    for name in wrong:
        found = Path(facts.settings[name])
        if name == "data_directory":
            mend = f"data_directory: {found}"
        else:
            mend = f"config_directory: {found.parent}"
        text = f"{name} is {found}, Saling would take {wanted[name]}"
        mend = f"`{mend}` in the agent's file; all three files must stand in one directory"
        yield fail(what, text, mend)


def _same(one: str, other: Path) -> bool:
    return Path(one).resolve() == other.resolve()


def _address(plan: Plan, facts: Facts) -> Iterator[Finding]:
    what, engine = "address", plan.engine
    port, listened = facts.settings["port"], facts.settings["listen_addresses"]
    hosts = {SAME.get(word.strip(), word.strip()) for word in listened.split(",")} - {""}
    if port != str(engine.port):
        mend = f"`listen: {engine.host}:{port}` in the agent's file, and the port in the topology"
        yield fail(what, f"clients use port {port}, Saling would take {engine.port}", mend)
    if engine.host in WIDE or hosts <= {SAME.get(engine.host, engine.host), "::1"}:
        yield ok(what, f"{listened} port {port}; under Saling {engine.listen}")
        return
    mend = f"`listen: 0.0.0.0:{port}` in the agent's file, or narrow listen_addresses to one first"
    text = f"clients may use {listened}, Saling would listen on {engine.host} alone"
    yield fail(what, text, mend)


def _sockets(plan: Plan, facts: Facts) -> Iterator[Finding]:
    what = "clients' sockets"
    found = [word.strip() for word in facts.settings["unix_socket_directories"].split(",")]
    given = plan.service.client_socket_directories
    missing = [word for word in found if word and Path(word) not in (given or ())]
    if given is not None and (not given or not missing):
        yield ok(what, ", ".join(map(str, given)) or "none but Saling's own, as the file says")
    elif missing:
        yield fail(
            what,
            f"clients on this host may use {', '.join(missing)}, where no socket will be",
            f"`client_socket_directories: [{', '.join(found)}]` in the agent's file; [] if nobody "
            "uses them",
        )


def _settings(plan: Plan, facts: Facts) -> Iterator[Finding]:
    what, now = "settings", facts.settings
    if now["wal_level"] == "minimal" or facts.logical_slots or now["wal_level"] == "logical":
        text = f"wal_level is {now['wal_level']}, with {facts.logical_slots} logical slots"
        mend = f"drop logical slots, set wal_level = replica on both hosts, restart {AGAIN}"
        yield fail(what, text, mend)
    for name in ("max_wal_senders", "max_replication_slots"):
        if int(now[name]) > 10:
            mend = f"set {name} = 10 on the primary, then on the standby, restarting each, {AGAIN}"
            yield fail(what, f"{name} is {now[name]}, Saling sets 10", mend)
    if now["recovery_min_apply_delay"] not in ("0", "0ms"):
        text = f"recovery_min_apply_delay is {now['recovery_min_apply_delay']}"
        yield fail(what, text, f"set it to 0: a delayed copy cannot take over, {AGAIN}")
    if now["synchronous_standby_names"] and not plan.sync and plan.part is not None:
        text = "commits wait for a standby now, and will not: the topology says async"
        yield warn(what, text, "`protection: sync` in the topology, if they shall")
    if now["wal_log_hints"] == "off" and now["data_checksums"] == "off":
        yield ok(what, "wal_log_hints is off; Saling turns it on, so that a return is a rewind")
    yield ok(what, f"will change: {_changed(plan, facts) or 'none'}")


def _slot_bound(plan: Plan, facts: Facts) -> Iterator[Finding]:
    """The slot of --prepare keeps log from then on, under the bound of the DBA's own settings."""
    value = facts.settings[SLOT_BOUND]
    if facts.standby or not refusal(SLOT_BOUND, value):
        return
    bound = plan.engine.max_slot_wal_keep_size
    finding = fail if plan.step is Step.PREPARE else warn
    yield finding(
        "slot",
        f"{SLOT_BOUND} is {value}: the slot of --prepare would fill the disk if its standby stayed "
        "away, or keep nothing",
        f"ALTER SYSTEM SET {SLOT_BOUND} = '{bound}'; SELECT pg_reload_conf(); no restart is needed",
    )


def _changed(plan: Plan, facts: Facts) -> str:
    """The settings that get another value, as `name: before -> after`."""
    words = settings_given(plan.engine, facts.major)[1::2]
    pairs = dict(word.split("=", 1) for word in words)
    parts = [
        f"{name}: {facts.settings[name] or 'empty'} -> {value or 'empty'}"
        for name, value in pairs.items()
        if name in facts.settings and facts.settings[name] != value
    ]
    return ", ".join(parts)


def standby_findings(plan: Plan, facts: Facts, primary: Upstream) -> Iterator[Finding]:
    """On the standby's host: it must find what it will need on the primary."""
    if not facts.sender_host:
        text = "this standby streams from nobody"
        yield fail("replication", text, f"mend its replication {AGAIN}")
    else:
        yield ok("replication", f"it streams from {facts.sender_host}:{facts.sender_port}")
    if not facts.prepared:
        yield fail("prepared", "Saling's roles and table are not here yet", _prepare_mend())
    yield from _upstream_findings(plan, facts, primary)
    yield from _narrower(plan, facts, primary)


def _upstream_findings(plan: Plan, facts: Facts, primary: Upstream) -> Iterator[Finding]:
    what, where = "primary", plan.primary_address
    if primary.problem:
        text = f"{where} as {REWIND_USER}: {primary.problem}"
        yield fail(what, text, f"{_prepare_mend()}; both hosts need the same password file")
    elif primary.standby:
        yield fail(what, f"{where} is a standby itself", "correct the primary's address or roles")
    elif primary.system_identifier != facts.system_identifier:
        text = f"{where} is another database, {primary.system_identifier}"
        yield fail(what, text, "correct the primary's address in the topology or in `reach`")
    elif not primary.slot:
        yield fail(what, f"{where} has no slot {plan.slot} that keeps log", _prepare_mend())
    else:
        yield ok(what, f"{where} lets {REWIND_USER} in and keeps log in slot {plan.slot}")


def _narrower(plan: Plan, facts: Facts, primary: Upstream) -> Iterator[Finding]:
    """A standby with less room than its primary stops replaying."""
    given = settings_given(plan.engine, facts.major)[1::2]
    ours = dict(word.split("=", 1) for word in given)
    for name, needed in primary.room.items():
        value = ours.get(name, facts.settings[name])
        if int(value) < int(needed):
            text = f"{name} would be {value} here, the primary has {needed}"
            yield fail("settings", text, f"raise it to {needed} in `settings` of the agent's file")


def _prepare_mend() -> str:
    return f"run `saling-agent adopt --prepare` on the primary's host first, {AGAIN}"


def primary_findings(plan: Plan, facts: Facts) -> Iterator[Finding]:
    """On the primary's host, before it stops: its standby must stream under Saling already."""
    if plan.step is Step.PREPARE or not plan.partner:
        return
    what = "standby"
    if not facts.prepared:
        text, mend = "Saling's roles and table are missing", f"run this with --prepare {AGAIN}"
        yield fail("prepared", text, mend)
    found = next((one for one in facts.followers if _is_partner(one, plan)), None)
    if found is None:
        seen = ", ".join(f"{one.name} as {one.role}" for one in facts.followers) or "nobody"
        text = f"agent {plan.partner} does not stream from slot {plan.slot} ({seen} does)"
        mend = (
            f"adopt the standby on its host, start its agent there, wait until it streams {AGAIN}"
        )
        yield fail(what, text, mend)
        return
    behind = facts.position - found.flushed
    if behind > LAG_AT_MOST_BYTES:
        text = f"{plan.partner} is {behind // 2**20} MiB behind"
        yield fail(what, text, f"wait until it is under {LAG_AT_MOST_BYTES // 2**20} MiB {AGAIN}")
    else:
        yield ok(what, f"{plan.partner} streams from slot {plan.slot}, {behind} bytes behind")


def _is_partner(one: Follower, plan: Plan) -> bool:
    return (
        one.streaming
        and one.role == REPLICATION_USER
        and (one.name, one.slot) == (plan.partner, plan.slot)
    )
