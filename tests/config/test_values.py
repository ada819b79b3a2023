"""Durations, sizes, rates, names and addresses as people write them."""

from __future__ import annotations

import base64
import typing
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config import values
from config.problems import Refused
from protocol.messages import Name

PARSERS = [
    values.parse_duration,
    values.parse_size,
    values.parse_rate,
    values.parse_name,
    values.parse_uid,
    values.parse_address,
    values.parse_public_key,
    values.parse_system_identifier,
    values.parse_path,
]

ANYTHING = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(),
    st.from_regex(r"-?[0-9.]{1,6} ?[a-zA-Z/]{0,5}", fullmatch=True),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
)


@pytest.mark.parametrize("parse", PARSERS)
@given(value=ANYTHING)
def test_parsers_accept_or_refuse_with_a_mend(parse: Callable[[Any], Any], value: Any) -> None:
    """No input makes a parser fail in another way."""
    try:
        parse(value)
    except Refused as refused:
        assert refused.message
        assert refused.mend


@given(st.integers(0, 10**7), st.sampled_from(["ms", "s"]))
def test_durations_are_read_to_the_millisecond(number: int, unit: str) -> None:
    """What is written is what is meant."""
    assert values.parse_duration(f"{number}{unit}") == number * (1000 if unit == "s" else 1)


@given(st.integers(0, 10**6), st.sampled_from(sorted(values.SIZE_UNITS_BYTES)))
def test_sizes_are_read_to_the_byte(number: int, unit: str) -> None:
    """And a rate is a size a second."""
    size_bytes = number * values.SIZE_UNITS_BYTES[unit]
    if size_bytes <= values.SIZE_AT_MOST_BYTES:
        assert values.parse_size(f"{number}{unit}") == size_bytes
        assert values.parse_rate(f"{number}{unit}/s") == size_bytes


@pytest.mark.parametrize(
    ("text", "duration_ms"), [("1.5s", 1500), ("0.25 s", 250), ("2m", 120_000), ("0s", 0)]
)
def test_fractions_of_a_unit_are_exact(text: str, duration_ms: int) -> None:
    """No binary fraction gets in between."""
    assert values.parse_duration(text) == duration_ms


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (2, "without a unit"),
        (2.5, "without a unit"),
        ("400", "without a unit"),
        ("-2s", "negative"),
        (float("nan"), "without a unit"),
        ("NaN", "no duration"),
        ("nans", "no duration"),
        ("infs", "no duration"),
        ("99999999d", "longer than a year"),
        ("0.5ms", "finer than one ms"),
        ("2 parsec", "no duration"),
        ("2y", "not known"),
        ("1m30s", "no duration"),
        ("", "no duration"),
        (None, "no duration"),
        (True, "no duration"),
        ([2], "no duration"),
        ("٢s", "no duration"),
    ],
)
def test_bad_durations_say_what_is_wrong(value: Any, message: str) -> None:
    """Negative, huge, not a number, without a unit."""
    with pytest.raises(Refused, match=message):
        values.parse_duration(value)


@pytest.mark.parametrize("value", ["16", 16, "16mb", "16 M", "-1MiB", "1e3MiB", "99999TiB" * 9])
def test_bad_sizes_are_refused(value: Any) -> None:
    """A unit in the wrong case could mean another size."""
    with pytest.raises(Refused):
        values.parse_size(value)


@pytest.mark.parametrize("value", ["1MiB", 1, None, "1MiB/h", "/s"])
def test_bad_rates_are_refused(value: Any) -> None:
    """A rate is a size a second."""
    with pytest.raises(Refused):
        values.parse_rate(value)


@pytest.mark.parametrize(
    "value",
    ["10.1.0.5:8700", "db.example:1", "localhost:65535", "[::1]:8700", "[fd00::5]:22", "a_b:80"],
)
def test_good_addresses_are_kept_as_written(value: str) -> None:
    """Host and port, of both families."""
    assert values.parse_address(value) == value


@pytest.mark.parametrize(
    "value",
    [
        "host",
        ":80",
        "host:",
        "host:0",
        "host:65536",
        "host:port",
        "::1:80",
        "[::1]",
        "[host]:80",
        "a b:80",
        "-a:80",
        "1.2.3.999:80",
        "host:80\n",
        "host/../x:80",
        8700,
        None,
    ],
)
def test_bad_addresses_are_refused(value: Any) -> None:
    """What cannot be connected to is not taken."""
    with pytest.raises(Refused):
        values.parse_address(value)


def test_addresses_are_split_without_brackets() -> None:
    """As a socket wants them."""
    assert values.split_address("[::1]:8700") == ("::1", 8700)
    assert values.split_address("db.example:5432") == ("db.example", 5432)


@pytest.mark.parametrize("address", ["127.0.0.1:1", "127.9.9.9:1", "[::1]:1", "localhost:1"])
def test_loopback_addresses_are_known_as_such(address: str) -> None:
    """Only this machine can reach them."""
    assert values.is_loopback(address)


@pytest.mark.parametrize("address", ["0.0.0.0:1", "10.0.0.1:1", "[::]:1", "db.example:1"])
def test_other_addresses_count_as_reachable(address: str) -> None:
    """Names are not resolved, so they count as reachable."""
    assert not values.is_loopback(address)


@pytest.mark.parametrize(
    "value", ["Paspor", "a_b", "-a", "a-", "", "a" * 64, "a;drop table", "../x", "ünï", "🦆", "a\n"]
)
def test_bad_names_are_refused(value: str) -> None:
    """Names become topics, paths and labels."""
    with pytest.raises(Refused):
        values.parse_name(value)


def test_names_follow_the_pattern_of_the_messages() -> None:
    """What the configuration takes, the messages can carry."""
    _, meta = typing.get_args(Name)
    assert meta.pattern == values.NAME_PATTERN
    assert meta.max_length == values.NAME_LENGTH


@pytest.mark.parametrize("size", [0, 31, 33])
def test_public_keys_of_another_length_are_refused(size: int) -> None:
    """An Ed25519 public key has 32 bytes."""
    with pytest.raises(Refused, match=f"{size} bytes|blank"):
        values.parse_public_key(base64.b64encode(bytes(size)).decode())


@given(st.binary(min_size=32, max_size=32))
def test_public_keys_are_kept_as_written(raw: bytes) -> None:
    """Any 32 bytes in base64."""
    text = base64.b64encode(raw).decode()
    assert values.parse_public_key(text) == text


@pytest.mark.parametrize("value", [7301234567890123456, "73x", str(2**64), "-1", ""])
def test_bad_system_identifiers_are_refused(value: Any) -> None:
    """They are quoted digits of 64 bits."""
    with pytest.raises(Refused):
        values.parse_system_identifier(value)
