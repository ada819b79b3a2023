"""`saling caution`: a person's word about sites, and what is on."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.controller.cli.conftest import Saling
from tests.controller.cli.stub import Stub, problem, refused

HOUR_MS = 3_600_000
SAID = (200, {"site": "batam", "accepted": True, "text": "caution at batam, 12 h left: flood"})
CAUTION = {
    "site": "batam",
    "id": "bmkg:1796000000000",
    "source": "BMKG",
    "text": "earthquake of M 6.2\x1b[2J, 80 km away",
    "by": "",
    "reason": "",
    "begun_at_ms": 1_796_000_000_000,
    "for_ms": 12 * HOUR_MS,
    "left_ms": 5 * HOUR_MS,
}
FEED = {"name": "bmkg", "source": "BMKG", "age_ms": 90_000, "stale": True, "problem": "no JSON"}


def test_care_is_taken_at_a_site_for_a_time(stub: Stub, saling: Saling) -> None:
    stub.answers = [SAID]
    run = saling("caution", "set", "batam", "--for", "12h", "--reason", "flood", "--by", "siti")
    assert (run.code, "12 h left: flood" in run.out) == (0, True)
    (asked,) = stub.done
    assert asked.path == "/api/v1/sites/batam/caution"
    assert asked.body == {"by": "siti", "reason": "flood", "for_ms": 12 * HOUR_MS}


@pytest.mark.parametrize("options", [("--for", "12h"), ("--reason", "flood"), ()])
def test_a_time_and_a_reason_must_be_given(
    stub: Stub, saling: Saling, options: tuple[str, ...]
) -> None:
    assert saling("caution", "set", "batam", *options).code == 2
    assert stub.asked == []


def test_one_or_all_are_ended(stub: Stub, saling: Saling) -> None:
    stub.answers = [SAID]
    assert saling("caution", "end", "batam", "--by", "siti", "--id", "hand:siti").code == 0
    assert stub.done[0].path == "/api/v1/sites/batam/caution-end"
    assert stub.done[0].body == {"by": "siti", "reason": "", "caution": "hand:siti"}


@pytest.mark.parametrize(
    ("level", "number"),
    [("I", 1), ("ii", 2), ("3", 3), ("IV", 4), ("Siaga", 3), ("III (Siaga)", 3), ("Awas", 4)],
)
def test_a_level_is_said_for_each_site(stub: Stub, saling: Saling, level: str, number: int) -> None:
    stub.answers = [SAID]
    run = saling("caution", "volcano", "Ili Lewotolok", level, "--site", "ikn", "--site",
                 "labuan-bajo", "--by", "siti", "-o", "json")  # fmt: skip
    assert run.code == 0
    assert len(json.loads(run.out)["sites"]) == 2
    assert [asked.path for asked in stub.done] == [
        "/api/v1/sites/ikn/caution",
        "/api/v1/sites/labuan-bajo/caution",
    ]
    assert stub.done[0].body["volcano"] == "Ili Lewotolok"
    assert stub.done[0].body["level"] == number


@pytest.mark.parametrize("level", ["V", "0", "high", "", "III II"])
def test_what_is_no_level_is_wrong_use(stub: Stub, saling: Saling, level: str) -> None:
    run = saling("caution", "volcano", "Ili", level, "--site", "ikn")
    assert (run.code, "nothing was done" in run.err) == (2, True)
    assert stub.asked == []


def test_where_one_site_fails_those_before_it_are_named(stub: Stub, saling: Saling) -> None:
    stub.answers = [SAID, problem(404, "there is no site x", mend="the sites are: batam")]
    run = saling("caution", "volcano", "Ili", "II", "--site", "batam", "--site", "x", "--by", "s")
    assert run.code == 2
    assert "done before that: batam" in run.err
    assert "the sites are: batam" in run.err


def test_what_finds_no_place_is_refused_with_what_makes_it_possible(
    stub: Stub, saling: Saling
) -> None:
    mend = "end one first: `saling caution list` names them"
    stub.answers = [refused("no more cautions are kept at batam", mend)]
    run = saling("caution", "set", "batam", "--for", "1h", "--reason", "flood", "--by", "siti")
    assert run.code == 4
    assert "no more cautions are kept at batam" in run.err
    assert "saling caution list" in run.err


def test_a_name_that_is_none_is_wrong_use(stub: Stub, saling: Saling) -> None:
    run = saling("caution", "end", "../batam", "--by", "siti")
    assert (run.code, "SITE" in run.err) == (2, True)
    assert stub.asked == []


def test_what_is_on_is_listed_with_its_source_and_stale_feeds(stub: Stub, saling: Saling) -> None:
    stub.told["hazards"] = {"feeds": [FEED], "cautions": [CAUTION]}
    run = saling("caution", "list")
    assert run.code == 0
    for words in ("batam", "M 6.2", "(BMKG)", "5 h 0 min left", "stale", "no JSON"):
        assert words in run.out
    assert "\x1b" not in run.out
    assert json.loads(saling("caution", "list", "-o", "json").out) == stub.told["hazards"]


def test_a_feed_that_was_never_heard_is_not_told_as_heard(stub: Stub, saling: Saling) -> None:
    never = FEED | {"age_ms": -1, "stale": False, "problem": ""}
    stub.told["hazards"] = {"feeds": [never], "cautions": []}
    out = saling("caution", "list").out
    assert "feed bmkg (BMKG): never heard since the controller began\n" in out


def test_nothing_on_is_said(stub: Stub, saling: Saling) -> None:
    stub.told["hazards"] = {"feeds": [], "cautions": []}
    assert "no caution is on" in saling("caution", "list").out


def test_status_shows_it_below_the_site_and_is_not_degraded_by_it(
    stub: Stub, saling: Saling
) -> None:
    before = saling("status")
    sites: list[dict[str, Any]] = stub.state["sites"]
    sites[0]["cautions"] = [CAUTION]
    run = saling("status")
    assert run.code == before.code
    assert "caution" in run.out
    assert "M 6.2" in run.out
    assert "(BMKG)" in run.out


def test_a_switchover_that_a_caution_forbids_says_what_allows_it(
    stub: Stub, saling: Saling
) -> None:
    stub.dry_answer = refused("care is taken", "caution at batam; --despite-caution moves it")
    run = saling("switchover", "paspor", "--yes", "--by", "siti")
    assert (run.code, "--despite-caution" in run.err) == (4, True)
    assert stub.done == []


def test_despite_caution_travels_with_the_request(stub: Stub, saling: Saling) -> None:
    stub.answers = [(200, {"service": "paspor", "accepted": True, "text": "", "operation": ""})]
    assert saling("switchover", "paspor", "--yes", "--by", "siti", "--despite-caution").code == 0
    assert [asked.body["despite_caution"] for asked in stub.asked] == [True, True]
