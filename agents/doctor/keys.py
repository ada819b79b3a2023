"""The doctor's look at keys and certificates."""

from __future__ import annotations

import datetime
import ssl
from collections.abc import Iterator

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.x509.oid import NameOID

from agents.doctor.findings import Finding, fail, ok, warn
from agents.network.peer_client import client_context
from agents.network.peers import server_context
from config.agent import AgentConfig
from protocol.sealing import Signer

EXPIRES_SOON = datetime.timedelta(days=14)
RENEW = "let the authority sign a new one"


def key_findings(config: AgentConfig) -> Iterator[Finding]:
    """The key that signs Grants."""
    try:
        public_key = Signer.from_file(config.signing_key).public_key
    except (OSError, ValueError, TypeError) as error:
        yield fail(
            "signing key",
            f"{config.signing_key}: {error}",
            "make one: openssl genpkey -algorithm ed25519 -out FILE, mode 0600",
        )
        return
    yield ok("signing key", f"public half, for `agents` of the topology: {public_key}")


def certificate_findings(config: AgentConfig) -> Iterator[Finding]:
    """The certificate: whose, by whom, until when, and whether the key fits."""
    what, tls = "certificate", config.tls
    try:
        certificate = x509.load_pem_x509_certificate(tls.certificate.read_bytes())
        authorities = x509.load_pem_x509_certificates(tls.authority.read_bytes())
        server_context(tls)
        client_context(tls)
    except (OSError, ValueError, ssl.SSLError) as error:
        mend = "PEM files are needed, and the key must be the certificate's own"
        yield fail(what, f"{tls.certificate}: {error}", mend)
        return
    findings = [
        *_names(config, certificate),
        *_validity(certificate),
        *_issuer(certificate, authorities),
    ]
    yield from findings or [ok(what, f"is {config.agent}, signed by the authority, and valid")]


def _names(config: AgentConfig, certificate: x509.Certificate) -> Iterator[Finding]:
    what, agent = "certificate", config.agent
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    common = [str(name.value) for name in names]
    if common != [agent]:
        yield fail(what, f"its common name is {common}, the agent is {agent}", RENEW)
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        alternatives = extension.value.get_values_for_type(x509.DNSName)
    except x509.ExtensionNotFound:
        alternatives = []
    if agent not in alternatives:
        yield fail(what, f"no DNS name {agent} in it: partners would not believe it", RENEW)


def _validity(certificate: x509.Certificate) -> Iterator[Finding]:
    what, now = "certificate", datetime.datetime.now(datetime.UTC)
    begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if now < begin:
        yield fail(what, f"not valid before {begin:%Y-%m-%d %H:%M} UTC", "set this host's clock")
    elif now > end:
        yield fail(what, f"expired on {end:%Y-%m-%d %H:%M} UTC", RENEW)
    elif end - now < EXPIRES_SOON:
        yield warn(what, f"expires on {end:%Y-%m-%d %H:%M} UTC", f"{RENEW}, restart the agent")


def _issuer(
    certificate: x509.Certificate, authorities: list[x509.Certificate]
) -> Iterator[Finding]:
    for authority in authorities:
        try:
            certificate.verify_directly_issued_by(authority)
        except (ValueError, TypeError, InvalidSignature):
            continue
        return
    if len(authorities) == 1:
        yield fail("certificate", "not signed by the authority in tls.authority", RENEW)
        return
    yield warn(
        "certificate",
        "not signed by any of the authorities directly",
        "check the chain: openssl verify -CAfile AUTHORITY CERTIFICATE",
    )
