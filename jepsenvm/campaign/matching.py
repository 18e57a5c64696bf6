"""Which combinations of values a condition of a campaign file matches."""

from __future__ import annotations

from collections.abc import Mapping

from jepsenvm.campaign.spec import VERSION


def matches(condition: Mapping[str, object], values: Mapping[str, object]) -> bool:
    """Return whether each key of a condition has the value, or one of the values, that it names."""
    return all(_value_matches(key, wanted, values.get(key)) for key, wanted in condition.items())


def _value_matches(key: str, wanted: object, value: object) -> bool:
    if _equal(key, wanted, value):
        return True
    # A value may itself be a list, such as a list of nemeses.
    return isinstance(wanted, list | tuple) and any(_equal(key, one, value) for one in wanted)


def _equal(key: str, wanted: object, value: object) -> bool:
    if key == VERSION:
        text = str(wanted)
        return str(value) == text or str(value).startswith(f"{text}.")
    if isinstance(wanted, bool) != isinstance(value, bool):
        return False  # True == 1
    return wanted == value
