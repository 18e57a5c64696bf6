"""Feature flags of RabbitMQ that a plan needs: enabled before the load, on every node."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from jepsenvm.errors import RunError, UsageError, shorten
from jepsenvm.machines.ssh import Fleet
from jepsenvm.plan.plan import Plan
from jepsenvm.rabbitmq import ctl as broker
from jepsenvm.rabbitmq.feature_flags import DISABLED, ENABLED

logger = logging.getLogger(__name__)


def enable(plan: Plan, fleet: Fleet, remedy: str | None) -> None:
    """Enable the feature flags of a plan, and check on every node that they are enabled.

    ``remedy`` is what to do about a disabled flag if the cluster must not be changed; None if it
    may be. Raises UsageError, before any flag is enabled, if a flag cannot be enabled.
    """
    if not plan.feature_flags:
        return
    node = next(iter(fleet.nodes))
    states = broker.feature_flags(fleet, node)
    disabled = [flag for flag in plan.feature_flags if _is_disabled(flag, states)]
    if disabled and remedy is not None:
        raise UsageError(f"the feature flag {disabled[0]} is disabled", node=node, remedy=remedy)
    for flag in disabled:
        logger.info(f"enabling the feature flag {flag}")
        broker.enable_feature_flag(fleet, node, flag)
    _require_enabled(plan, fleet)


def _is_disabled(flag: str, states: Mapping[str, str]) -> bool:
    """Return whether a flag must be enabled; raise UsageError if it cannot be."""
    state = states.get(flag)
    if state is None:
        raise UsageError(
            f"feature-flags: this RabbitMQ has no feature flag {flag}",
            remedy=f"use one of {shorten(', '.join(sorted(states)), 300)}",
        )
    if state not in (ENABLED, DISABLED):
        raise UsageError(
            f"feature-flags: {flag} is {shorten(state)}",
            remedy="run the same RabbitMQ on every node, and wait until it has started everywhere",
        )
    return state == DISABLED


def _require_enabled(plan: Plan, fleet: Fleet) -> None:
    answers = fleet.each(lambda node: broker.feature_flags(fleet, node))
    for node, states in answers.items():
        for flag in plan.feature_flags:
            if states.get(flag) != ENABLED:
                raise RunError(f"the feature flag {flag} is not enabled", node=node)
