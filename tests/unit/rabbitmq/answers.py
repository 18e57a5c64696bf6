"""Answers to questions, as ``erl_call`` prints them."""

from __future__ import annotations

import base64
import json
from typing import Any


def told(value: Any) -> str:
    """Return what a node prints as its answer."""
    return printed(json.dumps(value).encode())


def printed(answer: bytes) -> str:
    """Return what a node prints of an answer that it has in JSON."""
    return f'{{ok, "{base64.b64encode(answer).decode()}"}}'


def name(text: str) -> str:
    """Return a name as an answer has it."""
    return base64.b64encode(text.encode("utf-8", "surrogateescape")).decode()
