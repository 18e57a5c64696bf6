"""The faults in force on every node, as the nodes themselves keep them on record."""

from __future__ import annotations

import json
from typing import Any, Final

from jepsenvm.machines.action import STATE_DIR
from jepsenvm.machines.ssh import Fleet

_PRINT_NOTES: Final = f"""for note in {STATE_DIR}/faults/*.json; do
  [ ! -e "$note" ] || {{ cat "$note"; echo; }}
done"""


def in_force(fleet: Fleet) -> dict[str, list[dict[str, Any]] | Exception]:
    """Return the faults of each node, or the error of a node that could not be asked.

    Each fault is a mapping with number, fault, since and before.
    """

    def ask(node: str) -> list[dict[str, Any]]:
        lines = fleet.run(node, _PRINT_NOTES).stdout.splitlines()
        return [json.loads(line) for line in lines if line.strip()]

    return fleet.each_or_error(ask)
