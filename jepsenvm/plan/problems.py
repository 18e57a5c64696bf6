"""The problems that pydantic finds in a file, as sentences for the file's author."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from pydantic import BaseModel, ValidationError

from jepsenvm.errors import shorten, shown
from jepsenvm.plan.durations import FORM_TAGS
from jepsenvm.plan.keys import keys_of

MAX_PROBLEMS: Final = 20
"""Problems of a file that are reported together; of more, the number is."""

_NO_KEYS: Final = FORM_TAGS | {"[key]"}
"""Parts of pydantic's locations that stand in no file."""

_IN_YAML: Final = {"tuple_type": "Input should be a list", "dict_type": "Input should be a mapping"}
"""What pydantic's types of errors mean in YAML, which has neither tuples nor dictionaries."""


def sentences(error: ValidationError, nested: Mapping[str, type[BaseModel]]) -> Iterator[str]:
    """Yield each problem that pydantic found, with its key as the file spells it.

    ``nested`` has the model within the value of a key, to list the known keys of an unknown one.
    """
    return (_sentence(details, nested) for details in error.errors())


def message(details: Any) -> str:
    """Return the text of one of the errors of a ValidationError, without its key."""
    text = _IN_YAML.get(details["type"], details["msg"])
    return str(text).removeprefix("Value error, ")


def _sentence(details: Any, nested: Mapping[str, type[BaseModel]]) -> str:
    parts = [
        f"item {part + 1}" if isinstance(part, int) else shorten(part)
        for part in details["loc"]
        if part not in _NO_KEYS
    ]
    key = " ".join(parts)
    if details["type"] == "extra_forbidden":
        return _unknown_key(parts, nested)
    if details["type"] == "missing":
        return f"{key}: must be given"
    if not key:
        return message(details)
    return f"{key}: {message(details)} (found {shown(details['input'])})"


def _unknown_key(parts: list[str], nested: Mapping[str, type[BaseModel]]) -> str:
    unknown = f"unknown key '{parts[-1]}'"
    models = [nested[part] for part in reversed(parts[:-1]) if part in nested]
    if not models:
        return unknown
    known = ", ".join(sorted(entry.key for entry in keys_of(models[0])))
    return f"{' '.join(parts[:-1])}: {unknown} (known: {known})"
