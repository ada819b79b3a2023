"""What every declared thing has in common: it is frozen, and an unknown key is an error."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

SCHEMA_VERSION = 1
"""The version of both files that this Saling reads."""


class Declared(BaseModel):
    """The base of all models of the configuration."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def quantity(key: str, default: int, text: str) -> Any:
    """A field with a unit: its key in the file, its default, and the default as one writes it."""
    return Field(default, alias=key, json_schema_extra={"default": text})
