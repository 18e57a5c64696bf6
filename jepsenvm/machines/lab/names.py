"""The names of labs."""

from __future__ import annotations

import re

from jepsenvm.errors import UsageError, shown

DEFAULT_NAME = "default"
LONGEST_NAME = 8
"""An interface has at most 15 characters, and ``jepsen-`` has seven of them."""
NAME_RULE = f"use a lowercase letter and up to {LONGEST_NAME - 1} lowercase letters or digits"
FOLDER_PREFIX = "lab-"
"""The folder of lab b is ``lab-b``."""

PATTERN = rf"^[a-z][a-z0-9]{{0,{LONGEST_NAME - 1}}}$"
"""For pydantic, whose ``$`` matches only at the end of the text."""

_NAME = re.compile(PATTERN)


def is_name(name: object) -> bool:
    """Return whether a lab can have this name."""
    return isinstance(name, str) and _NAME.fullmatch(name) is not None


def require_name(name: object) -> None:
    """Raise UsageError for a name that no lab can have. Names become parts of paths and units."""
    if not is_name(name):
        raise UsageError(f"a lab cannot have the name {shown(name)}", remedy=NAME_RULE)
