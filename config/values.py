"""Values as people write them: durations, sizes, rates, names, addresses.

Durations become whole milliseconds, sizes bytes, rates bytes a second. Each parser takes
what stands in the file and raises Refused with the mend. The types at the end are for the
fields of the models.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, WithJsonSchema

from config.problems import Refused

NAME_PATTERN = r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$"
"""The same as the messages' Name; a test compares them."""

NAME_LENGTH = 63
UID_PATTERN = r"^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$"
UID_LENGTH = 64
KEY_BYTES = 32

DURATION_UNITS_MS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
DURATION_AT_MOST_MS = 366 * DURATION_UNITS_MS["d"]

SIZE_UNITS_BYTES = {
    "B": 1,
    "kB": 1000,
    "KB": 1000,
    "MB": 1000**2,
    "GB": 1000**3,
    "TB": 1000**4,
    "KiB": 1024,
    "MiB": 1024**2,
    "GiB": 1024**3,
    "TiB": 1024**4,
}
SIZE_AT_MOST_BYTES = 2**60

QUANTITY = re.compile(r"([0-9]{1,20}(?:\.[0-9]{1,9})?) ?([A-Za-z]{1,3})")
HOST_LABEL = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")


def parse_quantity(value: Any, units: dict[str, int], example: str, what: str) -> int:
    """A number with a unit, in the smallest unit. Raises Refused."""
    mend = f"write it like {example}"
    if isinstance(value, bool) or value is None:
        raise Refused(f"this is no {what}", mend)
    if isinstance(value, int | float):
        raise Refused("a number without a unit", mend)
    if not isinstance(value, str):
        raise Refused(f"this is no {what}", mend)
    text = value.strip()
    if re.fullmatch(r"[0-9.]+", text):
        raise Refused("a number without a unit", mend)
    if text.startswith("-"):
        raise Refused(f"a {what} cannot be negative", mend)
    match = QUANTITY.fullmatch(text)
    if match is None:
        raise Refused(f"this is no {what}", mend)
    number, unit = match.groups()
    if unit not in units:
        raise Refused(f"the unit {unit!r} is not known", f"use one of {', '.join(units)}")
    exact = Decimal(number) * units[unit]
    if exact != exact.to_integral_value():
        smallest = next(iter(units))
        raise Refused(f"finer than one {smallest}", f"write a whole number of {smallest}")
    return int(exact)


def parse_duration(value: Any) -> int:
    """'2s', '400ms', '1.5m' -> whole milliseconds. Raises Refused."""
    duration_ms = parse_quantity(value, DURATION_UNITS_MS, "400ms, 2s, 5m or 1h", "duration")
    if duration_ms > DURATION_AT_MOST_MS:
        raise Refused("longer than a year", "check the number and its unit")
    return duration_ms


def parse_size(value: Any) -> int:
    """'16MiB', '1GB' -> bytes. Raises Refused."""
    size_bytes = parse_quantity(value, SIZE_UNITS_BYTES, "64kB, 16MiB or 1GB", "size")
    if size_bytes > SIZE_AT_MOST_BYTES:
        raise Refused("larger than an exbibyte", "check the number and its unit")
    return size_bytes


def parse_rate(value: Any) -> int:
    """'1MiB/s' -> bytes a second. Raises Refused."""
    mend = "write it like 512KiB/s or 2MB/s"
    if not isinstance(value, str):
        number = isinstance(value, int | float) and not isinstance(value, bool)
        raise Refused("a number without a unit" if number else "this is no rate", mend)
    text = value.strip()
    if not text.endswith("/s"):
        raise Refused("a rate is a size a second", mend)
    return parse_size(text.removesuffix("/s"))


def need_text(value: Any, mend: str) -> str:
    """The value if it is text. Raises Refused and says what YAML made of it."""
    if isinstance(value, str) and value.strip():
        return value
    if value is None or isinstance(value, str):
        raise Refused("blank", mend)
    if isinstance(value, bool | int | float):
        raise Refused(f"YAML reads this as {str(value).lower()}, not as text", "write it in quotes")
    raise Refused("text is wanted here", mend)


def parse_name(value: Any) -> str:
    """A lower-case name of letters, digits and inner hyphens. Raises Refused."""
    mend = "use 1 to 63 lower-case letters, digits and inner hyphens, such as labuan-bajo"
    text = need_text(value, mend)
    if len(text) > NAME_LENGTH or not re.fullmatch(NAME_PATTERN.strip("^$"), text):
        raise Refused("this is no name", mend)
    return text


def parse_uid(value: Any) -> str:
    """An identifier that never changes. Raises Refused."""
    mend = "use 1 to 64 letters, digits, dots, underscores and hyphens"
    text = need_text(value, mend)
    if len(text) > UID_LENGTH or not re.fullmatch(UID_PATTERN.strip("^$"), text):
        raise Refused("this is no identifier", mend)
    return text


def parse_system_identifier(value: Any) -> str:
    """PostgreSQL's system identifier: digits in quotes. Raises Refused."""
    mend = "write the digits that pg_controldata shows, in quotes"
    text = need_text(value, mend)
    if not re.fullmatch("[0-9]{1,20}", text) or int(text) >= 2**64:
        raise Refused("this is no system identifier", mend)
    return text


def is_host(text: str) -> bool:
    """Whether this is an IP address or could be a host's name."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        labels = text.removesuffix(".").split(".")
        return (
            len(text) <= 253
            and all(HOST_LABEL.fullmatch(label) for label in labels)
            and not labels[-1].isdigit()
        )
    return True


def parse_address(value: Any) -> str:
    """'host:port' or '[ipv6]:port'. Raises Refused."""
    mend = "write host:port, such as 10.1.0.5:8700 or [fd00::5]:8700"
    text = need_text(value, mend)
    host, colon, port = text.rpartition(":")
    if not colon or not host:
        raise Refused("there is no port", mend)
    if not re.fullmatch("[0-9]{1,5}", port) or not 1 <= int(port) <= 65535:
        raise Refused("the port is not a number from 1 to 65535", mend)
    bracketed = host.startswith("[") and host.endswith("]")
    inner = host[1:-1] if bracketed else host
    if bracketed != (":" in inner) or not is_host(inner):
        raise Refused("this is no host", mend)
    return text


def split_address(address: str) -> tuple[str, int]:
    """Host without brackets, and port, of an address that was parsed before."""
    host, _, port = address.rpartition(":")
    return host.removeprefix("[").removesuffix("]"), int(port)


def is_loopback(address: str) -> bool:
    """Whether only this machine can reach the address. Names are not resolved."""
    host = split_address(address)[0]
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def parse_public_key(value: Any) -> str:
    """Base64 of a raw Ed25519 public key. Raises Refused."""
    mend = "give the 32 raw bytes of the Ed25519 public key in base64 (44 characters)"
    text = need_text(value, mend)
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise Refused("this is not base64", mend) from None
    if len(raw) != KEY_BYTES:
        raise Refused(f"the key has {len(raw)} bytes, not {KEY_BYTES}", mend)
    return text


def parse_path(value: Any) -> Path:
    """The path of a file or directory. Raises Refused."""
    text = need_text(value, "give a path; a relative one starts at this file's directory")
    if "\0" in text or "\n" in text:
        raise Refused("this is no path", "take out the control characters")
    return Path(text)


def from_base(path: Path, info: ValidationInfo) -> Path:
    """A relative path starts at the directory that the loader gives as context."""
    base = info.context.get("base") if isinstance(info.context, dict) else None
    return path if base is None else base / path


def text_schema(pattern: str, example: str) -> WithJsonSchema:
    """How a value written as text shows in the JSON Schema."""
    return WithJsonSchema({"type": "string", "pattern": pattern, "examples": [example]})


DURATION_SCHEMA = text_schema(r"^[0-9]+(\.[0-9]+)? ?(ms|s|m|h|d)$", "2s")
SIZE_SCHEMA = text_schema(r"^[0-9]+(\.[0-9]+)? ?(B|kB|KB|MB|GB|TB|KiB|MiB|GiB|TiB)$", "16MiB")
RATE_SCHEMA = text_schema(r"^[0-9]+(\.[0-9]+)? ?(B|kB|KB|MB|GB|TB|KiB|MiB|GiB|TiB)/s$", "1MiB/s")
ADDRESS_SCHEMA = text_schema(r"^.+:[0-9]{1,5}$", "10.1.0.5:8700")

DurationMs = Annotated[int, BeforeValidator(parse_duration), DURATION_SCHEMA]
SizeBytes = Annotated[int, BeforeValidator(parse_size), SIZE_SCHEMA]
RateBytesS = Annotated[int, BeforeValidator(parse_rate), RATE_SCHEMA]
NameText = Annotated[str, BeforeValidator(parse_name), text_schema(NAME_PATTERN, "labuan-bajo")]
UidText = Annotated[str, BeforeValidator(parse_uid), text_schema(UID_PATTERN, "paspor-2026")]
Address = Annotated[str, BeforeValidator(parse_address), ADDRESS_SCHEMA]
PublicKey = Annotated[
    str, BeforeValidator(parse_public_key), text_schema(r"^[A-Za-z0-9+/]{43}=$", "A" * 43 + "=")
]
SystemIdentifier = Annotated[
    str,
    BeforeValidator(parse_system_identifier),
    text_schema("^[0-9]{1,20}$", "7301234567890123456"),
]
FilePath = Annotated[
    Path,
    BeforeValidator(parse_path),
    AfterValidator(from_base),
    WithJsonSchema({"type": "string", "format": "path"}),
]
Whole = Annotated[int, Field(strict=True)]
Real = Annotated[float, Field(strict=True)]
