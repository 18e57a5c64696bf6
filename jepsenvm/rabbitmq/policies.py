"""Policies of a run."""

from __future__ import annotations

import re
from typing import Final

from jepsenvm.plan.plan import Plan

RUN_POLICY: Final = "jepsenvm-run"
"""The name of a run's policy. ``playbooks/roles/cluster`` ignores a policy of this name."""


_QUEUE_NAME: Final = re.compile(r"[A-Za-z0-9_.-]+")


def of_run(queue: str) -> str:
    """Return the pattern of a policy for a run's queue, and for those whose names begin with it.

    Raise ValueError for unusual characters.
    """
    if not _QUEUE_NAME.fullmatch(queue):
        raise ValueError(f"not the name of a run's queue: {queue[:60]!r}")
    # Brackets, because a backslash is not safe in an argument of rabbitmqctl.
    return f"^{queue.replace('.', '[.]')}"


def mirroring(plan: Plan) -> dict[str, object]:
    """Return the definition of the policy that mirrors a queue as the plan says."""
    definition: dict[str, object] = {"ha-mode": "all"}
    if plan.mirrors != "all":
        definition = {"ha-mode": "exactly", "ha-params": plan.mirrors}
    definition["ha-sync-mode"] = plan.sync_mode
    if plan.promote_on_shutdown:
        definition["ha-promote-on-shutdown"] = plan.promote_on_shutdown
    if plan.promote_on_failure:
        definition["ha-promote-on-failure"] = plan.promote_on_failure
    return definition
