"""What makes a site that is heard degraded, and what does not."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from controller.core.gates.maintenance import MINUTE_MS
from controller.core.model import Maintenance, Phase, Seen, ServiceState
from controller.core.sites.judge import EVERY_MS
from controller.core.sites.signs import BELIEVED_AFTER_MS, KEPT_FOR_MS
from protocol.messages import Symptom
from tests.controller.core.given import LOW, MIB, A, B, Given, backup_report, primary_report
from tests.controller.core.sites.nations import Country, four

HOT = (Symptom("temperature", "hall 2 is at 41 C"),)


def pair() -> Country:
    """The sites of paspor's primary and backup, and two more."""
    return Country(jabodetabek=2, batam=2, ikn=1, lombok=1).run(20_000)


def paspor(country: Country, told: Any = None, **facts: Any) -> ServiceState:
    """The service as reported just now."""
    given = Given(Phase.PROTECTED)
    now_ms = country.now_ms + 10_000_000
    reports = {
        A: Seen(primary_report(), now_ms),
        B: Seen(told or backup_report(), now_ms, 5000),
    }
    return given.seen(reports=reports, **facts).service


def test_what_an_agent_says_of_its_site_degrades_it_with_the_words() -> None:
    country = four()
    country.symptoms["a-0"] = HOT
    country.run(10_000)
    assert country.healths() == {"a": "degraded", "b": "healthy", "c": "healthy", "d": "healthy"}
    assert country.because("a") == "temperature: a-0: hall 2 is at 41 C"
    assert country.nation.sites["a"].reasons == ("temperature",)
    assert country.nation.sites["a"].signs[0].agents == (), "it concerns the whole site"
    assert country.told() == ["a: healthy -> degraded"]


def test_what_concerns_one_host_names_it() -> None:
    country = Country(a=2, b=1, c=1).run(20_000)
    country.symptoms["a-1"] = (Symptom("latency", "commits take 900 ms"),)
    country.run(10_000)
    assert country.nation.sites["a"].signs[0].agents == ("a-1",)


def test_a_blip_degrades_nothing() -> None:
    country = four()
    country.symptoms["a-0"] = HOT
    country.run(BELIEVED_AFTER_MS - 2 * EVERY_MS)
    assert country.health("a") == "healthy"
    country.symptoms = {}
    assert country.run(20_000).notes == []


def test_a_reason_that_is_over_counts_for_a_while_and_says_when_it_was_last_seen() -> None:
    country = four()
    country.symptoms["a-0"] = HOT
    country.run(10_000)
    country.symptoms = {}
    country.run(5000)
    assert country.health("a") == "degraded"
    assert "hall 2 is at 41 C (last seen " in country.because("a")
    assert country.run(KEPT_FOR_MS).health("a") == "healthy"


def test_an_agent_that_is_not_heard_beside_others_that_are() -> None:
    country = Country(a=2, b=1, c=1).run(20_000)
    country.dead = {"a-1"}
    country.run(20_000)
    assert country.health("a") == "degraded"
    assert "agents: a-1: not heard for " in country.because("a")


def test_an_announced_absence_degrades_nothing() -> None:
    country = pair()
    absent = Maintenance(B, "siti", "a kernel patch", 60 * MINUTE_MS)
    service = paspor(country, ailing_since_ms=1)
    country.services = (replace(service, record=replace(service.record, maintenance=absent)),)
    country.dead = {B}
    country.run(20_000)
    assert country.health("batam") == "healthy"


def test_losses_on_most_ways_of_a_site_are_its_own() -> None:
    country = four()
    for other in ("b", "c"):
        country.lossy |= {("a", other): 3, (other, "a"): 2}
    country.run(10_000)
    assert country.health("a") == "degraded"
    assert (
        country.because("a")
        == "packet-loss: probes are lost on 2 of 3 ways: 12 % with b, 12 % with c"
    )
    assert country.health("b") == "healthy", "one of its three ways is lossy"


def test_losses_on_one_way_are_no_sites_fault() -> None:
    country = four()
    country.lossy = {("a", "b"): 9, ("b", "a"): 9}
    country.run(10_000)
    assert set(country.healths().values()) == {"healthy"}


def test_a_disk_that_fills_degrades_the_site_of_its_copy() -> None:
    country = pair()
    full = backup_report(disk_low=LOW, disk_free_bytes=MIB)
    country.services = (paspor(country, full),)
    country.run(10_000)
    assert country.health("batam") == "degraded"
    assert country.because("batam") == f"disk: {B}: {LOW}"
    assert country.health("jabodetabek") == "healthy"


def test_a_backup_that_does_not_follow_degrades_its_own_site() -> None:
    country = pair()
    country.services = (paspor(country, backup_report(streaming=False), ailing_since_ms=1),)
    country.run(10_000)
    assert country.nation.sites["batam"].reasons == ("replication",)
    assert f"{B}: paspor is not followed for " in country.because("batam")
    assert country.health("jabodetabek") == "healthy"


def test_a_backup_that_is_too_far_behind_degrades_its_own_site() -> None:
    country = pair()
    service = paspor(country)
    far = Seen(backup_report(position_bytes=0), service.reports[B].at_ms, 20 * MIB)
    country.services = (replace(service, reports={**service.reports, B: far}),)
    country.run(10_000)
    assert country.because("batam") == (
        f"replication: {B}: paspor is 20.00 MiB behind, the bound is 16.00 MiB"
    )


def test_a_cut_link_is_not_blamed_on_the_backups_site() -> None:
    country = pair()
    country.services = (paspor(country, backup_report(streaming=False), ailing_since_ms=1),)
    country.cut_link("jabodetabek", "batam").run(20_000)
    assert country.health("batam") == "healthy"
    assert country.links()[("jabodetabek", "batam")] == "cut"
