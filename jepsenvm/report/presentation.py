"""What a report needs to know about a workload."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from jepsenvm.checkers.availability import DEFAULT_IGNORED

Figures = Mapping[str, Any]


@dataclass(frozen=True)
class Presentation:
    """How the results of one workload are shown."""

    main_checker: str
    """The checker of what the workload tests."""
    headline: Callable[[Figures], str]
    """Returns the main checker's figures in one line."""
    plots: Mapping[str, str] = field(default_factory=dict)
    """What an ok op has done, by op, such as ``{"enqueue": "confirmed"}``. The report plots the
    rate and the latency of these ops."""
    acknowledgements: Sequence[str] = ("enqueue",)
    """Ops by which the broker gives a guarantee when they are ok."""
    not_availability: Sequence[str] = DEFAULT_IGNORED
    """Ops that do not show whether a node serves the load. A client did not wait for them, so they
    have no latency either."""
