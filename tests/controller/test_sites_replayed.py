"""What is made of the sites is decided again from the journal, the same."""

from __future__ import annotations

from pathlib import Path

from controller.core.events import Event, ReportCame, Tick
from controller.core.model import State
from controller.core.sites.probes import with_probe_lists
from controller.core.step import begin, step
from controller.journal import Journal
from controller.replay import journal_files, replay
from protocol.messages import Header, Report
from protocol.messages import Path as Way
from tests.controller.core.sites.nations import BEGAN, Country

SITES = ("a", "b", "c")


def said(agent: str, sequence: int, *paths: Way) -> Event:
    return ReportCame(Report(Header("c", agent, "boot", "life", sequence), (), paths=paths))


def events(turn: int) -> list[Event]:
    """A dies after ten seconds; the others say that they do not reach it."""
    dead_ms = max(0, (turn - 20) * 500)
    told: list[Event] = [Tick()]
    for site in SITES:
        if site == "a" and dead_ms:
            continue
        others = [other for other in SITES if other != site]
        ages = [dead_ms if other == "a" else 100 for other in others]
        paths = (Way(f"{o}-0", 20, 0, 900, age) for o, age in zip(others, ages, strict=True))
        told.append(said(f"{site}-0", turn, *paths))
    return told


def test_the_verdicts_of_a_night_are_the_same_from_its_journal(tmp_path: Path) -> None:
    nation = with_probe_lists(Country(a=1, b=1, c=1).nation)
    state: State = begin([], {}, 1, "g", BEGAN, nation)
    journal = Journal(tmp_path, 10**7, 3, "1.0")
    journal.begin(state, BEGAN)
    for turn in range(1, 60):
        now_ms = BEGAN + turn * 500
        for event in events(turn):
            after, actions = step(state, event, now_ms)
            if after != state:
                journal.note(event, now_ms, after, actions)
            state = after
    journal.close()
    assert state.nation.sites["a"].health.value == "down"
    replayed = replay(journal_files(tmp_path))
    assert replayed.difference is None
    assert replayed.identical
