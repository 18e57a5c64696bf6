"""Policies of a run."""

from __future__ import annotations

from typing import Final

from jepsenvm.plan.plan import Plan

RUN_POLICY: Final = "jepsenvm-run"
"""The name of a run's policy. ``playbooks/roles/cluster`` ignores a policy of this name."""


def mirroring(plan: Plan) -> dict[str, object]:
    """Return the definition of the policy that mirrors a queue as the plan says."""
    definition: dict[str, object] = {"ha-mode": "all"}
    if plan.mirrors != "all":
        definition = {"ha-mode": "exactly", "ha-params": plan.mirrors}
    definition["ha-sync-mode"] = "automatic"
    if plan.promote_on_shutdown:
        definition["ha-promote-on-shutdown"] = plan.promote_on_shutdown
    if plan.promote_on_failure:
        definition["ha-promote-on-failure"] = plan.promote_on_failure
    return definition
