"""Figures of checkers as JSON can represent them.

Messages of other programs' histories are any values of EDN: maps with any keys, sets, instants.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from jepsenvm.history import edn


def json_data(value: Any) -> Any:
    """Return a value with what JSON lacks, such as a set or the key 1.5, as its EDN text."""
    match value:
        case Mapping():
            return {
                key if isinstance(key, str) else edn.written(key): json_data(content)
                for key, content in value.items()
            }
        case list() | tuple():
            return [json_data(element) for element in value]
        case None | str() | int():
            return value
        case float() if math.isfinite(value):
            return value
    return edn.written(value)
