"""A promise may break for the service alone that no rule could have helped."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from controller.core.model import HeldFor, Phase, Record
from controller.core.step import found
from simulator.excuses import Excuses
from simulator.run import Result, Script, run_script
from simulator.setting import ServiceSetting, Setting
from simulator.strike import Strike
from simulator.watch import Broken
from tests.simulation.mutants.catalogue import MUTANTS

HERE = ServiceSetting("s1", "alpha", "bravo")
ELSEWHERE = ServiceSetting("s2", "gamma", "delta")


def record(setting: ServiceSetting, revision: int) -> Record:
    return replace(found(setting.spec, 1), revision=revision)


def excused(excuses: Excuses) -> list[str]:
    """The services whose promises may break now."""
    return [s for s in ("s1", "s2", "") if excuses.excuse(Broken("I1", "", s))]


def test_a_disk_that_forgot_excuses_the_services_on_it() -> None:
    excuses = Excuses((HERE, ELSEWHERE))
    assert excused(excuses) == []
    excuses.struck(1000, Strike(1000, "forget-writes", ("bravo", "1"), 20))
    assert excused(excuses) == ["s1"]


def test_a_lost_change_excuses_its_service_until_it_is_told() -> None:
    excuses = Excuses((HERE, ELSEWHERE))
    for setting in (HERE, ELSEWHERE):
        excuses.swapped(1000, None, record(setting, 5))
    excuses.restored(2000, {"a": record(HERE, 4), "b": record(ELSEWHERE, 5)})
    assert excused(excuses) == ["s1"]
    told = replace(record(HERE, 6), phase=Phase.HELD, held_for=HeldFor.RESTORED)
    excuses.swapped(3000, record(HERE, 5), told)
    assert excused(excuses) == []


def lived(forgetful: str) -> Result:
    """Everybody promotes too early; s2 loses its primary after a disk has forgotten somewhere."""
    strikes = (
        Strike(8_000, "forget-writes", (forgetful, "1"), 20),
        Strike(9_000, "isolate", ("gamma",), 20_000),
    )
    sites = ("alpha", "bravo", "gamma", "delta")
    return run_script(Script(1, "lying_disks", 20, Setting(sites, (HERE, ELSEWHERE)), strikes))


def test_two_writers_of_another_service_are_no_excuse(monkeypatch: pytest.MonkeyPatch) -> None:
    MUTANTS["nobody_waits"].apply(monkeypatch)
    assert lived("bravo").rule in ("I1", "I5")
    assert lived("delta").excused in ("I1", "I5")
