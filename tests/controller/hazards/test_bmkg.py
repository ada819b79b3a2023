"""BMKG's documents are read as they are documented, and nothing else counts."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.hazards.bmkg import may_cause_tsunami, read
from controller.hazards.quakes import Quake, UnfitDocument
from tests.controller.hazards.documents import NOW, autogempa, gempa, gempaterkini

JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def only(raw: bytes) -> Quake:
    (quake,) = read(raw).quakes
    return quake


def why(raw: bytes) -> str:
    told = read(raw)
    assert told.quakes == ()
    (reason,) = told.unfit
    return reason


def test_the_latest_earthquake_is_an_object() -> None:
    assert only(autogempa()) == Quake(
        id=f"bmkg:{NOW - 600_000}",
        source="BMKG",
        at_ms=NOW - 600_000,
        latitude=-8.70,
        longitude=120.10,
        depth_km=12.0,
        magnitude=6.3,
        place="Pusat gempa berada di laut 33 km tenggara Labuan Bajo",
        tsunami=False,
    )


def test_the_lists_hold_several_and_one_earthquake_is_the_same_in_all_of_them() -> None:
    told = read(gempaterkini(gempa(), gempa(DateTime="2026-11-29T23:00:00+00:00")))
    assert len(told.quakes) == 2
    assert told.quakes[0].id == only(autogempa()).id


def test_felt_earthquakes_have_no_word_of_a_tsunami() -> None:
    assert not only(gempaterkini(gempa(Potensi=None))).tsunami


def test_jam_is_wib_and_is_not_read() -> None:
    assert only(autogempa(Jam="23:59:59 WIB", Tanggal="1 Jan 1970")).at_ms == NOW - 600_000


def test_another_offset_is_the_same_moment() -> None:
    assert only(autogempa(DateTime="2026-11-30T07:43:20+07:00")).at_ms == NOW - 600_000


@pytest.mark.parametrize(
    ("text", "may"),
    [
        ("Tidak berpotensi tsunami", False),
        ("tidak berpotensi TSUNAMI", False),
        ("TIDAK  BERPOTENSI TSUNAMI", False),
        ("Gempa ini tidak berpotensi tsunami", False),
        ("Belum berpotensi tsunami", False),
        ("Berpotensi tsunami", True),
        ("berpotensi TSUNAMI untuk diteruskan pada masyarakat", True),
        ("Gempa ini berpotensi tsunami", True),
        ("Tidak berpotensi tsunami di Bali, tetapi berpotensi tsunami di Flores", True),
        ("Peringatan dini tsunami untuk NTT", True),
        ("Peringatan dini tsunami dinyatakan telah berakhir", False),
        ("Gempa ini dirasakan untuk diteruskan pada masyarakat", False),
        ("Berpotensi longsor", False),
        ("tsunami", False),
        ("", False),
    ],
)
def test_what_potensi_says_of_a_tsunami(text: str, may: bool) -> None:
    assert may_cause_tsunami(text) is may
    assert only(autogempa(Potensi=text)).tsunami is may


@pytest.mark.parametrize(("end", "may"), [("berpotensi", True), ("tidak berpotensi", False)])
def test_a_long_potensi_is_read_to_its_end_however_long_its_words_are(end: str, may: bool) -> None:
    for long in ("Untuk diteruskan pada masyarakat. " * 40, "x" * 2_000_000 + " "):
        assert only(autogempa(Potensi=f"{long}{end} tsunami")).tsunami is may


def test_an_empty_list_says_nothing_and_is_understood() -> None:
    assert read(gempaterkini()) == ((), ())


def test_a_mark_of_its_encoding_is_borne_and_another_encoding_is_none_of_ours() -> None:
    text = autogempa(Wilayah="é").decode()
    assert read(text.encode("utf-8-sig")) == read(text.encode())
    for encoding in ("latin-1", "utf-16", "utf-32"):
        with pytest.raises(UnfitDocument):
            read(text.encode(encoding))


@pytest.mark.parametrize("value", [10**4000, 1e308, "9" * 400, "1e9", "٣", "-", "0x10"])
def test_figures_beyond_all_measure_set_their_entry_aside_alone(value: Any) -> None:
    digits = json.dumps({"Infogempa": {"gempa": [gempa(Magnitude=value), gempa()]}}).encode()
    assert [len(part) for part in read(digits)] == [1, 1]


@pytest.mark.parametrize(
    ("key", "value", "is_in"),
    [
        ("Magnitude", "5,9", ("magnitude", 5.9)),
        ("Magnitude", " 6.0 ", ("magnitude", 6.0)),
        ("Magnitude", 6.5, ("magnitude", 6.5)),
        ("Kedalaman", "10 Km", ("depth_km", 10.0)),
        ("Kedalaman", "10,5 km", ("depth_km", 10.5)),
        ("Kedalaman", "", ("depth_km", 0.0)),
        ("Kedalaman", None, ("depth_km", 0.0)),
        ("Coordinates", " -8.7 , 120 ", ("longitude", 120.0)),
        ("Wilayah", "", ("place", "")),
        ("Wilayah", None, ("place", "")),
        ("Wilayah", "a\x1b[2J\nb\u202ec" + "d" * 500, ("place", ("a [2J b c" + "d" * 500)[:120])),
    ],
)
def test_commas_blanks_and_missing_texts_are_borne(
    key: str, value: Any, is_in: tuple[str, Any]
) -> None:
    assert getattr(only(autogempa(**{key: value})), is_in[0]) == is_in[1]


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("Magnitude", None, "Magnitude"),
        ("Magnitude", "", "magnitude"),
        ("Magnitude", "nan", "magnitude"),
        ("Magnitude", "inf", "magnitude"),
        ("Magnitude", "99", "magnitude"),
        ("Magnitude", True, "magnitude"),
        ("Coordinates", None, "Coordinates"),
        ("Coordinates", "", "Coordinates"),
        ("Coordinates", "-8,70,120,10", "Coordinates"),
        ("Coordinates", "120.10,-8.70", "latitude"),
        ("Coordinates", "-8.70 120.10", "Coordinates"),
        ("Coordinates", [-8.7, 120.1], "Coordinates"),
        ("DateTime", None, "DateTime"),
        ("DateTime", "", "DateTime"),
        ("DateTime", "30 Nov 2026", "DateTime"),
        ("DateTime", "0001-01-01T00:00:00+23:00", "time"),
        ("DateTime", 7, "DateTime"),
        ("Kedalaman", "9999 km", "depth"),
    ],
)
def test_an_entry_that_is_not_as_documented_is_set_aside_with_the_reason(
    key: str, value: Any, says: str
) -> None:
    assert says in why(autogempa(**{key: value}))


def test_an_unfit_entry_takes_no_other_with_it() -> None:
    told = read(gempaterkini(gempa(Magnitude=""), gempa(), "text", None))
    assert len(told.quakes) == 1
    assert len(told.unfit) == 3


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"<html>",
        b"[]",
        b"null",
        b'"Infogempa"',
        b'{"Infogempa": null}',
        b'{"Infogempa": {"gempa2": []}}',
        b"[" * 100_000,
        msgspec.json.encode({"Infogempa": {"gempa": [0] * 5_001}}),
    ],
)
def test_what_is_no_document_of_bmkg_says_so(raw: bytes) -> None:
    with pytest.raises(UnfitDocument):
        read(raw)


@given(st.binary(max_size=300))
def test_no_bytes_break_it(raw: bytes) -> None:
    with contextlib.suppress(UnfitDocument):
        read(raw)


@given(st.fixed_dictionaries({}, optional=dict.fromkeys(gempa(), JSON)) | JSON)
def test_no_entry_breaks_it(entry: Any) -> None:
    told = read(gempaterkini(entry, gempa()))
    assert len(told.quakes) + len(told.unfit) == 2
    assert told.quakes
