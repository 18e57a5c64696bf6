"""Capabilities: what each host can do, by the names of ``nemesis.requirements``."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from jepsenvm.errors import RunError, shown
from jepsenvm.machines.ssh import Fleet

SAME_BOOT_S: Final = 0.005
"""Machines that booted within this time of each other count as one.

The time covers the adjustment of a clock and the error of reading it.
"""

_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")


def capabilities(fleet: Fleet) -> dict[str, dict[str, bool]]:
    """Return the capabilities of each node."""
    answers = fleet.each(lambda node: _ask(fleet, node))
    booted = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
    return with_own_clock(answers, {"boot-id": _BOOT_ID.read_text().strip(), "booted": booted})


def _ask(fleet: Fleet, node: str) -> Mapping[str, Any]:
    answer = fleet.python(node, "capabilities", timeout=60)
    understood = (
        isinstance(answer, Mapping)
        and isinstance(answer.get("boot-id"), str)
        and isinstance(answer.get("booted"), int | float)
    )
    if not understood:
        raise RunError(f"its answer is not understood: {shown(answer)}", node=node)
    return dict(answer)


def with_own_clock(
    answers: Mapping[str, Mapping[str, Any]], controller: Mapping[str, Any]
) -> dict[str, dict[str, bool]]:
    """Return the nodes' answers with the capability ``own-clock``.

    Hosts that share a kernel share its clock. Equal boot ids show that. So do equal boot times:
    systemd-nspawn gives each container a boot id of its own.
    """

    def shares_kernel(node: str) -> bool:
        this = answers[node]
        others = [controller, *(answer for name, answer in answers.items() if name != node)]
        return any(
            other["boot-id"] == this["boot-id"]
            or abs(other["booted"] - this["booted"]) < SAME_BOOT_S
            for other in others
        )

    return {
        node: {
            **{name: can for name, can in answer.items() if isinstance(can, bool)},
            "own-clock": not shares_kernel(node),
        }
        for node, answer in answers.items()
    }
