"""A timeline as text can be pasted and opened: whatever people wrote in it, it stays a text."""

from __future__ import annotations

import html

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.zones import TimeZone
from controller.cli.plain import plain
from controller.cli.timeline_text import (
    ENTRY_HEADS,
    Report,
    local,
    markdown,
    page,
    report,
    utc,
    who,
    why,
)
from controller.timeline.model import Entry, Place
from tests.controller.hostile import HOSTILE, browse, normal, rendered
from tests.controller.timeline.story import MINUTE, START, change, failover, happened, told

PLACE = Place("batam", "Batam", TimeZone.WIB)


def laid(text: str) -> Report:
    """A report in which others' words stand in every cell."""
    return Report(text, (text,), [], [(text,) * len(ENTRY_HEADS)])


ALLOWED = {
    "html", "head", "meta", "title", "style", "body", "h1", "h2", "p", "table", "thead", "tbody",
    "tr", "th", "td",
}  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_words_stay_words_in_html(text: str) -> None:
    shown = browse(page(laid(plain(text))))
    assert shown.tags <= ALLOWED
    assert {name for name, _ in shown.attributes} <= {"lang", "charset", "http-equiv", "content",
                                                     "name"}  # fmt: skip
    assert shown.cells == [normal(plain(text))] * len(ENTRY_HEADS)


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_words_stay_words_in_markdown(text: str) -> None:
    shown = rendered(markdown(laid(plain(text))))
    assert shown.tags <= {"h1", "h2", "p", "table", "thead", "tbody", "tr", "th", "td"}
    cells = [cell.replace("\u200b", "") for cell in shown.cells]
    assert cells == [normal(plain(text))] * len(ENTRY_HEADS)


@given(st.text(max_size=60))
def test_any_words_stay_words_in_both(text: str) -> None:
    clean = plain(text)
    assert browse(page(laid(clean))).cells == [normal(clean)] * len(ENTRY_HEADS)
    cells = [cell.replace("\u200b", "") for cell in rendered(markdown(laid(clean))).cells]
    assert cells == [normal(clean).replace("\u200b", "")] * len(ENTRY_HEADS)


@pytest.mark.parametrize("text", HOSTILE)
def test_no_link_and_no_call_comes_of_words_in_markdown(text: str) -> None:
    written = markdown(laid(plain(text)))
    assert "://" not in written
    assert "www." not in written
    assert "@everyone" not in written


@pytest.mark.parametrize("text", HOSTILE)
def test_no_control_code_reaches_a_terminal_or_a_file(text: str) -> None:
    for written in (page(laid(plain(text))), markdown(laid(plain(text)))):
        assert not any((ord(c) < 32 and c != "\n") or 0x7F <= ord(c) < 0xA0 for c in written)
        assert "\u202e" not in written


def test_the_page_needs_nothing_from_elsewhere_and_runs_nothing() -> None:
    written = page(report(told(failover(10, 0), happened(1, 0))))
    seen = browse(written)
    assert "default-src 'none'" in written
    assert not seen.tags & {"script", "link", "img", "iframe", "a", "form"}
    assert "url(" not in written
    assert "@import" not in written
    assert "@media print" in written


def test_both_forms_say_when_what_who_and_why() -> None:
    asked = change(9, -MINUTE, "PROTECTED PROTECTED", by="siti", reason="before the storm")
    line = told(asked, failover(10, 0), happened(1, 0))
    for written in (html.unescape(page(report(line))), markdown(report(line)).replace("\\", "")):
        for words in (
            "2026-11-30 00:53:20.000",
            "07:53:20 WIB",
            "PROTECTED -> COUNTDOWN",
            "siti: before the storm",
            "the controller",
            "paspor goes to ROUTING (outage 3.2 s)",
            "failover paspor-10",
            "BMKG",
            "Badan Meteorologi",
            "Zones: Jabodetabek: WIB",
        ):
            assert words in html.unescape(written)


def test_the_local_day_is_shown_where_it_is_another() -> None:
    evening = 1_796_058_000_000
    assert utc(evening) == "2026-11-30 17:00:00.000"
    assert local(evening, PLACE) == "2026-12-01 00:00:00 WIB"
    assert local(START, PLACE) == "07:53:20 WIB"
    assert local(START, None) == ""


def test_what_was_left_out_is_said() -> None:
    assert "may be more" in markdown(report(told(failover(10, 0), limit=1)))
    assert "Nothing." in markdown(report(told()))
    assert "Nothing." in page(report(told()))


def test_a_line_says_who_and_its_figures() -> None:
    entry = Entry(0, "service", "paspor", "ROUTING", "it serves", "siti", "flood", outage_ms=3210,
                  loss_bytes=0)  # fmt: skip
    assert who(entry) == "siti: flood"
    assert why(entry).startswith("it serves (outage 3.2 s, estimated loss 0")
