"""Every recorded message of every version must be understood by this one."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from protocol.messages import Ask, Message, Renew
from protocol.topics import KIND_OF
from tests.protocol.samples import RECORDED, SAMPLES, header

FIXTURES = Path(__file__).parent / "fixtures"


@pytest.mark.parametrize(("folder", "kind"), sorted(RECORDED))
def test_a_recorded_message_is_understood_whole(folder: str, kind: str) -> None:
    sample = RECORDED[folder, kind]
    raw = (FIXTURES / folder / f"{kind}.json").read_bytes()
    assert msgspec.json.decode(raw, type=type(sample)) == sample


@pytest.mark.parametrize(("folder", "kind"), sorted(RECORDED))
def test_this_version_still_writes_what_was_recorded(folder: str, kind: str) -> None:
    raw = (FIXTURES / folder / f"{kind}.json").read_bytes().strip()
    assert msgspec.json.encode(RECORDED[folder, kind]) == raw


def test_every_kind_of_message_has_a_recorded_fixture() -> None:
    assert {type(m) for m in SAMPLES.values()} == set(KIND_OF)


def test_a_field_of_a_later_version_is_ignored() -> None:
    raw = msgspec.json.encode(SAMPLES["grant"]).replace(b'{"type"', b'{"later":1,"type"')
    assert msgspec.json.decode(raw, type=type(SAMPLES["grant"])) == SAMPLES["grant"]


def test_every_field_of_the_samples_is_set_so_that_the_fixtures_prove_it() -> None:
    for message in SAMPLES.values():
        assert _unset(message) == []


def _unset(value: object) -> list[str]:
    """The fields that still hold their default."""
    if isinstance(value, tuple):
        return [name for item in value for name in _unset(item)]
    if not isinstance(value, msgspec.Struct):
        return []
    found: list[str] = []
    for field in msgspec.structs.fields(value):
        held = getattr(value, field.name)
        if held == field.default and not field.name.startswith("schema_"):
            found.append(f"{type(value).__name__}.{field.name}")
        found += _unset(held)
    return found


@pytest.mark.parametrize(
    "change",
    [
        {"epoch": "3"},
        {"epoch": 2**63},
        {"epoch": -1},
        {"position_bytes": "0/3000000"},
        {"nonce": "x" * 100},
        {"service": "../etc/passwd"},
        {"service": "DROP TABLE"},
        {"mode": "dictator"},
    ],
)
def test_a_value_outside_its_kind_is_refused(change: dict[str, object]) -> None:
    ask = msgspec.to_builtins(Ask("paspor", "u", 1, 1, "n", True)) | change
    raw = msgspec.json.encode({"type": "renew", "header": header(), "asks": [ask]})
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(raw, type=Renew)


def test_no_message_can_be_taken_for_another() -> None:
    for kind, message in SAMPLES.items():
        raw = msgspec.json.encode(message)
        others: list[type[Message]] = [type(m) for k, m in SAMPLES.items() if k != kind]
        for other in others:
            with pytest.raises(msgspec.ValidationError):
                msgspec.json.decode(raw, type=other)
