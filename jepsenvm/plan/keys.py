"""The keys of a plan with their defaults, units and descriptions, for documentation and help."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from jepsenvm.plan.durations import Unit


@dataclass(frozen=True)
class PlanKey:
    """One key of a plan file."""

    key: str
    default: str
    """As a plan file spells it: ``none`` without a default value, and empty for a required key."""
    unit: str
    """``seconds``, ``messages`` and so on; empty for a key without a unit."""
    choices: tuple[str, ...]
    """The texts that are accepted; empty where the key takes other values."""
    description: str


def keys_of(model: type[BaseModel]) -> tuple[PlanKey, ...]:
    """Return the keys of a model, in the order of the model.

    ``model`` is ``Plan`` (the keys that all workloads share), ``ScheduleItem`` or the options of a
    workload.
    """
    return tuple(
        _plan_key(field.alias or name, field)
        for name, field in model.model_fields.items()
        if name != "options"  # stands for the workload's own keys, which have models of their own
    )


def _plan_key(key: str, field: FieldInfo) -> PlanKey:
    annotations = [*_nested(field.annotation), *field.metadata]
    units = [part.name for part in annotations if isinstance(part, Unit)]
    choices = [
        str(choice)
        for part in annotations
        if get_origin(part) is Literal
        for choice in get_args(part)
    ]
    return PlanKey(
        key=key,
        default=_default(field),
        unit=units[0] if units else "",
        choices=tuple(choices),
        description=field.description or "",
    )


def _nested(annotation: object) -> Iterator[object]:
    """Yield an annotation and everything inside its brackets."""
    yield annotation
    if get_origin(annotation) is not Literal:
        for part in get_args(annotation):
            yield from _nested(part)


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return ""
    return _spelled(field.get_default(call_default_factory=True, validated_data={}))


def _spelled(value: object) -> str:
    if value is None or value in ((), {}):
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, tuple):
        return f"[{', '.join(map(_spelled, value))}]"
    return str(value)
