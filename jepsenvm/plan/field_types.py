"""Types of plan keys that more than one model uses: key spelling, names and lists of nemeses."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated, Final, TypeVar

from pydantic import AfterValidator, ConfigDict, Field, Tag, ValidationInfo

from jepsenvm.plan.durations import ONE_OR_LIST

T = TypeVar("T")

NO_FAULTS: Final = "none"
"""The nemesis of a run without faults."""


def kebab(name: str) -> str:
    """Return a field's key in a plan file: ``time-limit`` for ``time_limit``."""
    return name.replace("_", "-")


def snake(key: str) -> str:
    """Return the field of a plan key: ``time_limit`` for ``time-limit``."""
    return key.replace("-", "_")


MODEL_CONFIG: Final = ConfigDict(
    extra="forbid", frozen=True, alias_generator=kebab, validate_by_name=True
)
"""Plan files use kebab-case keys. Python uses field names."""


def named_in(registry: str) -> Callable[[str, ValidationInfo], str]:
    """Return a validator that accepts the names in ``context[registry]``.

    Without that entry in the validation context, it accepts every name.
    """

    def check(value: str, info: ValidationInfo) -> str:
        choices = (info.context or {}).get(registry)
        if choices is not None and value not in choices:
            raise ValueError(f"must be one of {', '.join(sorted(choices))}")
        return value

    return check


def _fault(value: str) -> str:
    if value == NO_FAULTS:
        raise ValueError(f"{NO_FAULTS} makes no faults, so it must stand alone")
    return value


def not_empty(values: tuple[T, ...]) -> tuple[T, ...]:
    """Return the values; raise ValueError if there are none."""
    # Field(min_length=1) counts the valid items only, and would report a second error for a list
    # in which all items are invalid.
    if not values:
        raise ValueError("must not be empty")
    return values


def _regular_expression(text: str) -> str:
    # Patterns have the syntax of ``re``. ``regex`` searches, and refuses some of them.
    import regex  # noqa: PLC0415 - it takes long to import, and few plans have patterns

    try:
        regex.compile(text)
        re.compile(text)
    except (re.error, regex.error) as problem:
        raise ValueError(f"must be a regular expression: {problem}") from None
    return text


RegularExpression = Annotated[str, AfterValidator(_regular_expression)]
FeatureFlag = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_.]{0,99}$")]
"""The name of a feature flag of RabbitMQ, such as ``khepri_db`` or ``rabbitmq_4.0.0``."""

PACKAGE_SUFFIX: Final = ".deb"


def _upgrade_target(text: str) -> str:
    if text.endswith(PACKAGE_SUFFIX) and text.isprintable():
        return text
    if not re.fullmatch(r"\d{1,4}(\.\d{1,4}){2}([-+~.][0-9A-Za-z.+~-]{1,60})?", text):
        raise ValueError(
            "must be a version with three numbers, such as 3.10.9, or the path of a .deb file"
        )
    return text


UpgradeTarget = Annotated[str, AfterValidator(_upgrade_target)]
"""A version of RabbitMQ, or the path of a package on the controller."""
WorkloadName = Annotated[str, AfterValidator(named_in("workloads"))]
NemesisName = Annotated[str, AfterValidator(named_in("nemeses"))]
FaultName = Annotated[NemesisName, AfterValidator(_fault)]
NemesisNames = Annotated[
    Annotated[NemesisName, Tag("one")]
    | Annotated[tuple[FaultName, ...], AfterValidator(not_empty), Tag("list")],
    ONE_OR_LIST,
]
