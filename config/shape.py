"""From plain values to a model, and from the model's complaints to findings with a mend."""

from __future__ import annotations

from difflib import get_close_matches
from functools import cache
from typing import Any, TypeVar

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from config.brokers import FORM
from config.model import Declared
from config.problems import Loc, Refused, Severity, path_text
from config.reader import Document

Model = TypeVar("Model", bound=Declared)


def build(document: Document, model: type[Model]) -> Model | None:
    """The model, or None with every complaint noted in the document.

    Relative paths come out as starting at the file's directory. A place that the reader has
    complained of is not complained of twice.
    """
    context = {"base": document.file.absolute().parent}
    try:
        return model.model_validate(document.data, context=context)
    except ValidationError as error:
        said = {problem.path for problem in document.problems}
        for detail in error.errors(include_url=False):
            note(document, model, detail, said)
    return None


def note(document: Document, model: type[Model], detail: ErrorDetails, said: set[str]) -> None:
    """Notes one complaint, unless its place has one already."""
    loc: Loc = tuple(
        part for part in detail["loc"] if not str(part).startswith(FORM) and part != "[key]"
    )
    if detail["type"] == "default_factory_not_called":
        # It follows from another complaint, which says what is wrong.
        return
    cause = detail.get("ctx", {}).get("error")
    if isinstance(cause, Refused) and cause.key:
        loc = (*loc, cause.key)
    if path_text(loc) in said:
        return
    said.add(path_text(loc))
    value = value_at(document.data, loc)
    message, mend = explain(model, detail, loc)
    document.add(loc, "" if value is ABSENT else value, message, mend, Severity.ERROR)


ABSENT = object()


def value_at(data: Any, loc: Loc) -> Any:
    """What stands at a place of the file, or ABSENT."""
    for part in loc:
        try:
            data = data[part]
        except (KeyError, IndexError, TypeError):
            return ABSENT
    return data


def explain(model: type[Model], detail: ErrorDetails, loc: Loc) -> tuple[str, str]:
    """What is wrong and the mend, in words for whoever wrote the file."""
    kind, context, value = detail["type"], detail.get("ctx", {}), detail["input"]
    cause = context.get("error")
    key = str(loc[-1]) if loc else ""
    if isinstance(cause, Refused):
        return cause.message, cause.mend
    if kind == "missing":
        return "required, and absent", f"add `{key}: ...`"
    if kind == "extra_forbidden":
        near = get_close_matches(key, known_keys(model), n=1)
        return "unknown key", f"did you mean {near[0]}?" if near else "take it out"
    if value is None:
        return "blank", "give a value, or take the key out"
    if kind in {"string_type", "string_sub_type"}:
        if isinstance(value, bool | int | float):
            return f"YAML reads this as {str(value).lower()}, not as text", "write it in quotes"
        return "text is wanted here", "write plain text"
    if kind in {"enum", "literal_error"}:
        expected = context.get("expected", "")
        return "this is not one of the choices", f"use {expected}"
    if kind in WANTED:
        return WANTED[kind]
    if kind == "string_pattern_mismatch" and detail["loc"][-1] == "[key]":
        mend = "use small letters, digits and underscores, such as work_mem or auto_explain.log_wal"
        return "this is no name of a setting", mend
    if kind in BOUNDS:
        message, mend = BOUNDS[kind]
        return message.format(**context), mend.format(**context)
    return detail["msg"], "correct the value; config/schema says what is allowed"


WANTED = {
    "model_type": ("a mapping of keys is wanted here", "write `key: value` lines below it"),
    "model_attributes_type": ("a mapping of keys is wanted here", "write `key: value` lines"),
    "dict_type": ("a mapping of keys is wanted here", "write `key: value` lines below it"),
    "tuple_type": ("a list is wanted here", "write `- ...` lines below it"),
    "int_type": ("a whole number is wanted here", "write it without quotes, unit or fraction"),
    "float_type": ("a number is wanted here", "write it without quotes or unit"),
    "finite_number": ("this is no finite number", "write a plain number"),
}
"""What to say when a value is of another kind than the one that is wanted."""


BOUNDS = {
    "string_pattern_mismatch": ("a character that cannot stand here", "write it on one line"),
    "string_too_short": ("shorter than {min_length} characters", "write a longer one"),
    "string_too_long": ("longer than {max_length} characters", "write a shorter one"),
    "too_short": ("at least {min_length} of them are wanted", "add what is missing"),
    "too_long": ("at most {max_length} of them can be", "take some out"),
    "greater_than_equal": ("less than {ge}", "give {ge} or more"),
    "greater_than": ("not above {gt}", "give more than {gt}"),
    "less_than_equal": ("more than {le}", "give {le} or less"),
}
"""What to say when a value is outside its bounds, with the bounds that it has."""


@cache
def known_keys(model: type[Model]) -> tuple[str, ...]:
    """Every key that may stand anywhere in the file."""
    schema = model.model_json_schema()
    found = set(schema["properties"])
    for part in schema.get("$defs", {}).values():
        found.update(part.get("properties", ()))
    return tuple(sorted(found))
