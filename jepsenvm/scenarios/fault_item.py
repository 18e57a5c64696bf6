"""A recorded fault as an item of a plan's schedule."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import floor
from random import Random
from typing import Any

from jepsenvm.errors import UsageError, shorten
from jepsenvm.nemesis.fault import Fault
from jepsenvm.nemesis.registry import FAULTS, NEMESES, fault_from_data, stages
from jepsenvm.nemesis.request import FaultRequest, NemesisSpec
from jepsenvm.plan.schedule_item import ScheduleItem


def planned_items(
    planned: Iterable[Mapping[str, Any]], nodes: Sequence[str]
) -> list[dict[str, Any]]:
    """Return the items of a plan's schedule for planned faults, as a history records them.

    Raises UsageError for a nemesis that this version does not have.
    """
    return [
        {
            "at": _down(entry["at"]),
            "for": _down(entry["until"] - entry["at"]),
            **schedule_keys(entry["fault"], nodes),
        }
        for entry in planned
    ]


def _down(seconds: float) -> float:
    """Round a time down, so that no fault ends after the time limit."""
    return floor(seconds * 1000) / 1000


def schedule_keys(data: Mapping[str, Any], nodes: Sequence[str]) -> dict[str, Any]:
    """Return the keys of a schedule item that injects a recorded fault again, without its times.

    ``data`` is what ``Fault.as_data`` returned, and ``nodes`` are the nodes of the cluster. Targets
    that the fault found at its time, such as the queue's leader, are found again. Raises UsageError
    for a nemesis that this version does not have.
    """
    fault = fault_from_data(data)
    spec = NEMESES.get(fault.name)
    if spec is None:
        raise UsageError(
            f"the run has a fault of the unknown nemesis {shorten(fault.name)!r}",
            remedy="use the version of jepsenvm that injected it",
        )
    settings = _settings(fault, spec)
    texts = {key: _text(fault, key) for key in spec.texts.keys() & ScheduleItem.model_fields.keys()}
    return {
        **_targets(fault, spec, nodes),
        **({"settings": settings} if settings else {}),
        **{key: text for key, text in texts.items() if text != spec.texts[key]},
    }


def _targets(fault: Fault, spec: NemesisSpec, nodes: Sequence[str]) -> dict[str, Any]:
    if _found_at_its_time(fault, spec, nodes):
        return {"fault": fault.name}
    siblings = FAULTS[fault.kind].nemeses()
    with_grudge = [name for name, other in siblings.items() if other.takes_grudge]
    if fault.grudge and with_grudge:
        grudge = {node: sorted(from_) for node, from_ in sorted(fault.grudge.items()) if from_}
        return {"fault": with_grudge[0], "grudge": grudge}
    if spec.takes == "nodes":
        return {"fault": fault.name, "nodes": list(fault.nodes)}
    if spec.takes == "groups":
        return {"fault": fault.name, "groups": _groups(fault, nodes)}
    with_nodes = [name for name, other in siblings.items() if other.takes == "nodes"]
    if fault.nodes and with_nodes:
        return {"fault": with_nodes[0], "nodes": list(fault.nodes)}
    return {"fault": fault.name}


def _found_at_its_time(fault: Fault, spec: NemesisSpec, nodes: Sequence[str]) -> bool:
    """Return whether the nemesis finds its nodes when it injects, such as the queue's leader."""
    if spec.takes_grudge:
        return False
    texts = {key: _text(fault, key) for key in spec.texts}
    drawn = stages(fault.name, FaultRequest(nodes, Random(0), texts=texts))[0].fault
    chosen = spec.takes == "nodes" and set(fault.nodes) != set(nodes)
    return drawn.role is not None and not chosen


def _text(fault: Fault, key: str) -> str:
    return str(fault.settings[key])


def _groups(fault: Fault, nodes: Sequence[str]) -> list[list[str]]:
    """Return the groups that a complete grudge separates."""
    groups = {tuple(sorted(set(nodes) - dropped)) for dropped in fault.grudge.values()}
    return [list(group) for group in sorted(groups)]


def _settings(fault: Fault, spec: NemesisSpec) -> dict[str, float]:
    """Return the settings that a plan can give, where they differ from the defaults."""
    return {
        key: value
        for key, value in fault.settings.items()
        if not isinstance(value, str) and key in spec.settings and value != spec.settings[key]
    }
