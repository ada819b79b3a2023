"""The MQTT brokers: the controller's embedded one, or a list of independent ones."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Discriminator, Field, Tag, model_validator

from config.model import Declared
from config.problems import Refused
from config.values import Address, FilePath, need_text, parse_address, text_schema

FORM = "form:"
"""Marks the parts of an error's place that name a form and not a key."""

URL = re.compile(r"(mqtts?)://(.*)")


def parse_broker_url(value: Any) -> str:
    """'mqtt://host:port' or 'mqtts://host:port'. Raises Refused."""
    mend = "write mqtts://host:8883, or mqtt://host:1883 within one machine"
    text = need_text(value, mend)
    match = URL.fullmatch(text)
    if match is None:
        raise Refused("this is no broker's address", mend)
    if "@" in text:
        raise Refused(
            "an address with a login in it", "use the keys username and password_file instead"
        )
    parse_address(match.group(2))
    return text


BrokerUrl = Annotated[
    str,
    BeforeValidator(parse_broker_url),
    text_schema(r"^mqtts?://[^@/]+:[0-9]{1,5}$", "mqtts://broker.example:8883"),
]


class Broker(Declared):
    """One broker, and how to prove to it who we are."""

    url: BrokerUrl
    username: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    password_file: FilePath | None = None
    ca_file: FilePath | None = None
    certificate: FilePath | None = None
    key: FilePath | None = None

    @property
    def is_tls(self) -> bool:
        """Whether the connection is encrypted."""
        return self.url.startswith("mqtts://")

    @property
    def address(self) -> str:
        """host:port."""
        return self.url.partition("://")[2]

    @model_validator(mode="after")
    def fits_together(self) -> Self:
        """Refuses halves of a login and certificates without encryption."""
        if (self.certificate is None) != (self.key is None):
            raise Refused("certificate and key belong together", "give both or none")
        if self.password_file is not None and self.username is None:
            raise Refused("a password without a username", "give username as well")
        if not self.is_tls and (self.ca_file or self.certificate):
            raise Refused("certificates on an mqtt:// address", "write mqtts:// in url")
        return self


class EmbeddedBroker(Declared):
    """The broker that the controller starts by itself: where it listens, where it keeps things."""

    listen: Address = "127.0.0.1:1883"
    directory: FilePath | None = None


class EmbeddedForm(Declared):
    """brokers: {embedded: {...}}."""

    embedded: EmbeddedBroker


def form_of(value: Any) -> str:
    """Which of the forms a value is."""
    if isinstance(value, str):
        return FORM + "word"
    return FORM + ("list" if isinstance(value, list | tuple) else "mapping")


BrokerList = Annotated[tuple[Broker, ...], Field(min_length=1, max_length=16)]

Brokers = Annotated[
    Annotated[Literal["embedded"], Tag(FORM + "word")]
    | Annotated[EmbeddedForm, Tag(FORM + "mapping")]
    | Annotated[BrokerList, Tag(FORM + "list")],
    Discriminator(form_of),
]
"""`embedded`, or a mapping with embedded, or a list of brokers."""
