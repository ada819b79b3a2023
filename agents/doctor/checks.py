"""The doctor's look at the site's own checks: whether they would be run. None of them is."""

from __future__ import annotations

import os
from collections.abc import Iterator

from agents.doctor.findings import Finding, fail, ok, warn
from config.agent import AgentConfig
from config.checks import distrust, load_checks
from config.problems import ConfigError

WHAT = "checks"


def checks_findings(config: AgentConfig) -> Iterator[Finding]:
    """Of the file, then of each program that is named in it."""
    file = config.symptoms.checks
    if file is None:
        yield ok(WHAT, "the site has none of its own: `symptoms.checks` names no file")
        return
    try:
        checks = load_checks(file).checks
    except ConfigError as error:
        for problem in error.problems:
            where = f"{file}: {problem.path}: " if problem.path else ""
            yield fail(WHAT, f"{where}{problem.message}", problem.mend)
        return
    for check in checks:
        if refused := distrust(check.program):
            yield fail(WHAT, f"{check.kind}: {refused.message}", refused.mend)
        elif not os.access(check.program, os.X_OK):
            mend = f"chmod a+rx {check.program}"
            yield fail(WHAT, f"{check.kind}: {check.program} may not be run by this user", mend)
        else:
            yield ok(WHAT, f"{check.kind}: {check.program} may be run")
    if not checks:
        yield warn(WHAT, f"{file} names no check", "add one, or leave `symptoms.checks` out")
