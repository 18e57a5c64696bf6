"""Requests for faults: what a plan, a schedule item or a person asks of a nemesis by name."""

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
    """The cluster's nodes and what the caller chose; a nemesis draws the rest or takes its default."""

    nodes: Sequence[str]
    random: Random
    victims: tuple[str, ...] = ()
    groups: tuple[tuple[str, ...], ...] = ()
    grudge: Grudge = field(default_factory=dict)
    settings: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Stage:
    """One part of a nemesis' time, as shares (0 to 1) of its duration, and the fault in force during it."""

    begins: float
    ends: float
    fault: Fault


def whole(fault: Fault) -> tuple[Stage, ...]:
    """Return the only stage of a nemesis whose fault is in force all the time."""
    return (Stage(0.0, 1.0, fault),)


@dataclass(frozen=True, kw_only=True)
class NemesisSpec:
    """A nemesis: its documentation, the choices it accepts and the function that draws its faults."""

    about: str
    """What it does, in one line for `jepsenvm fault list` and the documentation."""
    draw: Callable[[FaultRequest], tuple[Stage, ...]]
    """Return the stages of the next fault. Faults that it leaves unnamed get the name of the nemesis."""
    takes: Literal["nodes", "groups", "nothing"] = "nothing"
    """What the caller may choose."""
    settings: Mapping[str, float] = field(default_factory=dict)
    """Settings with their defaults; 0 stands for a value that is drawn."""
    fewest_nodes: int = 2
    """With fewer nodes there is nothing to break, or nobody left who is connected."""
    takes_grudge: bool = False
    """Whether the caller may write the grudge itself."""
    mixes: tuple[str, ...] = ()
    """The mixes that draw this nemesis. It must work on any kernel."""
