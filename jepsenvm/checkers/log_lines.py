"""Log lines: the formats in which RabbitMQ writes a log, in one common form.

RabbitMQ 3.9 and later can write JSON, and can abbreviate the level or write it in capitals
(https://www.rabbitmq.com/docs/logging). A pattern for the usual format must find these lines too.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Final

LEVELS: Final = (
    "debug", "info", "notice", "warning", "error", "critical", "alert", "emergency",
)  # fmt: skip
"""The levels of Erlang's logger as RabbitMQ writes them by default."""

_LEVEL_BY_PREFIX: Final = {level[:3]: level for level in LEVELS}
_LEVEL: Final = re.compile(rf"\[({'|'.join(_LEVEL_BY_PREFIX)})[a-z]*\]", re.IGNORECASE)


def forms(line: str) -> Iterator[str]:
    """Yield a line as it was written and, if it differs, as RabbitMQ writes it by default."""
    yield line
    usual = _usual_form(line)
    if usual != line:
        yield usual


def _usual_form(line: str) -> str:
    if line.startswith("{"):
        line = _from_json(line)
    return _LEVEL.sub(lambda match: f"[{_LEVEL_BY_PREFIX[match[1].lower()]}]", line, count=1)


def _from_json(line: str) -> str:
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return line
    if not isinstance(entry, dict):
        return line
    level = entry.get("level", entry.get("severity", ""))
    return f"{entry.get('time', '')} [{level}] {entry.get('pid', '')} {entry.get('msg', '')}"
