"""What is in force on every node, as the nodes themselves have it on record."""

from __future__ import annotations

import json
from typing import Any

from jepsenvm.machines.action import STATE_DIR
from jepsenvm.machines.ssh import Fleet


def in_force(fleet: Fleet) -> dict[str, list[dict[str, Any]] | Exception]:
    """Return each node's faults (number, fault, since, before); an error for a node that cannot be asked."""
    script = f'for note in {STATE_DIR}/faults/*.json; do [ ! -e "$note" ] || {{ cat "$note"; echo; }}; done'

    def ask(node: str) -> list[dict[str, Any]]:
        return [
            json.loads(line) for line in fleet.run(node, script).stdout.splitlines() if line.strip()
        ]

    return fleet.each_or_error(ask)
