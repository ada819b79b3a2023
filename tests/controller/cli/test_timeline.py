"""`saling timeline`: what is asked for, and in which forms it is printed."""

from __future__ import annotations

import json
import time
from typing import Any

import msgspec
import pytest

from tests.controller.cli.conftest import Saling
from tests.controller.cli.stub import Stub
from tests.controller.timeline.story import START, failover, happened, told


@pytest.fixture
def story(stub: Stub) -> dict[str, Any]:
    line = told(failover(10, 0), happened(1, 0, because="\x1b[2Jquake <b> | (BMKG)"))
    stub.told["timeline"] = json.loads(msgspec.json.encode(line))
    return stub.told["timeline"]  # type: ignore[no-any-return]


@pytest.mark.usefixtures("story")
@pytest.mark.parametrize(
    ("options", "query"),
    [
        ((), {}),
        (("--last",), {"last": "true"}),
        (("--operation", "paspor-10"), {"operation": "paspor-10"}),
        (("--plan", "drill-ikn-3"), {"plan": "drill-ikn-3"}),
        (("--service", "paspor", "--site", "ikn"), {"service": "paspor", "site": "ikn"}),
        (("--limit", "7"), {"limit": "7"}),
        (("--since", "1970-01-01T07:00:01+07:00"), {"since_ms": "1000"}),
    ],
)
def test_what_is_chosen_is_asked_for(
    stub: Stub, saling: Saling, options: tuple[str, ...], query: dict[str, str]
) -> None:
    assert saling("timeline", *options).code == 0
    assert stub.queries == [{"limit": "200"} | query]


@pytest.mark.usefixtures("story")
def test_a_time_may_be_given_as_how_long_ago(stub: Stub, saling: Saling) -> None:
    before_ms = time.time_ns() // 1_000_000
    assert saling("timeline", "--since", "2h", "--until", "30m").code == 0
    (query,) = stub.queries
    assert 0 <= int(query["since_ms"]) - (before_ms - 7_200_000) < 60_000
    assert int(query["until_ms"]) - int(query["since_ms"]) == 5_400_000


@pytest.mark.parametrize(
    "options",
    [
        ("--since", "yesterday"),
        ("--since", "2 weeks"),
        ("--until", "1900-01-01"),
        ("--since", "2h", "--until", "3h"),
        ("--last", "--since", "2h"),
        ("--last", "--operation", "x"),
        ("--limit", "0"),
        ("--format", "pdf"),
    ],
)
def test_what_cannot_be_understood_is_wrong_use(
    stub: Stub, saling: Saling, options: tuple[str, ...]
) -> None:
    run = saling("timeline", *options)
    assert (run.code, bool(run.err)) == (2, True)
    assert stub.queries == []


@pytest.mark.usefixtures("story")
def test_people_see_times_places_reasons_and_costs(saling: Saling) -> None:
    run = saling("timeline", "--last")
    assert run.code == 0
    for words in (
        "2026-11-30 00:53:20.000 UTC",
        "07:53:20 WIB",
        "PROTECTED -> COUNTDOWN",
        "paspor goes to ROUTING",
        "outage 3.2 s",
        "the controller",
        "failover",
    ):
        assert words in run.out
    assert "\x1b" not in run.out


def test_programs_get_the_controllers_own_document(story: dict[str, Any], saling: Saling) -> None:
    for option in ("--format", "--output", "-o"):
        assert json.loads(saling("timeline", option, "json").out) == story
    assert story["entries"][0]["at_ms"] == START


@pytest.mark.usefixtures("story")
def test_reports_are_markdown_or_one_page_of_html(saling: Saling) -> None:
    text = saling("timeline", "--format", "markdown").out
    assert text.startswith("# Timeline: ")
    assert "| Time (UTC) |" in text
    assert "&lt;b> \\|" in text
    page = saling("timeline", "--format", "html").out
    assert page.startswith("<!DOCTYPE html>")
    assert "&lt;b&gt; |" in page
    assert "\x1b" not in text + page


def test_what_was_left_out_is_said_beside_the_report(story: dict[str, Any], saling: Saling) -> None:
    story["left_out"] = True
    run = saling("timeline", "--format", "html")
    assert "may be more" in run.out
    assert "may be more" in run.err


@pytest.mark.parametrize(
    ("form", "words"),
    [
        ("table", "nothing happened"),
        ("markdown", "## What happened\n\nNothing."),
        ("html", "<p>Nothing.</p>"),
        ("json", '"entries": []'),
    ],
)
@pytest.mark.parametrize("choice", [("--last",), ("--operation", "paspor-1"), ()])
def test_where_nothing_happened_each_form_says_so(
    stub: Stub, saling: Saling, form: str, words: str, choice: tuple[str, ...]
) -> None:
    stub.told["timeline"] = json.loads(msgspec.json.encode(told()))
    run = saling("timeline", *choice, "--format", form)
    assert (run.code, run.err) == (0, "")
    assert words in run.out


@pytest.mark.usefixtures("story")
def test_a_report_names_the_time_that_was_asked_for(saling: Saling) -> None:
    since = ("--since", "2026-11-30T07:00:00+07:00")
    until = ("--until", "2026-11-30T09:00:00+07:00")
    for form in ("markdown", "html"):
        begun = saling("timeline", *since, "--format", form).out
        assert ", from 2026-11-30 00:00:00.000 UTC on; made" in begun
        both = saling("timeline", *since, *until, "--format", form).out
        assert ", from 2026-11-30 00:00:00.000 UTC to 2026-11-30 02:00:00.000 UTC; made" in both
        ended = saling("timeline", *until, "--format", form).out
        assert ", until 2026-11-30 02:00:00.000 UTC; made" in ended
