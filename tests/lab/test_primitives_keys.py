"""The keys of a lab: they sign, they verify, they serve in mutual TLS, they are private."""

from __future__ import annotations

import asyncio
import base64
import ssl
import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from lab.base.geography import ARBITER, PAIRS, SITES, round_trip_ms
from lab.base.keys import PartyKeys, make_keys

WAIT_S = 20.0


def context(purpose: ssl.Purpose, authority: Path, party: PartyKeys) -> ssl.SSLContext:
    made = ssl.create_default_context(purpose, cafile=str(authority))
    made.minimum_version = ssl.TLSVersion.TLSv1_3
    made.verify_mode = ssl.CERT_REQUIRED
    made.verify_flags |= ssl.VERIFY_X509_STRICT
    made.load_cert_chain(party.certificate, party.certificate_key)
    return made


async def shake_hands(
    server: ssl.SSLContext, client: ssl.SSLContext, host: str, name: str | None = None
) -> str:
    """The client's common name as the server sees it."""
    seen: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        certificate = writer.get_extra_info("peercert")
        seen.set_result(dict(part[0] for part in certificate["subject"])["commonName"])
        await reader.read()
        writer.close()

    listener = await asyncio.start_server(serve, host, 0, ssl=server)
    async with listener:
        port = listener.sockets[0].getsockname()[1]
        _, writer = await asyncio.open_connection(host, port, ssl=client, server_hostname=name)
        peer = await asyncio.wait_for(seen, WAIT_S)
        writer.close()
        await writer.wait_closed()
    return peer


async def test_certificates_serve_mutual_tls_and_name_their_agent(tmp_path: Path) -> None:
    keys = make_keys(tmp_path / "keys", ["batam-1", "ikn-1"], {"batam-1": ["127.0.2.1"]})
    server = context(ssl.Purpose.CLIENT_AUTH, keys.authority, keys.agents["batam-1"])
    client = context(ssl.Purpose.SERVER_AUTH, keys.authority, keys.agents["ikn-1"])
    assert await shake_hands(server, client, "127.0.2.1") == "ikn-1"
    assert await shake_hands(server, client, "127.0.2.9", name="batam-1") == "ikn-1"
    with pytest.raises(ssl.SSLCertVerificationError):
        await shake_hands(server, client, "127.0.2.9")


async def test_a_certificate_of_another_lab_is_refused(tmp_path: Path) -> None:
    keys = make_keys(tmp_path / "a", ["batam-1"], {})
    other = make_keys(tmp_path / "b", ["batam-1"], {})
    server = context(ssl.Purpose.CLIENT_AUTH, keys.authority, keys.agents["batam-1"])
    client = context(ssl.Purpose.SERVER_AUTH, other.authority, other.agents["batam-1"])
    with pytest.raises(ssl.SSLCertVerificationError):
        await shake_hands(server, client, "127.0.0.1")


def test_what_a_signing_key_signs_its_public_key_verifies(tmp_path: Path) -> None:
    keys = make_keys(tmp_path / "keys", ["batam-1"], {})
    for party in (keys.controller, keys.agents["batam-1"]):
        private = load_pem_private_key(party.signing_key.read_bytes(), None)
        assert isinstance(private, ed25519.Ed25519PrivateKey)
        raw = base64.b64decode(party.public_key, validate=True)
        ed25519.Ed25519PublicKey.from_public_bytes(raw).verify(private.sign(b"x"), b"x")


def test_private_files_are_readable_to_their_owner_alone(tmp_path: Path) -> None:
    keys = make_keys(tmp_path / "keys", ["batam-1", "ikn-1"], {})
    assert stat.S_IMODE(keys.directory.stat().st_mode) == 0o700
    for path in keys.directory.iterdir():
        wanted = 0o644 if path.suffix == ".crt" else 0o600
        assert stat.S_IMODE(path.stat().st_mode) == wanted, path


def test_every_password_is_another_one(tmp_path: Path) -> None:
    keys = make_keys(tmp_path / "keys", ["batam-1", "ikn-1"], {})
    files = [party.password_file for party in (keys.controller, *keys.agents.values())]
    texts = {path.read_text() for path in (*files, keys.database_password_file)}
    assert len(texts) == 4
    assert min(map(len, texts)) >= 24


@pytest.mark.parametrize(
    ("agents", "addresses", "message"),
    [
        (["a", "a"], {}, "given twice"),
        (["controller"], {}, "given twice"),
        (["a"], {"b": ["127.0.0.1"]}, "no such agent: b"),
        (["a"], {"a": ["nowhere"]}, "nowhere"),
    ],
)
def test_names_and_addresses_that_do_not_fit_are_refused(
    tmp_path: Path, agents: list[str], addresses: dict[str, list[str]], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        make_keys(tmp_path / "keys", agents, addresses)


def test_keys_that_stand_are_never_written_over(tmp_path: Path) -> None:
    make_keys(tmp_path / "keys", ["a"], {})
    with pytest.raises(FileExistsError):
        make_keys(tmp_path / "keys", ["a"], {})


def test_every_two_places_have_one_round_trip_of_18_to_42_ms() -> None:
    places = (*SITES, ARBITER)
    for one in places:
        for other in places:
            expected = round_trip_ms(other, one)
            assert round_trip_ms(one, other) == expected
            assert expected == 0 if one == other else 18 <= expected <= 42
    with pytest.raises(KeyError, match="atlantis"):
        round_trip_ms("batam", "atlantis")


def test_every_site_stands_in_one_pair() -> None:
    assert sorted(site for pair in PAIRS for site in pair) == sorted(SITES)
