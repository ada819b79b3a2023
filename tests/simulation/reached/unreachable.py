"""Lines of the rules that no simulated world can reach, each with the reason.

An entry that is reached after all, or whose line is gone, fails: this list stays short and true.
"""

from __future__ import annotations

from msgspec import Struct

from tests.simulation.reached.measure import Missed


class Unreachable(Struct, frozen=True):
    """Lines of one file that never run, or never go on to one place, and why not."""

    path: str
    codes: tuple[str, ...]
    """How the lines begin."""
    why: str

    def covers(self, missed: Missed) -> bool:
        """Whether this entry speaks of that line."""
        return missed.path == self.path and any(missed.code.startswith(c) for c in self.codes)


RAISES = "it raises where a rule is broken, which no world may reach; unit tests break the rules"
MATCH = "the match names every kind there is; a kind that is forgotten is found by the type checker"
TYPES = "the caller has made sure already; it is asked again for the type checker"
FOREIGN = (
    "worlds have no foreign or adopted data directories; tests/agents/core/test_engine.py has them"
)
ONE_LEADER = "worlds have one leader at a time, and every agent and service is declared"

UNREACHABLE: tuple[Unreachable, ...] = (
    Unreachable("controller/core/invariants.py", ("raise InvariantBroken(",), RAISES),
    Unreachable("agents/core/invariants.py", ("raise InvariantBroken(",), RAISES),
    Unreachable("agents/core/engine.py", ("case JobKind.FOLLOW | JobKind.SET_SYNC",), MATCH),
    Unreachable("agents/core/step.py", ("case PersistFailed() | PersistWorks():",), MATCH),
    Unreachable("controller/core/step.py", ("case Requested():",), MATCH),
    Unreachable("controller/core/effects.py", ("return {}",), TYPES),
    Unreachable("agents/core/holder.py", ("return replica, []",), TYPES),
    Unreachable("agents/core/permission.py", ("return False",), FOREIGN),
    Unreachable("agents/core/engine.py", ("return (",), FOREIGN),
    Unreachable(
        "agents/core/rest_of_log.py",
        ('return f"the engine of {replica.agent} is still seen',),
        "an agent promises its fence only when the guard has ended the engine",
    ),
    Unreachable(
        "agents/core/step.py",
        ("return replica",),
        "a guard that permits, beside a backup: the permit is closed before that Order counts",
    ),
    Unreachable(
        "controller/core/leases.py",
        ("if believable(service, ask.revision):",),
        "no agent of a world leaps a million revisions; messages that are broken are put aside",
    ),
    Unreachable(
        "controller/core/maintenance.py",
        ("return (", 'return f"{record.service} has no backup"'),
        "operators of worlds name no agent, and every service has two copies",
    ),
    Unreachable(
        "controller/core/step.py",
        (
            "continue",
            "return service",
            "return state, []",
            "raise LeadershipLost(",
            'return state, [Answer(event.id, False, f"there is no service',
            "if grants:",
            "return []",
        ),
        ONE_LEADER,
    ),
    Unreachable(
        "controller/core/step.py",
        ("for _ in range(MAX_ROWS_A_STEP):",),
        "the table has no loop that fires four rows in a step; this stops one that is written",
    ),
)


def sort_out(missed: tuple[Missed, ...]) -> tuple[list[Missed], list[str]]:
    """What is missed without a reason, and the entries that are not needed."""
    unexplained = [m for m in missed if not any(entry.covers(m) for entry in UNREACHABLE)]
    stale = [
        f"{entry.path}: {code}"
        for entry in UNREACHABLE
        for code in entry.codes
        if not any(m.path == entry.path and m.code.startswith(code) for m in missed)
    ]
    return unexplained, stale
