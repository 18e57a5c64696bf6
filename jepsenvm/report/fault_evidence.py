"""Fault evidence: what was measured before, during and after each fault, for people.

The records of a history are read without trust: whatever has another form than expected is left
out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from jepsenvm.checkers.fault_intervals import FaultInterval, fault_intervals
from jepsenvm.history.nemesis_records import AFTER, BEFORE, DURING, VIEW
from jepsenvm.history.op import Op
from jepsenvm.history.table import History

AT_END: Final = "at-end"
"""The evidence from just before the healing."""

TIMES: Final[Mapping[str, str]] = {
    BEFORE: "before",
    DURING: "during",
    AT_END: "before its healing",
    AFTER: "after",
}
"""The keys of a record's ``proof``, in order, and what the report calls them."""

Matrix = Mapping[str, Mapping[str, str]]
"""from -> to -> ``open``, ``cut``, ``unknown``, or the blocked ports such as ``cut: 25672``."""


@dataclass(frozen=True)
class BrokerView:
    """What the brokers reported about the cluster at one moment."""

    fault: int
    phase: str
    time: int
    nodes: Mapping[str, str]
    """What each node reported, as text."""
    whole: Mapping[str, bool | None]
    """Whether each node saw all nodes and no partition; None if it did not answer."""
    leader: str | None


@dataclass(frozen=True)
class Processes:
    """What was measured about RabbitMQ's processes at one moment, by node."""

    time: int
    states: Mapping[str, str]


@dataclass(frozen=True)
class FaultEvidence:
    """One fault with its measurements."""

    interval: FaultInterval
    matrices: Mapping[str, Matrix] = field(default_factory=dict)
    """By the time of the measurement, as in TIMES; empty if the fault is proven otherwise."""
    views: Sequence[BrokerView] = ()
    processes: Sequence[Processes] = ()
    clocks: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """How far each node's clock was ahead of the controller's, by the time of measurement."""


def fault_evidence(history: History) -> list[FaultEvidence]:
    """Return the faults of a history with everything that was measured about them."""
    ops = [op for op in history.nemesis_ops() if isinstance(op.data, dict)]
    views_of: dict[int, list[BrokerView]] = {}
    for view in broker_views(ops):
        views_of.setdefault(view.fault, []).append(view)
    proofs_of = _proofs(ops)
    found = []
    for interval in fault_intervals(history):
        proofs = proofs_of.get(interval.number, {})
        found.append(
            FaultEvidence(
                interval,
                {
                    time: matrix
                    for time in TIMES
                    if time in proofs and (matrix := _matrix(proofs[time][1]))
                },
                views_of.get(interval.number, ()),
                [
                    Processes(at, states)
                    for at, evidence in proofs.values()
                    if (states := _process_states(evidence.get("processes")))
                ],
                {
                    TIMES[time]: clocks
                    for time in TIMES
                    if time in proofs and (clocks := _clocks(proofs[time][1].get("clocks")))
                },
            )
        )
    return found


def broker_views(ops: Sequence[Op]) -> Iterator[BrokerView]:
    """Yield what the brokers reported around faults, in the order of the records."""
    for op in ops:
        broker = _map(_map(op.data).get("proof")).get("broker")
        if op.f != VIEW or not isinstance(broker, dict):
            continue
        nodes = _map(broker.get("nodes"))
        leader, number = broker.get("leader"), op.data.get("window")
        yield BrokerView(
            fault=number if isinstance(number, int) else 0,
            phase=str(op.data.get("phase")),
            time=op.time,
            nodes={node: _view_text(node, view) for node, view in nodes.items()},
            whole={node: _is_whole(nodes, view) for node, view in nodes.items()},
            leader=leader if isinstance(leader, str) else None,
        )


Proofs = Mapping[str, tuple[int, Mapping[str, Any]]]
"""Evidence and when it was recorded, by the key of its time."""


def _proofs(ops: Sequence[Op]) -> dict[int, Proofs]:
    """Return the evidence about each fault, by the fault's number."""
    proofs: dict[int, dict[str, tuple[int, Mapping[str, Any]]]] = {}
    for op in ops:
        number = op.data.get("window")
        if op.f == VIEW or type(number) is not int:
            continue
        for time, evidence in _map(op.data.get("proof")).items():
            if time in TIMES and isinstance(evidence, dict):
                proofs.setdefault(number, {})[time] = (op.time, evidence)
    return dict(proofs)


def _matrix(evidence: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    blocked = _map(evidence.get("blocked-ports"))
    return {
        str(source): {
            str(target): _link(passes, _map(blocked.get(source)).get(target))
            for target, passes in row.items()
            if source != target
        }
        for source, row in _map(evidence.get("matrix")).items()
        if isinstance(row, dict)
    }


def _link(passes: Any, ports: Any) -> str:
    if passes is None:
        return "unknown"
    if not passes:
        return "cut"
    if isinstance(ports, list) and ports:
        return f"cut: {', '.join(map(str, ports))}"
    return "open"


def _view_text(node: str, view: Any) -> str:
    if not isinstance(view, dict):
        return "no answer"
    running, cut = view.get("running"), _map(view.get("partitions")).get(node)
    text = f"sees {' '.join(map(str, running))}" if isinstance(running, list) else "sees nothing"
    if isinstance(cut, list) and cut:
        text += f"; partitioned from {' '.join(map(str, cut))}"
    return text


def _is_whole(nodes: Mapping[str, Any], view: Any) -> bool | None:
    if not isinstance(view, dict):
        return None
    running = view.get("running")
    return (
        isinstance(running, list)
        and set(nodes) <= set(running)
        and not any(_map(view.get("partitions")).values())
    )


def _process_states(processes: Any) -> dict[str, str]:
    return {str(node): _process_state(state) for node, state in _map(processes).items()}


def _process_state(state: Any) -> str:
    if not isinstance(state, dict):
        return "not measured"
    runtime = state.get("runtime")
    if not isinstance(runtime, dict):
        return "RabbitMQ is not running"
    # The letters of /proc/PID/stat: T is a process that a signal stopped.
    if runtime.get("state") in ("T", "t"):
        return "RabbitMQ is paused"
    return "RabbitMQ is up" if state.get("amqp") else "RabbitMQ runs, but accepts no clients"


def _clocks(clocks: Any) -> dict[str, str]:
    return {
        str(node): f"{readings[-1]:+.3f} s"
        for node, readings in _map(clocks).items()
        if isinstance(readings, list) and readings and isinstance(readings[-1], int | float)
    }


def _map(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
