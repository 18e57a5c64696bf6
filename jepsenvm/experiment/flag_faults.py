"""Faults that enable feature flags: which of them are refused before the run."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from jepsenvm.errors import UsageError, shorten
from jepsenvm.machines.ssh import Fleet
from jepsenvm.nemesis.fault import Fault
from jepsenvm.nemesis.faults.feature_flag import EnableFeatureFlag
from jepsenvm.nemesis.faults.upgrade import Upgrade
from jepsenvm.rabbitmq import ctl as broker
from jepsenvm.rabbitmq.feature_flags import ALL_STABLE, DISABLED, FeatureFlag, disabled_stable


def require_enableable(fleet: Fleet, faults: Sequence[Fault], set_up: Collection[str] = ()) -> None:
    """Raise UsageError for the first feature flag that is unknown or already enabled.

    ``faults`` are in the order of their begin. ``set_up`` are the feature flags that the plan
    enables before the load. Behind an upgrade another version decides which
    feature flags there are, so those faults are judged when they happen.
    """
    enabled = set(set_up)
    states: dict[str, FeatureFlag] | None = None
    for fault in faults:
        if isinstance(fault, Upgrade):
            return
        if not isinstance(fault, EnableFeatureFlag):
            continue
        node = next(iter(fleet.nodes))
        states = broker.graded_feature_flags(fleet, node) if states is None else states
        names = disabled_stable(states) if fault.flag == ALL_STABLE else {fault.flag}
        if not names - enabled:
            raise UsageError(
                f"{EnableFeatureFlag.kind}: {_already(fault.flag)}",
                node=node,
                remedy="a feature flag cannot be disabled; use a new cluster "
                "(`jepsenvm deploy --reset`), or leave the fault out",
            )
        for name in names:
            _require_disabled(node, name, states)
        enabled |= names


def _already(flag: str) -> str:
    if flag == ALL_STABLE:
        return "every stable feature flag is enabled already"
    return f"the plan enables {flag} twice"


def _require_disabled(node: str, name: str, states: dict[str, FeatureFlag]) -> None:
    if name not in states:
        raise UsageError(
            f"{EnableFeatureFlag.kind}: this RabbitMQ has no feature flag {name}",
            node=node,
            remedy=f"use one of {shorten(', '.join(sorted(states)), 300)}",
        )
    state = states[name].state
    if state != DISABLED:
        raise UsageError(
            f"{EnableFeatureFlag.kind}: {name} is {shorten(state)}, not disabled",
            node=node,
            remedy="a feature flag can be enabled once, and only if every node supports it",
        )
