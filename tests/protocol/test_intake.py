"""What is malformed, too large, unsigned, stale or from somebody else changes nothing."""

from __future__ import annotations

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from protocol.intake import MAX_BYTES, Intake, Reason, Rejected
from protocol.messages import CONTROLLER, Grant, Order, Report
from protocol.sealing import Signer, Verifier
from tests.protocol.samples import CLUSTER, GRANT, ORDER, REPORT, header


def numbered(sequence: int, incarnation: str = "life-1") -> bytes:
    named = header(sequence=sequence, incarnation=incarnation)
    return msgspec.json.encode(replace(REPORT, header=named))


def reason_for(raw: bytes, intake: Intake | None = None, sender: str = "batam-1") -> Reason:
    with pytest.raises(Rejected) as caught:
        (intake or Intake(CLUSTER)).take(raw, Report, sender)
    return caught.value.reason


def test_a_message_of_the_right_sender_is_taken() -> None:
    assert Intake(CLUSTER).take(numbered(1), Report, "batam-1").header.sequence == 1


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\xff\xfe",
        b"null",
        b"[]",
        b"{}",
        b'{"type":"report"}',
        b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
        b"[" * 10_000,
    ],
    ids=["empty", "not utf-8", "null", "a list", "nothing", "no fields", "deep", "deep and open"],
)
def test_what_is_malformed_is_put_aside(raw: bytes) -> None:
    assert reason_for(raw) is Reason.MALFORMED


def test_what_is_too_large_is_put_aside_unread() -> None:
    assert reason_for(b" " * (MAX_BYTES + 1)) is Reason.TOO_LARGE


def test_a_doubled_key_is_put_aside() -> None:
    raw = numbered(1).replace(b'"revision":12', b'"revision":12,"revision":99')
    assert reason_for(raw) is Reason.MALFORMED


def test_spaces_and_unknown_fields_do_no_harm() -> None:
    raw = numbered(1).replace(b'{"type"', b' { "later": {"a": [1]}, "type"')
    assert Intake(CLUSTER).take(raw, Report, "batam-1").replicas == REPORT.replicas


def test_who_speaks_in_the_place_of_another_is_put_aside() -> None:
    assert reason_for(numbered(1), sender="ikn-1") is Reason.IMPOSTOR


def test_a_message_of_another_cluster_is_put_aside() -> None:
    assert reason_for(numbered(1), Intake("other")) is Reason.FOREIGN


def test_a_schema_that_nobody_here_speaks_is_put_aside() -> None:
    later = replace(header(sequence=1), schema_lowest=90, schema_highest=99)
    assert reason_for(msgspec.json.encode(replace(REPORT, header=later))) is Reason.SCHEMA


def test_a_later_schema_that_still_speaks_ours_is_taken() -> None:
    later = replace(header(sequence=1), schema_highest=99)
    Intake(CLUSTER).take(msgspec.json.encode(replace(REPORT, header=later)), Report, "batam-1")


def test_a_doubled_or_late_message_is_stale() -> None:
    intake = Intake(CLUSTER)
    intake.take(numbered(5), Report, "batam-1")
    assert reason_for(numbered(5), intake) is Reason.STALE
    assert reason_for(numbered(4), intake) is Reason.STALE


def test_a_new_life_begins_anew_and_what_was_seen_of_the_old_one_stays_stale() -> None:
    intake = Intake(CLUSTER)
    intake.take(numbered(5), Report, "batam-1")
    intake.take(numbered(1, "life-2"), Report, "batam-1")
    assert reason_for(numbered(5, "life-1"), intake) is Reason.STALE


def test_a_late_message_of_an_old_life_does_not_silence_the_new_one() -> None:
    intake = Intake(CLUSTER)
    intake.take(numbered(1, "life-2"), Report, "batam-1")
    intake.take(numbered(9, "life-1"), Report, "batam-1")
    intake.take(numbered(2, "life-2"), Report, "batam-1")


def test_the_memory_of_lives_is_bounded() -> None:
    intake = Intake(CLUSTER)
    for life in range(100):
        intake.take(numbered(1, f"life-{life}"), Report, "batam-1")
    assert reason_for(numbered(1, "life-99"), intake) is Reason.STALE


@given(st.binary(max_size=300))
def test_no_bytes_do_anything_but_be_put_aside(raw: bytes) -> None:
    assert reason_for(raw) is Reason.MALFORMED


@given(st.integers(0, 2000), st.integers(0, 255))
def test_one_wrong_byte_is_never_taken_from_a_signed_message(at: int, byte: int) -> None:
    signer = Signer(Ed25519PrivateKey.from_private_bytes(b"k" * 32))
    raw = bytearray(signer.seal(GRANT, "jabodetabek-1"))
    if raw[at % len(raw)] == byte:
        return
    raw[at % len(raw)] = byte
    verifier = Verifier(signer.public_key)
    try:
        taken = Intake(CLUSTER).take_sealed(
            bytes(raw), Grant, CONTROLLER, "jabodetabek-1", verifier
        )
    except Rejected:
        return
    assert taken == GRANT, "only white space and the like may differ"


def test_a_signed_order_is_taken_by_its_audience_only() -> None:
    signer = Signer(Ed25519PrivateKey.generate())
    verifier = Verifier(signer.public_key)
    raw = signer.seal(ORDER, "batam-1")
    assert Intake(CLUSTER).take_sealed(raw, Order, CONTROLLER, "batam-1", verifier) == ORDER
    with pytest.raises(Rejected) as caught:
        Intake(CLUSTER).take_sealed(raw, Order, CONTROLLER, "ikn-1", verifier)
    assert caught.value.reason is Reason.UNSIGNED


def test_an_order_signed_with_another_key_is_put_aside() -> None:
    forged = Signer(Ed25519PrivateKey.generate()).seal(ORDER, "batam-1")
    verifier = Verifier(Signer(Ed25519PrivateKey.generate()).public_key)
    with pytest.raises(Rejected) as caught:
        Intake(CLUSTER).take_sealed(forged, Order, CONTROLLER, "batam-1", verifier)
    assert caught.value.reason is Reason.UNSIGNED


def test_an_unsigned_order_is_put_aside() -> None:
    verifier = Verifier(Signer(Ed25519PrivateKey.generate()).public_key)
    raw = msgspec.json.encode(ORDER)
    with pytest.raises(Rejected) as caught:
        Intake(CLUSTER).take_sealed(raw, Order, CONTROLLER, "batam-1", verifier)
    assert caught.value.reason is Reason.MALFORMED
