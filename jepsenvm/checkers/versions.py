"""versions: which node ran which version of RabbitMQ from when to when, if a fault upgraded any.

The evidence of the upgrades has the versions of all nodes. This checker never judges: whether each
upgrade is proven is for ``faults`` to say.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from jepsenvm.checkers.fault_records import read_record, records_by_number
from jepsenvm.checkers.verdict import Result, Verdict
from jepsenvm.checkers.wording import seconds
from jepsenvm.errors import shorten
from jepsenvm.history.nemesis_records import AFTER, BEFORE, DURING, HEALED, IN_FORCE, INJECT
from jepsenvm.history.op import Op
from jepsenvm.history.table import History
from jepsenvm.history.units import SECOND

KIND: Final = "upgrade"

_PROBE: Final = "versions"


@dataclass(frozen=True)
class _Upgrade:
    """One upgrade of one node. Times are in nanoseconds since the run began."""

    node: str
    began: int
    seen: int | None
    """When the new version was first seen to run; None if it never was."""
    before: Mapping[str, str]
    """node -> its version before the upgrade."""
    version: str | None
    """The version that the node ran afterwards; None if it was not measured."""


def versions(history: History) -> Result:
    """Return the versions of each node over time; the verdict is always valid."""
    upgrades = sorted(_upgrades(history), key=lambda upgrade: upgrade.began)
    periods: dict[str, list[dict[str, Any]]] = {}
    for upgrade in upgrades:
        for node, version in upgrade.before.items():
            periods.setdefault(node, [_period(version, 0)])
        of_node = periods.setdefault(upgrade.node, [_period(None, 0)])
        of_node[-1]["until"] = upgrade.began / SECOND
        of_node.append(_period(upgrade.version, upgrade.seen))
    reasons = [_sentence(periods[upgrade.node], upgrade) for upgrade in upgrades]
    last = {node: of_node[-1]["version"] for node, of_node in sorted(periods.items())}
    if len(set(last.values())) > 1:
        text = ", ".join(f"{node} {version or 'not measured'}" for node, version in last.items())
        reasons.append(f"the run ended with mixed versions: {text}")
    return Result(Verdict.VALID, tuple(reasons), {"nodes": periods})


def _period(version: str | None, began: int | None) -> dict[str, Any]:
    return {
        "version": version,
        "from": None if began is None else began / SECOND,
        "until": None,
    }


def _sentence(periods: list[dict[str, Any]], upgrade: _Upgrade) -> str:
    index = [period["until"] for period in periods].index(upgrade.began / SECOND)
    earlier = periods[index]["version"] or "an unknown version"
    if upgrade.seen is None or upgrade.version is None:
        return f"{upgrade.node} ran {earlier} until {seconds(upgrade.began)}, and then unknown"
    return (
        f"{upgrade.node} ran {earlier} until {seconds(upgrade.began)}, and {upgrade.version} from"
        f" {seconds(upgrade.seen)} on"
    )


def _upgrades(history: History) -> Iterator[_Upgrade]:
    """Yield the upgrades that began, one for each node. Nothing in a record is trusted."""
    for ops in records_by_number(history.nemesis_ops()).values():
        by_phase = {read_record(op).phase: op for op in ops}
        fault = read_record(ops[0]).fault
        if fault.get("kind") != KIND or INJECT not in by_phase:
            continue
        in_force, healed = by_phase.get(IN_FORCE), by_phase.get(HEALED)
        for node in fault.get("nodes", []):
            seen = [
                (op.time, version)
                for op, phase in ((in_force, DURING), (healed, AFTER))
                if op is not None and (version := _versions(op, phase).get(node))
            ]
            yield _Upgrade(
                node=node,
                began=by_phase[INJECT].time,
                seen=seen[0][0] if seen else None,
                before=_versions(in_force, BEFORE) if in_force is not None else {},
                version=seen[-1][1] if seen else None,
            )


def _versions(op: Op, phase: str) -> dict[str, str]:
    """Return the version that each node ran, with that of its package, by the evidence."""
    data: Any = op.data
    for key in ("proof", phase, _PROBE):
        data = data.get(key) if isinstance(data, dict) else None
    if not isinstance(data, dict):
        return {}
    return {
        str(node): _label(answer)
        for node, answer in data.items()
        if isinstance(answer, dict) and answer.get("running")
    }


def _label(answer: Mapping[str, Any]) -> str:
    running, package = str(answer["running"]), str(answer.get("package") or "")
    return shorten(f"{running} ({package})" if package else running)
