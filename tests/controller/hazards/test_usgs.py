"""The GeoJSON of the USGS is read as it is documented, and nothing else counts."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.hazards.quakes import Quake, UnfitDocument
from controller.hazards.usgs import read
from tests.controller.hazards.documents import NOW, collection, feature


def test_a_place_is_longitude_latitude_depth() -> None:
    assert read(collection(feature())).quakes == (
        Quake(
            id="usgs:us7000test",
            source="USGS",
            at_ms=NOW - 600_000,
            latitude=-8.7,
            longitude=120.1,
            depth_km=12.0,
            magnitude=6.3,
            place="33 km SE of Labuan Bajo, Indonesia",
            tsunami=False,
        ),
    )


def test_one_feature_alone_is_read_as_well() -> None:
    assert len(read(msgspec.json.encode(feature())).quakes) == 1


@pytest.mark.parametrize(("flag", "may"), [(1, True), (0, False), (None, False), ("1", False)])
def test_the_flag_says_whether_there_is_word_of_a_tsunami(flag: Any, may: bool) -> None:
    assert read(collection(feature(tsunami=flag))).quakes[0].tsunami is may


def test_a_blast_and_a_deleted_event_are_left_out() -> None:
    told = read(collection(feature(type="quarry blast"), feature(status="deleted")))
    assert told == ((), ())


@pytest.mark.parametrize(
    "bad",
    [
        feature(mag=None),
        feature(mag="strong"),
        feature(mag=99),
        feature(mag=True),
        feature(time=None),
        feature(time=-1),
        feature(time=1e300),
        feature(id=None),
        feature(id="../x y"),
        feature(id="x" * 65),
        feature(coordinates=[]),
        feature(coordinates=None),
        feature(coordinates=[-8.7, 120.1, 12.0]),
        feature(coordinates=[120.1, -8.7, 99_999]),
        feature(coordinates=["east", -8.7]),
        {"type": "Feature"},
        {"type": "Feature", "id": "a", "properties": None, "geometry": None},
        {"type": "Feature", "id": "a", "properties": {"time": 1, "mag": 5}, "geometry": None},
        None,
        7,
    ],
)
def test_an_unfit_feature_is_set_aside_alone(bad: Any) -> None:
    told = read(collection(bad, feature("good")))
    assert [quake.id for quake in told.quakes] == ["usgs:good"]
    assert len(told.unfit) == 1


def test_a_missing_depth_is_as_near_as_it_could_be() -> None:
    assert read(collection(feature(coordinates=[120.1, -8.7]))).quakes[0].depth_km == 0
    assert read(collection(feature(coordinates=[120.1, -8.7, None]))).quakes[0].depth_km == 0


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{}",
        b"[]",
        b'{"type": "Point"}',
        b'{"type": "FeatureCollection"}',
        b'{"type": "FeatureCollection", "features": {}}',
        b'{"type": "FeatureCollection", "features": [NaN]}',
        collection(*[0] * 5_001),
    ],
)
def test_what_is_no_geojson_of_the_usgs_says_so(raw: bytes) -> None:
    with pytest.raises(UnfitDocument):
        read(raw)


def test_no_features_are_understood_and_a_mark_of_the_encoding_is_borne() -> None:
    assert read(collection()) == ((), ())
    assert len(read(collection(feature()).decode().encode("utf-8-sig")).quakes) == 1
    with pytest.raises(UnfitDocument):
        read(collection(feature()).decode().encode("utf-16"))


@pytest.mark.parametrize(
    "bad",
    [
        {"mag": 10**4000}, {"mag": -(10**400)}, {"time": 10**30}, {"time": -1}, {"time": "now"},
        {"coordinates": [1e300, -8.7, 12.0]}, {"coordinates": [120.1, 10**400, 12.0]},
        {"coordinates": [120.1, -8.7, "deep"]}, {"coordinates": []},
    ],
)  # fmt: skip
def test_figures_beyond_all_measure_set_their_feature_aside_alone(bad: Any) -> None:
    document = {"type": "FeatureCollection", "features": [feature(**bad), feature("good")]}
    assert [len(part) for part in read(json.dumps(document).encode())] == [1, 1]


@given(
    st.dictionaries(
        st.sampled_from(["type", "id", "properties", "geometry"]),
        st.none() | st.text() | st.lists(st.integers()) | st.dictionaries(st.text(), st.floats()),
    )
)
def test_no_feature_breaks_it(bad: Any) -> None:
    told = read(collection(bad, feature("good")))
    assert "usgs:good" in [quake.id for quake in told.quakes]
