"""Says at the end how many worlds were run, and how fast."""

from __future__ import annotations

import pytest

from simulator.many import Count

COUNT = pytest.StashKey[Count]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[COUNT] = Count()


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    count = config.stash[COUNT]
    if count.passed + count.failed:
        terminalreporter.write_line(f"simulated worlds: {count.text}; {count.speed}")


@pytest.fixture
def count(pytestconfig: pytest.Config) -> Count:
    """Counts all worlds of this run of the tests."""
    return pytestconfig.stash[COUNT]
