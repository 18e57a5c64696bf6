"""The registry of faults and nemeses. Only this module lists the kinds of faults."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from itertools import chain
from typing import Any, Final

from jepsenvm.errors import UsageError, shorten
from jepsenvm.nemesis.fault import Fault
from jepsenvm.nemesis.faults.clients_cut import ClientsCut
from jepsenvm.nemesis.faults.clients_kill import ClientsKill
from jepsenvm.nemesis.faults.clock import Clock
from jepsenvm.nemesis.faults.disk_full import DiskFull
from jepsenvm.nemesis.faults.disk_slow import DiskSlow
from jepsenvm.nemesis.faults.drain import Drain
from jepsenvm.nemesis.faults.feature_flag import EnableFeatureFlag
from jepsenvm.nemesis.faults.file_corrupt import FileCorrupt
from jepsenvm.nemesis.faults.flapping import Flapping
from jepsenvm.nemesis.faults.kill import Kill
from jepsenvm.nemesis.faults.leader_transfer import LeaderTransfer
from jepsenvm.nemesis.faults.leave import Leave
from jepsenvm.nemesis.faults.link_reset import LinkReset
from jepsenvm.nemesis.faults.loss import Loss
from jepsenvm.nemesis.faults.memory_alarm import MemoryAlarm
from jepsenvm.nemesis.faults.packets import Packets
from jepsenvm.nemesis.faults.partition import Partition
from jepsenvm.nemesis.faults.pause import Pause
from jepsenvm.nemesis.faults.power_cut import PowerCut
from jepsenvm.nemesis.faults.power_loss import PowerLoss
from jepsenvm.nemesis.faults.replica_shrink import ReplicaShrink
from jepsenvm.nemesis.faults.restart import Restart
from jepsenvm.nemesis.faults.service_loss import ServiceLoss
from jepsenvm.nemesis.faults.stop_app import StopApp
from jepsenvm.nemesis.faults.stress import Stress
from jepsenvm.nemesis.faults.upgrade import TARGET, Upgrade
from jepsenvm.nemesis.grudge import with_rest
from jepsenvm.nemesis.request import FaultRequest, NemesisSpec, Stage

NO_FAULTS: Final = "none"
"""The nemesis that injects no faults."""

FAULTS: Final[Mapping[str, type[Fault]]] = {
    fault.kind: fault
    for fault in (
        Flapping,  # before Partition: a unit that still flaps would restore the chains it removed
        Partition,
        Loss,
        Packets,
        LinkReset,
        Upgrade,  # before Kill: nothing may start RabbitMQ while it is being installed
        Kill,
        Pause,
        StopApp,
        Drain,  # after StopApp: a node is revived only while its application runs
        Restart,
        FileCorrupt,
        PowerCut,
        ServiceLoss,  # before PowerLoss: nothing can be removed from a disk that is shut down
        PowerLoss,
        Clock,
        DiskFull,
        DiskSlow,
        MemoryAlarm,
        Stress,
        Leave,
        ReplicaShrink,
        LeaderTransfer,
        ClientsCut,
        ClientsKill,
        EnableFeatureFlag,
    )
}
"""Every fault by its kind.

A node that heals everything sweeps the kinds in this order. Mixes list their nemeses in this order,
so a changed order changes the schedules that seeds give.
"""


SMALLEST_SETTING: Final = 1e-3
LARGEST_SETTING: Final = 1e9
"""Bounds of the settings of every nemesis. No host could follow a number outside of them."""


def stages(name: str, request: FaultRequest) -> tuple[Stage, ...]:
    """Return the stages of the next fault of a nemesis.

    Raise UsageError, with every problem of the request, if the nemesis cannot draw it.
    """
    spec = _spec(name)
    problems = list(_problems(name, spec, request))
    if problems:
        raise UsageError(f"nemesis: {'; '.join(problems)}")
    drawn = spec.draw(
        replace(
            request,
            settings={**spec.settings, **request.settings},
            texts={**spec.texts, **request.texts},
        )
    )
    return tuple(
        replace(stage, fault=replace(stage.fault, name=stage.fault.name or name)) for stage in drawn
    )


def fault_from_data(data: Mapping[str, Any]) -> Fault:
    """Return the fault that ``Fault.as_data`` was called on; raise UsageError for unknown kinds."""
    kind = data["kind"]
    if kind not in FAULTS:
        raise UsageError(
            f"unknown kind of fault {shorten(str(kind))!r} (known: {', '.join(FAULTS)})",
            remedy="use the version of jepsenvm that injected it",
        )
    return FAULTS[kind](
        name=data["name"],
        text=data["text"],
        nodes=tuple(data["nodes"]),
        grudge={node: frozenset(sources) for node, sources in data["grudge"].items()},
        settings=data["settings"],
    )


def _spec(name: str) -> NemesisSpec:
    if name not in NEMESES:
        raise UsageError(
            f"nemesis: unknown nemesis {shorten(name)!r} (known: {', '.join(NEMESES)})"
        )
    spec = NEMESES[name]
    if spec is None:
        raise UsageError(f"nemesis: {name} injects no faults")
    return spec


def _problems(name: str, spec: NemesisSpec, request: FaultRequest) -> Iterator[str]:
    if len(request.nodes) < spec.fewest_nodes:
        yield (
            f"{name} needs at least {spec.fewest_nodes} nodes, and the cluster has"
            f" {len(request.nodes)}"
        )
    if request.victims and spec.takes != "nodes":
        yield f"{name} takes no nodes"
    if request.groups and spec.takes != "groups":
        yield f"{name} takes no groups"
    if request.grudge and not spec.takes_grudge:
        takers = [other for other, spec in NEMESES.items() if spec and spec.takes_grudge]
        yield f"{name} takes no grudge (only {', '.join(takers)} does)"
    yield from (f"{name}: {problem}" for problem in _node_problems(request))
    yield from (
        f"{name}: {problem}"
        for problem in (
            *_setting_problems(spec.settings, request.settings),
            *_bound_problems(spec.bounds, request.settings),
            *_text_problems(spec.texts, request.texts),
        )
    )


def _node_problems(request: FaultRequest) -> Iterator[str]:
    grouped = list(chain.from_iterable(request.groups))
    unknown = {
        *request.victims,
        *grouped,
        *request.grudge,
        *chain.from_iterable(request.grudge.values()),
    } - set(request.nodes)
    if unknown:
        names = shorten(" ".join(sorted(unknown)))
        yield f"unknown nodes {names} (known: {' '.join(request.nodes)})"
    yield from (f"node {node} is given twice" for node in _repeated(request.victims))
    yield from (f"node {node} is in the groups twice" for node in _repeated(grouped))
    if not all(request.groups):
        yield "a group is empty"
    if request.groups and len(with_rest(request.groups, request.nodes)) < 2:
        yield "all nodes are in one group, at least two groups are needed"
    yield from (
        f"{node} cannot drop its own packets"
        for node, sources in sorted(request.grudge.items())
        if node in sources
    )


def _repeated(names: Iterable[str]) -> list[str]:
    return sorted(shorten(name) for name, count in Counter(names).items() if count > 1)


def _setting_problems(
    defaults: Mapping[str, float], settings: Mapping[str, float]
) -> Iterator[str]:
    for key, value in settings.items():
        if key not in defaults:
            known = ", ".join(defaults) or "none"
            yield f"unknown setting {shorten(key)!r} (known: {known})"
        elif not math.isfinite(value):
            yield f"{key} must be a finite number"
        elif not (value == 0 or SMALLEST_SETTING <= abs(value) <= LARGEST_SETTING):
            yield f"{key} must be from {SMALLEST_SETTING:g} to {LARGEST_SETTING:g}, not {value:g}"
        elif key.endswith("percent") and not 0 < value <= 100:
            yield f"{key} must be more than 0 and at most 100, not {value:g}"
        elif key == "jitter-ms" and value < 0:
            yield f"{key} must be 0 or more, not {value:g}"
        elif defaults[key] != 0 and key != "jitter-ms" and value <= 0:
            yield f"{key} must be more than 0, not {value:g}"


def _bound_problems(
    bounds: Mapping[str, tuple[float, float]], settings: Mapping[str, float]
) -> Iterator[str]:
    for key, value in settings.items():
        least, greatest = bounds.get(key, (-math.inf, math.inf))
        if math.isfinite(value) and not least <= value <= greatest:
            yield f"{key} must be from {least:g} to {greatest:g}, not {value:g}"


_MISSING_TEXTS: Final[Mapping[str, str]] = {
    TARGET: "its target is missing: a plan has it as upgrade-to, and `fault start` as --set to=...",
}
"""What is said of a text that must be given and is not."""


def _text_problems(defaults: Mapping[str, str], texts: Mapping[str, str]) -> Iterator[str]:
    for key in sorted(texts.keys() - defaults.keys()):
        yield f"it takes no {shorten(key)}"
    for key, default in defaults.items():
        if not texts.get(key, default):
            yield _MISSING_TEXTS.get(key, f"{key} is missing")


# Nemeses.

_SPECS: Final[Mapping[str, NemesisSpec]] = {
    name: spec for fault in FAULTS.values() for name, spec in fault.nemeses().items()
}

MIXES: Final[Mapping[str, tuple[str, ...]]] = {
    mix: tuple(name for name, spec in _SPECS.items() if mix in spec.mixes)
    for mix in sorted({mix for spec in _SPECS.values() for mix in spec.mixes})
}
"""The nemeses of each mix. Each fault of a mix is drawn by one of them, chosen at random."""


def _draw_mix(mix: str, request: FaultRequest) -> tuple[Stage, ...]:
    """Draw from a random nemesis of a mix, for which there are enough nodes."""
    possible = [name for name in MIXES[mix] if _SPECS[name].fewest_nodes <= len(request.nodes)]
    return stages(request.random.choice(possible), request)


NEMESES: Final[Mapping[str, NemesisSpec | None]] = {
    NO_FAULTS: None,
    **_SPECS,
    **{
        mix: NemesisSpec(about=f"any of {', '.join(names)}", draw=partial(_draw_mix, mix))
        for mix, names in MIXES.items()
    },
}
"""Every nemesis by name; None for the nemesis that injects no faults."""
