"""The keys of one lab: a certificate authority, certificates, signing keys, passwords.

Everything is made fresh into one directory (0700). Private keys and passwords are files of
mode 0600; certificates are 0644. TLS keys are ECDSA P-256, signing keys Ed25519.
"""

from __future__ import annotations

import base64
import datetime
import ipaddress
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

CONTROLLER = "controller"
VALID_DAYS = 30
PASSWORD_BYTES = 24

_PrivateKey = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


@dataclass(frozen=True)
class PartyKeys:
    """The files of one agent, or of the controller. `public_key` is base64 of 32 raw bytes."""

    name: str
    certificate: Path
    """PEM; common name and DNS name are `name`; serves as server and as client."""
    certificate_key: Path
    signing_key: Path
    """Ed25519, PEM, PKCS8, not encrypted."""
    public_key: str
    password_file: Path
    """For the broker: one line without a line end."""


@dataclass(frozen=True)
class LabKeys:
    """All keys of one lab."""

    directory: Path
    authority: Path
    """PEM certificate of the authority that signed every certificate here."""
    controller: PartyKeys
    agents: Mapping[str, PartyKeys]
    database_password_file: Path
    """For the lab's own role in every engine."""


def make_keys(
    directory: Path,
    agents: Sequence[str],
    addresses: Mapping[str, Sequence[str]],
    *,
    valid_days: int = VALID_DAYS,
) -> LabKeys:
    """Make all keys of a lab; `addresses` gives the IP addresses of each party's certificate.

    A party without addresses gets 127.0.0.1. Certificates hold for `valid_days`. Raises
    FileExistsError where keys stand already, and ValueError for a name given
    twice, an unknown one, or an address that is none.
    """
    parties = (CONTROLLER, *agents)
    if len(set(parties)) != len(parties):
        raise ValueError(f"agents: a name is given twice, or is {CONTROLLER!r}: {list(agents)}")
    strangers = set(addresses) - set(parties)
    if strangers:
        raise ValueError(f"addresses: no such agent: {', '.join(sorted(strangers))}")
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    authority_key = ec.generate_private_key(ec.SECP256R1())
    until = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=valid_days)
    authority = _authority(authority_key, until)
    authority_path = directory / "ca.crt"
    _write(authority_path, authority.public_bytes(serialization.Encoding.PEM), mode=0o644)
    made = {
        name: _party(directory, name, addresses.get(name, ()), until, authority, authority_key)
        for name in parties
    }
    database_password = directory / "database.password"
    _write(database_password, _password(), mode=0o600)
    return LabKeys(
        directory=directory,
        authority=authority_path,
        controller=made.pop(CONTROLLER),
        agents=MappingProxyType(made),
        database_password_file=database_password,
    )


def _party(
    directory: Path,
    name: str,
    addresses: Sequence[str],
    until: datetime.datetime,
    authority: x509.Certificate,
    authority_key: ec.EllipticCurvePrivateKey,
) -> PartyKeys:
    tls_key = ec.generate_private_key(ec.SECP256R1())
    signing_key = ed25519.Ed25519PrivateKey.generate()
    certificate = _certificate(
        name, addresses or ("127.0.0.1",), until, tls_key, authority, authority_key
    )
    keys = PartyKeys(
        name=name,
        certificate=directory / f"{name}.crt",
        certificate_key=directory / f"{name}.key",
        signing_key=directory / f"{name}.sign.key",
        public_key=base64.b64encode(signing_key.public_key().public_bytes_raw()).decode(),
        password_file=directory / f"{name}.password",
    )
    _write(keys.certificate, certificate.public_bytes(serialization.Encoding.PEM), mode=0o644)
    _write(keys.certificate_key, _pem(tls_key), mode=0o600)
    _write(keys.signing_key, _pem(signing_key), mode=0o600)
    _write(keys.password_file, _password(), mode=0o600)
    return keys


def _authority(key: ec.EllipticCurvePrivateKey, until: datetime.datetime) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "saling lab authority")])
    return (
        _builder(name, name, key.public_key(), until)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )


def _certificate(
    name: str,
    addresses: Sequence[str],
    until: datetime.datetime,
    key: ec.EllipticCurvePrivateKey,
    authority: x509.Certificate,
    authority_key: ec.EllipticCurvePrivateKey,
) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    names: list[x509.GeneralName] = [x509.DNSName(name)]
    names += [x509.IPAddress(ipaddress.ip_address(address)) for address in addresses]
    identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key())
    return (
        _builder(subject, authority.subject, key.public_key(), until)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(
            x509.ExtendedKeyUsage(
                [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
            ),
            critical=False,
        )
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(identifier, critical=False)
        .sign(authority_key, hashes.SHA256())
    )


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    public_key: ec.EllipticCurvePublicKey,
    until: datetime.datetime,
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        # A machine whose clock was set back a little must not find its keys not yet valid.
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(until)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(key: _PrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _password() -> bytes:
    return secrets.token_urlsafe(PASSWORD_BYTES).encode()


def _write(path: Path, content: bytes, *, mode: int) -> None:
    path.touch(mode=mode, exist_ok=False)
    path.write_bytes(content)
