"""Feature flags of RabbitMQ as a node lists them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

ENABLED: Final = "enabled"
DISABLED: Final = "disabled"
STABLE: Final = "stable"

ALL_STABLE: Final = "all"
"""Stands for every stable feature flag, as in `rabbitmqctl enable_feature_flag all`."""


@dataclass(frozen=True)
class FeatureFlag:
    """The state and the stability of one feature flag."""

    state: str
    """Such as ``enabled``, ``disabled`` or ``unavailable``."""
    stability: str
    """``stable``, ``experimental`` or ``required``."""


def disabled_stable(flags: Mapping[str, FeatureFlag]) -> set[str]:
    """Return the names of the stable feature flags that are not enabled."""
    return {
        name for name, flag in flags.items() if flag.state != ENABLED and flag.stability == STABLE
    }
