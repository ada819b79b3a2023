"""What the controller proves itself with: its signing key, its brokers' logins, the API's token."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import NamedTuple

from config.brokers import Broker
from config.files import check_files
from config.topology import Operator, Topology
from config.values import split_address
from controller.web.callers import Caller
from protocol.sealing import Signer
from protocol.session import BrokerLogin, tls_context


class SecretsUnusable(Exception):
    """A key, certificate, password or token cannot be used; the text says which, and the mend."""


class Secrets(NamedTuple):
    """Read once, at the start."""

    signer: Signer
    api_token: str | None
    brokers: tuple[BrokerLogin, ...]
    """Empty where the controller starts its own broker."""
    callers: tuple[Caller, ...] = ()

    @property
    def of_the_api(self) -> tuple[str | None, tuple[Caller, ...]]:
        """Who may ask the API: with the token of all, or each with his own."""
        return self.api_token, self.callers


def load_secrets(topology: Topology, file: Path) -> Secrets:
    """Read all that the configuration names. Raises SecretsUnusable."""
    problems = check_files(topology, file.absolute().parent, file)
    if problems:
        raise SecretsUnusable("\n".join(problem.render() for problem in problems))
    controller = topology.controller
    outside = topology.broker_list if topology.embedded_broker is None else ()
    token_file = controller.api_token_file
    return Secrets(
        signer=_signer(controller.signing_key, controller.public_key),
        api_token=None if token_file is None else _word(token_file),
        brokers=tuple(_login(broker) for broker in outside),
        callers=_callers(controller.operators),
    )


def _callers(operators: tuple[Operator, ...]) -> tuple[Caller, ...]:
    callers = tuple(Caller(one.name, one.role, _word(one.token_file)) for one in operators)
    tokens: dict[str, str] = {}
    for caller in callers:
        first = tokens.setdefault(caller.token, caller.name)
        if first != caller.name:
            raise SecretsUnusable(
                f"error: controller.operators: {first} and {caller.name} have the same token, so "
                "that nobody can tell them apart\n  mend: give each a token of his own"
            )
    return callers


def _signer(path: Path, public_key: str) -> Signer:
    try:
        signer = Signer.from_file(path)
    except (OSError, ValueError, TypeError) as error:
        raise SecretsUnusable(
            f"error: controller.signing_key: {path}: {error}\n  mend: make an Ed25519 key with "
            "`openssl genpkey -algorithm ed25519`"
        ) from None
    if signer.public_key != public_key:
        raise SecretsUnusable(
            f"error: controller.public_key: it is not the public half of {path}, which is "
            f"{signer.public_key}; agents would believe no Order\n  mend: put that one in its "
            "place, here and in every agent's file"
        )
    return signer


def _login(broker: Broker) -> BrokerLogin:
    host, port = split_address(broker.address)
    password = None if broker.password_file is None else _word(broker.password_file)
    return BrokerLogin(
        name=broker.address,
        host=host,
        port=port,
        username=broker.username,
        password=password,
        tls=_tls(broker) if broker.is_tls else None,
    )


def _tls(broker: Broker) -> ssl.SSLContext:
    try:
        return tls_context(broker.ca_file, broker.certificate, broker.key)
    except (OSError, ValueError) as error:
        raise SecretsUnusable(
            f"error: broker {broker.url}: its certificates cannot be used: {error}\n  mend: check "
            "ca_file, certificate and key; they are PEM files"
        ) from None


def _word(path: Path) -> str:
    """One secret word in a file."""
    try:
        word = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SecretsUnusable(
            f"error: {path}: cannot be read: {error}\n  mend: one word of ASCII on one line"
        ) from None
    if not word or any(not 0x21 <= ord(character) <= 0x7E for character in word):
        raise SecretsUnusable(
            f"error: {path}: holds no secret word\n  mend: one word of ASCII on one line"
        )
    return word
