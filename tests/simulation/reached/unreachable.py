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
    """The function, and how the line in it begins; `WHOLE` for a file that nobody imports."""
    why: str

    def covers(self, missed: Missed) -> bool:
        """Whether this entry speaks of that line."""
        return missed.path == self.path and any(_fits(code, missed) for code in self.codes)


WHOLE = "the whole file"
RAISES = "it raises where a rule is broken, which no world may reach; unit tests break the rules"
MATCH = "the match names every kind there is; a kind that is forgotten is found by the type checker"
TYPES = "the caller has made sure already; it is asked again for the type checker"
FOREIGN = (
    "worlds have no foreign or adopted data directories; tests/agents/core/test_engine.py has them"
)
FORESEEN = (
    "it imagines and decides nothing; tests/simulation/test_foresight.py holds it against worlds, "
    "tests/controller/core/test_what_if.py has its cases"
)
ONE_LEADER = "worlds have one leader at a time, and every agent and service is declared"

UNREACHABLE: tuple[Unreachable, ...] = (
    *(
        Unreachable(f"controller/core/{name}.py", (WHOLE,), FORESEEN)
        for name in ("foresight", "imagined", "lost", "what_if")
    ),
    Unreachable(
        "controller/core/capacity.py",
        (WHOLE,),
        "it shows and decides nothing; tests/controller/core/test_capacity.py has it",
    ),
    Unreachable("controller/core/decided.py", (WHOLE,), "worlds write no journal; labs do"),
    Unreachable("controller/core/diagram.py", (WHOLE,), "it draws the table for the docs"),
    Unreachable("controller/core/invariants.py", ("_demand: raise InvariantBroken(",), RAISES),
    Unreachable("agents/core/invariants.py", ("_demand: raise InvariantBroken(",), RAISES),
    Unreachable(
        "agents/core/engine.py", ("_succeeded: case JobKind.FOLLOW | JobKind.SET_SYNC",), MATCH
    ),
    Unreachable("agents/core/step.py", ("_hear: case PersistFailed() | PersistWorks():",), MATCH),
    Unreachable("controller/core/step.py", ("step: case Requested():",), MATCH),
    Unreachable(
        "controller/core/effects.py",
        ("_approval: return None", "begin_maintenance: return {}", "place_hold: return {}"),
        TYPES,
    ),
    Unreachable("agents/core/holder.py", ("say_handover: return replica, []",), TYPES),
    Unreachable("agents/core/permission.py", ("is_own_copy: return False",), FOREIGN),
    Unreachable(
        "agents/core/permission.py",
        ("fence_missing: return (",),
        "no world requires a layer for longer leases than its service has; "
        "tests/agents/replica/test_fencing.py does",
    ),
    Unreachable(
        "agents/core/orders.py",
        ("take_order: problem = f", "take_order: return replace(replica, problem=problem)"),
        "a restored store asks for a proof before it orders anything else under a known revision; "
        "tests/agents/core/test_orders.py gives it two meanings",
    ),
    Unreachable(
        "agents/core/veto.py",
        ("take: return replace(replica, veto=event.text, veto_end_ms",),
        "no world refuses a veto while another is on; tests/agents/veto/test_veto.py does",
    ),
    Unreachable(
        "controller/core/holds.py",
        ("quarter_is_over: return False",),
        "rows that ask it ask first whether a hold is on, and look whether its time is over",
    ),
    Unreachable("agents/core/engine.py", ("_problem: return (",), FOREIGN),
    Unreachable(
        "agents/core/rest_of_log.py",
        ('refusal: return f"the engine of {replica.agent} is still seen',),
        "an agent promises its fence only when the guard has ended the engine",
    ),
    Unreachable(
        "agents/core/step.py",
        ("_know_guard: return replica",),
        "a guard that permits, beside a backup: the permit is closed before that Order counts",
    ),
    Unreachable(
        "controller/core/leases.py",
        ("hear_proof: if believable(service, ask.revision):",),
        "no agent of a world leaps a million revisions; messages that are broken are put aside",
    ),
    Unreachable(
        "controller/core/maintenance.py",
        ("_asked_copy: return (", '_asked_copy: return f"{record.service} has no backup"'),
        "operators of worlds name no agent, and every service has two copies",
    ),
    Unreachable("controller/core/telling.py", ("remind: return []",), ONE_LEADER),
    Unreachable(
        "controller/core/step.py",
        (
            "_on_report: continue",
            "_take_report: return service",
            "_on_record_read: return state, []",
            "_on_record_read: raise LeadershipLost(",
            '_on_request: return state, [Answer(event.id, False, f"there is no service',
            "_on_renew: if grants:",
        ),
        ONE_LEADER,
    ),
    Unreachable(
        "agents/core/symptoms.py",
        ("is_pending: ", "forget: ", "put: raise TooMany("),
        "for the shell; worlds have three things to post, tests/agents/core/test_symptoms.py eight",
    ),
    Unreachable(
        "agents/core/paths.py",
        ("clock_off: ",),
        "worlds have no wall clock; tests/agents/core/test_paths.py has its cases",
    ),
    Unreachable(
        "agents/core/commits.py",
        (WHOLE,),
        "simulated commits take no time of their own; tests/agents/core has it",
    ),
    Unreachable(
        "controller/core/step.py",
        ("_settle: for _ in range(MAX_ROWS_A_STEP):",),
        "the table has no loop that fires four rows in a step; this stops one that is written",
    ),
)


def _fits(code: str, missed: Missed) -> bool:
    return (code == WHOLE) if not missed.line else missed.code.startswith(code)


def sort_out(missed: tuple[Missed, ...]) -> tuple[list[Missed], list[str]]:
    """What is missed without a reason, and the entries that are not needed."""
    unexplained = [m for m in missed if not any(entry.covers(m) for entry in UNREACHABLE)]
    stale = [
        f"{entry.path}: {code}"
        for entry in UNREACHABLE
        for code in entry.codes
        if not any(m.path == entry.path and _fits(code, m) for m in missed)
    ]
    return unexplained, stale
