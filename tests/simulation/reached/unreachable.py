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
    "worlds have no foreign or adopted data directories; tests/agents/core/test_adopted.py has them"
)
FORESEEN = (
    "it imagines and decides nothing; tests/simulation/test_foresight.py holds it against worlds, "
    "tests/controller/core/test_what_if.py has its cases"
)
ONE_AGENT = "a site of a world has one agent, and a partner; tests/controller/core/sites has more"
TWO_COPIES = "every service of a world has two copies at most, at two sites"
TOO_LONG = "it takes minutes, and nights are shorter; tests/controller/core/test_plan*.py take them"
ONE_FILE = (
    "no service of a world is retired, renamed or of another database, and its reloads name no "
    "file; tests/controller/core/test_configured.py has it all"
)
OPERATORS = (
    "operators of worlds name no plan, try none but a new one, and begin none over capacity; "
    "tests/controller/core/test_plans.py has it"
)
NOBODY_ELSE = (
    "no world pauses a service that waits for room, nor loses its backup, nor begins to lead then; "
    "tests/controller/core/test_coming.py does"
)
ONE_LEADER = "worlds have one leader at a time, and every agent and service is declared"

UNREACHABLE: tuple[Unreachable, ...] = (
    *(
        Unreachable(f"controller/core/foresight/{name}.py", (WHOLE,), FORESEEN)
        for name in ("foresight", "imagined", "lost", "what_if")
    ),
    Unreachable(
        "controller/core/foresight/capacity.py",
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
    Unreachable(
        "controller/core/rows/effects.py",
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
        "controller/core/gates/holds.py",
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
        "controller/core/orders/leases.py",
        ("hear_proof: if believable(service, ask.revision):",),
        "no agent of a world leaps a million revisions; messages that are broken are put aside",
    ),
    Unreachable(
        "controller/core/gates/maintenance.py",
        ("_asked_copy: return (",),
        "operators of worlds name no agent",
    ),
    Unreachable("controller/core/orders/telling.py", ("remind: return []",), ONE_LEADER),
    Unreachable(
        "controller/core/step.py",
        (
            "_take_report: return service",
            "_on_record_read: return state, []",
            "_on_record_read: raise LeadershipLost(",
            'on_request: return state, [Answer(event.id, False, f"there is no service',
            "_on_renew: if grants:",
        ),
        ONE_LEADER,
    ),
    Unreachable(
        "agents/core/symptoms.py",
        ("__init__: self._taken", "take: "),
        "the shell counts who posts; tests/agents/host/test_symptom_desk.py has it",
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
        "agents/core/waiting.py",
        ("put: self._make_room()", "_make_room: "),
        ("simulated rules decide at once, and nothing waits; tests/agents/replica/test_worker.py"),
    ),
    Unreachable(
        "controller/core/configured.py",
        (
            "_another: found.append(",
            "_of_gone: view = ",
            "_of_gone: agents = ",
            "_of_gone: if any(view.unheard_ms",
            "_of_gone: deaf = ",
            "_of_gone: if not deaf:",
            "_deaf: ",
            "_of_gone: if record.phase",
            "_of_gone: return ()",
            "_of_gone: return (",
        ),
        ONE_FILE,
    ),
    Unreachable(
        "controller/core/keys.py",
        ("another_machine: found.append(", "_told: ", "_alone: "),
        "no machine of a world is replaced, and no key changed; tests/controller/core/test_keys.py",
    ),
    Unreachable(
        "controller/core/configured.py",
        ("objections: if uid in specs:", "objections: found += misfits("),
        "a service that the store knows is begun by every life of a controller, for the site of "
        "its primary is in use; tests/controller/core/test_configured.py has it otherwise",
    ),
    Unreachable(
        "controller/core/step.py",
        ("_on_configured: if stored is None:",),
        ("as in controller/core/configured.py"),
    ),
    Unreachable(
        "controller/core/step.py", ("_note_of: about = ", "_note_of: return Note("), ONE_FILE
    ),
    Unreachable("controller/core/step.py", ("_decide: case Cautioned() | CautionEnded():",), MATCH),
    Unreachable(
        "controller/core/plans/asking.py",
        (
            "on_plan_asked: text = f",
            'on_plan_asked: return state, [Answer(event.id, False, text, ("name',
            "_changed: return state, [Answer(",
        ),
        OPERATORS,
    ),
    Unreachable(
        "controller/core/plans/making.py", ("plan_steps: if not wish.over_capacity:",), OPERATORS
    ),
    Unreachable("controller/core/plans/asking.py", ("_resume: if not event.dry_run:",), OPERATORS),
    Unreachable(
        "controller/core/plans/asking.py",
        ("_no_way_back: return (",),
        "operators of worlds drill active sites; tests/controller/core/test_drill_asked.py others",
    ),
    Unreachable("controller/core/plans/willing.py", ('_dropped: return ""',), ONE_FILE),
    Unreachable("controller/core/plans/going.py", ("go_on: return state, []",), TYPES),
    Unreachable(
        "controller/core/gates/coming.py",
        ("_goes_on: return False", "_may_stand: return False", "_may_stand: return True"),
        NOBODY_ELSE,
    ),
    Unreachable(
        "controller/core/plans/waiting.py",
        ("given_up_in_time: return state, _ended(", "_ended: "),
        TOO_LONG,
    ),
    Unreachable(
        "controller/core/plans/judging.py",
        (
            "_judge: why = f",
            "_judge: return state, replace(step, status=StepStatus.LEFT_OUT, because=why)",
        ),
        TOO_LONG,
    ),
    Unreachable(
        "controller/core/plans/making.py",
        ('_left_out: return f"its backup {record.backup} stands',),
        TWO_COPIES,
    ),
    Unreachable(
        "controller/core/plans/standing.py",
        ('standing: return Standing.GONE, f"{step.service} is not declared',),
        ONE_FILE,
    ),
    Unreachable(
        "controller/core/plans/standing.py",
        (
            "_at_the_target: return Standing.STUCK, f",
            "_on_its_way: text = ",
            "_on_its_way: return Standing.STUCK",
        ),
        TOO_LONG,
    ),
    Unreachable(
        "controller/core/sites/cautions.py",
        (
            "_take: refused.append(",
            "_take: continue",
            "_beside: first = ",
            "_beside: if first is None",
            "_beside: return None",
            "_beside: return tuple(",
            "_made_room: ",
            "_answer: sites = ",
            "_answer: text = ",
            "_answer: mends = ",
            "_answer: return Answer(request_id, False",
        ),
        "no world tells of seventeen cautions at a site; tests/controller/core/sites has them",
    ),
    Unreachable(
        "controller/core/sites/degraded.py",
        ("_silent_agents: seen = ", "_silent_agents: since_ms = ", "_silent_agents: yield"),
        ONE_AGENT,
    ),
    Unreachable(
        "controller/core/sites/look.py",
        ('blind: return f"{text}, and nobody outside',),
        "the controller of a world stands at none of its sites; tests/controller/core/sites",
    ),
    Unreachable(
        "controller/core/sites/look.py", ("_note_copies: if replica.agent in",), TWO_COPIES
    ),
    Unreachable(
        "controller/core/sites/policy.py",
        ("_as_far_as_it_goes: return Consequence.ALARM",),
        ONE_AGENT,
    ),
    Unreachable(
        "controller/core/sites/probes.py",
        ("_probes: if turn < len(each)",),
        ONE_AGENT,
    ),
    Unreachable(
        "controller/core/sites/probes.py",
        ("probes_of: return ()",),
        "agents of active sites alone are given a list; tests/controller/core/sites asks for more",
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
