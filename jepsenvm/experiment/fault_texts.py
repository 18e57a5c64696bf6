"""The settings of faults by hand that are texts, such as the target of an upgrade."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from pydantic import TypeAdapter, ValidationError

from jepsenvm.errors import UsageError, shorten
from jepsenvm.nemesis.faults.feature_flag import FLAG
from jepsenvm.nemesis.faults.upgrade import TARGET
from jepsenvm.nemesis.registry import NEMESES
from jepsenvm.plan.field_types import FeatureFlag, UpgradeTarget
from jepsenvm.plan.problems import message

_TEXTS: Final[Mapping[str, TypeAdapter[str]]] = {
    TARGET: TypeAdapter(UpgradeTarget),
    FLAG: TypeAdapter(FeatureFlag),
}
"""What a plan accepts for each setting that is a text."""


def parse_texts(name: str, words: Sequence[str]) -> dict[str, str]:
    """Return the settings of a fault that are texts, such as the target of an upgrade.

    ``words`` are the ``KEY=VALUE`` of ``--set``.
    """
    spec = NEMESES.get(name)
    pairs = [word.partition("=") for word in words]
    return {key: _text(key, value) for key, _, value in pairs if spec and key in spec.texts}


def _text(key: str, value: str) -> str:
    """Return a setting that is a text; raise UsageError if a plan would not accept it either."""
    try:
        return str(_TEXTS[key].validate_python(value))
    except ValidationError as error:
        problem = message(error.errors()[0])
        raise UsageError(f"--set {key}={shorten(value)}: {problem}") from None
