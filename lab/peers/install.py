"""The peers' programs, from their own packages: never into the environment of the project."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from lab.base.processes import ROOT

LOCK = Path(__file__).with_name("patroni.lock")
HOME = ROOT / ".bench" / "patroni"
INSTALL_TIMEOUT_S = 600.0


def patroni() -> Path:
    """Patroni's program, in a virtual environment of its own. Raises RuntimeError."""
    program, done = HOME / "bin" / "patroni", HOME / LOCK.name
    if done.exists() and done.read_bytes() == LOCK.read_bytes():
        return program
    print(f"installing Patroni into {HOME}", file=sys.stderr, flush=True)
    shutil.rmtree(HOME, ignore_errors=True)
    _run(sys.executable, "-m", "venv", str(HOME))
    pip = (str(HOME / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "-qq")
    _run(*pip, "install", "--require-hashes", "--requirement", str(LOCK))
    shutil.copy(LOCK, done)
    return program


def etcd() -> Path:
    """etcd's program, from Debian's or Ubuntu's packages. Raises RuntimeError."""
    if shutil.which("etcd") is None:
        _run("bash", str(ROOT / ".ci" / "packages"), "etcd-server")
    found = shutil.which("etcd")
    if found is None:
        raise RuntimeError("the peer needs etcd: apt-get install etcd-server")
    return Path(found)


def _run(*command: str) -> None:
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=INSTALL_TIMEOUT_S, check=False
    )
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} failed: {done.stderr.strip()[-500:]}")
