"""The node's side of a common start: a program says that it is ready, and gets the instant.

Standard input: the order as JSON on the first line, and later {"at": instant by this node's clock,
"instant": the same by the controller's clock} on the second. Without a second line, the program
must end without an effect. Standard output: the line "ready" before the program's own.
"""

from __future__ import annotations

import json
import sys
from typing import Any


class NotStartedError(Exception):
    """The controller gave no instant."""


def read_order() -> Any:
    """Return the order."""
    return json.loads(sys.stdin.readline())


def wait_for_instant() -> Any:
    """Say that this node is ready; return the second line of the standard input.

    Raise NotStartedError if there is none.
    """
    print("ready", flush=True)
    line = sys.stdin.readline()
    if not line:
        raise NotStartedError("it was not told to begin, because a node was not ready")
    return json.loads(line)
