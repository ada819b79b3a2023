"""At 80 columns: names stay whole, and nothing stands beyond the edge."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import example
from hypothesis import given as drawn
from hypothesis import strategies as st

from controller.cli.client import Client
from controller.cli.table import column_widths, kept, table
from tests.controller.cli import given
from tests.controller.cli.conftest import Saling
from tests.controller.cli.stub import Stub
from tests.controller.cli.test_capacity import NOTHING
from tests.controller.cli.test_capacity import site as room
from tests.controller.cli.test_planning import foreseen, plan, step, trial
from tests.controller.timeline.story import failover, told

WIDTH = 80
LONG = "kependudukan-dan-pencatatan-sipil"
FAR = "labuan-bajo-cadangan-1"
PLACE = "labuan-bajo-cadangan"


@pytest.fixture
def narrow(stub: Stub, saling: Saling, monkeypatch: pytest.MonkeyPatch) -> Stub:
    """A cluster of long names, on a narrow terminal."""
    monkeypatch.setenv("COLUMNS", str(WIDTH))
    services = (given.service(LONG, primary=FAR, backup=FAR), given.held("rumah-sakit-umum"))
    path = {"answers": "reaches", "observers": 1, "reaching": 1, "asked": 20, "age_ms": 400}
    sites = [f"{PLACE}-{number}" for number in range(4)]
    stub.state = given.state(
        *services,
        sites=[given.site(one, sites[0], f"{one}-1") for one in sites],
        agents=[given.agent(f"{one}-1", one) for one in sites],
        paths=[{"from_site": a, "to_site": b, **path} for a in sites for b in sites if a != b],
    )
    after = {"lost": PLACE, "demanded": {**NOTHING, "vcpu": 60.0}, "comes": [], "held": [],
             "given_up": []}  # fmt: skip
    stub.capacity = [room(site=f"{PLACE}-dua", after=[after, after])]
    moving = step(LONG, "moving", from_agent=FAR, to_agent=FAR, outage_ms=1200, loss_bytes=2**30)
    stub.plans["plan"] = [{"plan": plan("running", moving)}]
    first = foreseen()["steps"][0] | {"service": LONG, "from_agent": FAR, "to_agent": FAR}
    stub.dry_answer = trial(steps=[first])
    stub.told["timeline"] = json.loads(msgspec.json.encode(told(failover(10, 0))))
    return stub


@pytest.mark.usefixtures("narrow")
@pytest.mark.parametrize(
    ("command", "names"),
    [
        ("status", (LONG, "rumah-sakit-umum")),
        ("topology", (LONG, f"{PLACE}-0", f"{PLACE}-3:")),
        ("capacity", (f"{PLACE}-dua",)),
        ("plan show", (LONG,)),
        ("evacuate batam --dry-run", (LONG,)),
        ("timeline --last", ("paspor",)),
        (f"explain {LONG}", (LONG, "jabodetabek-1")),
    ],
)
def test_names_are_whole_and_lines_fit(
    saling: Saling, command: str, names: tuple[str, ...]
) -> None:
    out = saling(*command.split()).out
    for name in names:
        assert name in out.split(), name
    assert max(map(len, out.splitlines())) <= WIDTH
    assert "~" not in out


def test_drills_are_listed_with_whole_names(
    saling: Saling, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(WIDTH))
    line: dict[str, Any] = {"id": f"drill-{PLACE}-3", "site": PLACE, "begun_at": "2026",
                            "verdict": "failed", "because": "why " * 40}  # fmt: skip
    monkeypatch.setattr(Client, "drills", lambda _self: {"sites": [], "drills": [line]})
    assert f"drill-{PLACE}-3" in saling("drill", "--list").out.split()


cells = st.text(st.sampled_from("ab- \n"), min_size=1, max_size=40)


@example([("a", "a", "aaaa"), ("aaaa aa-aa", "a", "a")], 20)
@drawn(st.lists(st.tuples(cells, cells, cells), min_size=1, max_size=4), st.integers(20, 120))
def test_no_table_breaks_a_name_or_loses_a_letter(
    rows: list[tuple[str, str, str]], width: int
) -> None:
    heads = ("NAME", "ONE", "TWO")
    text = table(heads, rows, width).plain
    for name, *rest in rows:
        for word in name.split():
            assert word in text.replace("\n", " ").split(" ")
        for letter in "ab":
            assert sum(cell.count(letter) for cell in (name, *rest)) <= text.count(letter)


def test_what_is_kept_together_is_broken_only_where_there_is_no_room_for_it() -> None:
    row = ("paspor", f"{kept('0 bytes /')} {kept('16.00 MiB')}")
    assert column_widths([row], 80) == [6, 19]
    assert column_widths([row], 20) == [6, 12]
    assert column_widths([row], 10) == [6, 8]
    assert table(("S", "L"), [row], 20).plain.splitlines()[1:] == [
        "paspor  0 bytes /",
        "        16.00 MiB",
    ]
