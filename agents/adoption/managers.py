"""Who else would start, stop or promote this server: there may be one manager only."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path

from agents.doctor.findings import Finding, fail, ok

DEBIAN = Path("/etc/postgresql")
REPMGR_PLACES = (Path("/etc/repmgr.conf"), Path("/etc/repmgr"), Path("/etc/postgresql"))
SYSTEMCTL_LIMIT_S = 5.0
LEAVES_ALONE = ("manual", "disabled")
PRELOADED = {"repmgr": "repmgr", "pgautofailover": "pg_auto_failover"}


def start_conf(config_file: Path) -> Path | None:
    """Debian's file that says whether the host starts this cluster; None in other layouts."""
    beside = config_file.parent / "start.conf"
    return beside if config_file.is_relative_to(DEBIAN) or beside.exists() else None


def starts_by_itself(file: Path) -> bool:
    """Whether the host starts the cluster at boot; so it does without the file."""
    try:
        text = file.read_text()
    except FileNotFoundError:
        return True
    words = [line.split("#")[0].strip() for line in text.splitlines()]
    return next(filter(None, words), "auto") not in LEAVES_ALONE


def start_conf_findings(config_file: Path, consent: bool) -> Iterator[Finding]:
    """The host must not start it behind Saling's back."""
    file = start_conf(config_file)
    if file is None:
        return
    what = "start at boot"
    if not starts_by_itself(file):
        yield ok(what, f"{file}: the host does not start it")
    elif consent:
        yield ok(what, f"{file}: the host starts it; will say `disabled`, as --yes allows")
    else:
        yield fail(
            what, f"{file}: the host starts it", f"echo disabled > {file}, or run this with --yes"
        )


async def manager_findings(data: Path, pid: int, preloaded: str) -> list[Finding]:
    """Patroni, repmgr, pg_auto_failover, and a systemd unit that is not Debian's template."""
    found = [*_by_files(data), *_by_libraries(preloaded), *_by_repmgr_file(data)]
    unit = unit_of(_read(Path(f"/proc/{pid}/cgroup")))
    if unit and not unit.startswith("postgresql@"):
        found += unit_findings(unit, await _systemctl_show(unit))
    return found or [ok("other managers", "none found")]


def _by_files(data: Path) -> Iterator[Finding]:
    for name, manager in (
        ("patroni.dynamic.json", "Patroni"),
        ("postgresql-auto-failover.conf", "pg_auto_failover"),
    ):
        if (data / name).exists():
            yield _managed(manager, str(data / name), f"remove {data / name}")


def _by_libraries(preloaded: str) -> Iterator[Finding]:
    for library in (word.strip() for word in preloaded.split(",")):
        if manager := PRELOADED.get(library):
            where = f"shared_preload_libraries names {library}"
            yield _managed(manager, where, "take it out of there and restart the server")


def _by_repmgr_file(data: Path) -> Iterator[Finding]:
    names_it = re.compile(rf"^\s*data_directory\s*=\s*'?{re.escape(str(data))}/?'?\s*$", re.M)
    for place in REPMGR_PLACES:
        for file in [place] if place.is_file() else place.rglob("repmgr.conf"):
            if names_it.search(_read(file)):
                yield _managed("repmgr", str(file), f"remove {file}")


def _managed(manager: str, where: str, then: str) -> Finding:
    mend = f"stop {manager} for this cluster on both hosts for good, then {then}"
    return fail("other managers", f"{where}: {manager} manages this server", mend)


def unit_of(cgroup: str) -> str:
    """The systemd service in the text of /proc/PID/cgroup; empty when it is in none."""
    found = re.search(r"/system\.slice/(?:.*/)?([^/\n]+\.service)$", cgroup, re.M)
    return found[1] if found else ""


def unit_findings(unit: str, shown: str) -> list[Finding]:
    """`shown`: what `systemctl show` says of UnitFileState and Restart; empty if nothing."""
    said = dict(line.split("=", 1) for line in shown.splitlines() if "=" in line)
    if said.get("Restart") in ("always", "on-success"):
        text = f"{unit} starts the server again whenever it stops (Restart={said['Restart']})"
        mend = f"systemctl edit {unit}: [Service] Restart=no; then systemctl disable {unit}"
        return [fail("start at boot", text, mend)]
    if said.get("UnitFileState", "unknown") not in ("disabled", "masked"):
        text = f"{unit} runs the server and is not known to be disabled"
        return [fail("start at boot", text, f"systemctl disable {unit} (it goes on running)")]
    return [ok("start at boot", f"{unit} is disabled")]


async def _systemctl_show(unit: str) -> str:
    try:
        process = await asyncio.create_subprocess_exec(
            *("systemctl", "show", unit, "--property=UnitFileState,Restart"),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
    except OSError:
        return ""
    try:
        said, _ = await asyncio.wait_for(process.communicate(), SYSTEMCTL_LIMIT_S)
    except TimeoutError:
        process.kill()
        await process.wait()
        return ""
    return said.decode(errors="replace")


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
