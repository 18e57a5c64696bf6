"""Requests for faults and the nemeses that draw them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, Literal

from jepsenvm.machines.reachability import Grudge

if TYPE_CHECKING:
    from jepsenvm.nemesis.fault import Fault


@dataclass(frozen=True)
class FaultRequest:
    """The cluster's nodes and the caller's choices. A nemesis draws the rest or uses defaults."""

    nodes: Sequence[str]
    random: Random
    victims: tuple[str, ...] = ()
    groups: tuple[tuple[str, ...], ...] = ()
    grudge: Grudge = field(default_factory=dict)
    settings: Mapping[str, float] = field(default_factory=dict)
    texts: Mapping[str, str] = field(default_factory=dict)
    """Settings that are texts, such as the name of a feature flag."""


@dataclass(frozen=True)
class Stage:
    """One fault of a nemesis. It begins and ends at shares (0 to 1) of the nemesis' duration."""

    begins: float
    ends: float
    fault: Fault


def whole(fault: Fault) -> tuple[Stage, ...]:
    """Return the stages of a nemesis with one fault that is in force all the time."""
    return (Stage(0.0, 1.0, fault),)


@dataclass(frozen=True, kw_only=True)
class NemesisSpec:
    """A nemesis: its documentation, the choices it accepts and the function that draws faults."""

    about: str
    """What it does, in one line for `jepsenvm fault list` and the documentation."""
    draw: Callable[[FaultRequest], tuple[Stage, ...]]
    """Return the stages of the next fault. The registry names the faults after the nemesis."""
    takes: Literal["nodes", "groups", "nothing"] = "nothing"
    """What the caller may choose."""
    settings: Mapping[str, float] = field(default_factory=dict)
    """Settings with their defaults; 0 stands for a value that is drawn."""
    bounds: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """The least and the greatest value of settings with narrower bounds than all others."""
    texts: Mapping[str, str] = field(default_factory=dict)
    """Settings that are texts, with their defaults; an empty one must be given."""
    fewest_nodes: int = 2
    """With fewer nodes nothing can be broken, or no nodes stay connected."""
    permanent: bool = False
    """Whether healing leaves the cluster changed. Such a nemesis is in no mix."""
    takes_grudge: bool = False
    """Whether the caller may write the grudge itself."""
    mixes: tuple[str, ...] = ()
    """The mixes that include this nemesis. A nemesis of a mix must work on any kernel."""
