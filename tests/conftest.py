"""What all tests share: the place of the checkout."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from lab.faults.small_disk import NoDisk, SmallDisk, why_not

ROOT = Path(__file__).resolve().parent.parent

# A law holds or does not, however slow the machine is: no example fails for the time it took.
settings.register_profile(
    "saling", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.load_profile("saling")


@pytest.fixture(scope="session")
def root() -> Path:
    """The top directory of the checkout."""
    return ROOT


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[SmallDisk]:
    """16 MiB that can really be full."""
    if why_not():
        pytest.skip(why_not())
    try:
        disk = SmallDisk(tmp_path / "small", 16 * 2**20).__enter__()
    except NoDisk as error:
        pytest.skip(f"no file system can be mounted here: {error}")
    yield disk
    disk.__exit__()
