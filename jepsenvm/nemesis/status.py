"""The faults in force on every node, as the nodes themselves keep them on record."""

from __future__ import annotations

import json
from typing import Any, Final

from jepsenvm.errors import RunError, shown
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
        return [_note(node, line) for line in lines if line.strip()]

    return fleet.each_or_error(ask)


def _note(node: str, line: str) -> dict[str, Any]:
    """Return one note. Its number becomes part of scripts that other nodes run."""
    try:
        note = json.loads(line)
        well_formed = (
            type(note["number"]) is int
            and note["number"] >= 0
            and isinstance(note["since"], int | float)
            and isinstance(note["fault"]["name"], str)
            and isinstance(note["fault"]["text"], str)
        )
    except (ValueError, KeyError, TypeError, RecursionError):
        well_formed = False
    if not well_formed:
        raise RunError(
            f"its record of a fault is damaged: {shown(line)}",
            node=node,
            remedy="run `jepsenvm heal`, which needs no records",
        )
    return dict(note)
