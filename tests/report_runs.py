"""Synthetic runs for the tests of reports, and for the pictures in the documentation."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any, Final

import numpy as np
import pyarrow as pa

from jepsenvm.experiment.resumption import FILE as RESUME
from jepsenvm.experiment.store import ENVIRONMENT, HISTORY, PLAN
from jepsenvm.history.journal import Journal
from jepsenvm.history.nemesis_records import (
    AFTER,
    BEFORE,
    DURING,
    HEAL,
    HEALED,
    IN_FORCE,
    INJECT,
    RECOVER,
    SCHEDULE,
    START,
    STOP,
    VIEW,
)
from jepsenvm.history.op import NEMESIS, TYPES, Op, Type
from jepsenvm.history.table import CHUNK_ROWS, Chunk, History
from jepsenvm.history.units import SECOND
from jepsenvm.plan.plan import Plan
from jepsenvm.workloads.drain import DRAIN_PROCESS

NODES: Final = ("n1", "n2", "n3", "n4", "n5")
MINORITY: Final = ("n1", "n2")
MAJORITY: Final = ("n3", "n4", "n5")
BEGAN: Final = 1_790_000_000.0
LOAD_S: Final = 100
RECOVERED_S: Final = 106.0
DRAIN_S: Final = (106.5, 112.0)
BATCH_OPS: Final = 1000
"""A journal is written in batches of this many ops. A run writes a batch every 100 ms."""

PARTITION: Final = {
    "kind": "partition",
    "name": "partition-random-halves",
    "text": "n1 n2 | n3 n4 n5",
    "nodes": list(NODES),
    "grudge": {
        **{node: list(MAJORITY) for node in MINORITY},
        **{node: list(MINORITY) for node in MAJORITY},
    },
}
KILL: Final = {"kind": "kill", "name": "kill", "text": "n4", "nodes": ["n4"], "grudge": {}}


@dataclass
class Fault:
    """A fault of a synthetic run, with the instants of its phases in seconds."""

    number: int
    fault: Mapping[str, Any]
    begin: float
    end: float
    isolates: bool = False
    cut: frozenset[tuple[str, str]] = frozenset()
    leaders: Mapping[str, str] = field(default_factory=dict)


FAULTS: Final = (
    Fault(
        1,
        PARTITION,
        30.0,
        62.0,
        isolates=True,
        cut=frozenset(
            (a, b) for a in NODES for b in NODES if (a in MINORITY) is not (b in MINORITY)
        ),
        leaders={BEFORE: "n1", DURING: "n3", AFTER: "n3"},
    ),
    Fault(2, KILL, 78.0, 88.0, leaders={BEFORE: "n3", DURING: "n3", AFTER: "n3"}),
)


def synthetic_ops(*, lossy: bool, rate: int = 60, seed: int = 3) -> list[Op]:
    """Return the ops of a run of five nodes with a partition and a kill, by time.

    ``rate`` is the number of messages per second and node. In a lossy run the smaller side goes on
    confirming during the partition, and these messages never come back.
    """
    random = Random(seed)
    ops = [*fault_ops(), *_load(random, rate, lossy=lossy)]
    ops.sort(key=lambda op: op.time)
    lost = {
        op.value
        for op in ops
        if lossy and op.type == "ok" and op.node in MINORITY and 34 <= op.time / SECOND < 62
    }
    confirmed = [op.value for op in ops if (op.f, op.type) == ("enqueue", "ok")]
    return [*ops, *_recovery(), *_drain([value for value in confirmed if value not in lost])]


def write_run(
    folder: Path, ops: Iterable[Op], *, queue_type: str = "mirrored", closed: bool = True
) -> Path:
    """Write ops as a stored run with its plan, environment and logs; return its folder.

    The history of a run that is going on is not ``closed``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    plan = Plan(
        name="demo",
        nemesis="partition-random-halves",
        queue_type=queue_type,  # type: ignore[arg-type]  # a name of a queue type
        partition_handling="autoheal",
        seed=3,
    ).to_yaml()
    (folder / PLAN).write_text(plan)
    write_history(folder / HISTORY, ops, plan, closed=closed)
    nodes = {node: {"rabbitmq": "3.10.8", "clock-offset-seconds": 0.0012} for node in NODES}
    environment = {"jepsenvm": "0.1.0", "python": "3.11.7", "controller": "Linux", "nodes": nodes}
    (folder / ENVIRONMENT).write_text(json.dumps(environment))
    resume = {
        "inventory": "hosts.yml",
        "group": "rabbitmq",
        "existing": False,
        "patience": 1.0,
        "queue": "jepsenvm.mirrored.demo",
        "began": BEGAN,
        "machine": "m",
        "log_sizes": {},
    }
    (folder / RESUME).write_text(json.dumps(resume))
    for node in NODES:
        logs = folder / "nodes" / node
        logs.mkdir(parents=True, exist_ok=True)
        (logs / "rabbit.log").write_text("".join(_log(node)))
    return folder


def append_op(journal: Journal, op: Op) -> None:
    """Append an op to a journal, which gives it a time of its own."""
    journal.append(
        op.type,
        op.f,
        op.value,
        process=op.process,
        node=op.node,
        error=op.error,
        data=op.data,
        offset=op.offset,
    )


def write_history(file: Path, ops: Iterable[Op], plan: str, *, closed: bool = True) -> None:
    """Write ops to a journal with their own times."""
    now = [0]
    journal = Journal(file, lambda: now[0], about={"plan": plan})
    for number, op in enumerate(ops, 1):
        now[0] = op.time
        append_op(journal, op)
        if number % BATCH_OPS == 0:
            journal.flush()
    if closed:
        journal.close()
    else:
        journal.flush()


def write_old_history(file: Path, ops: Sequence[Op], plan: str) -> None:
    """Write ops as the first version of the journal's format had them: without checksums."""
    columns = {
        "time": pa.array([op.time for op in ops], pa.int64()),
        "type": pa.array([TYPES.index(op.type) for op in ops], pa.int8()),
        "process": pa.array([op.process for op in ops], pa.int64()),
        "f": pa.array([op.f for op in ops]).dictionary_encode(),
        "value": pa.array([op.value for op in ops], pa.int64()),
        "offset": pa.array([op.offset for op in ops], pa.int64()),
        "node": pa.array([op.node for op in ops]).dictionary_encode(),
        "error": pa.array([op.error for op in ops], pa.utf8()),
        "data": pa.array([op.data and json.dumps(op.data) for op in ops], pa.utf8()),
    }
    metadata = {"jepsenvm": "history 1", "type": json.dumps(TYPES), "plan": plan}
    batch = pa.record_batch(columns, metadata=metadata)
    with pa.OSFile(str(file), "wb") as out, pa.ipc.new_stream(out, batch.schema) as stream:
        stream.write_batch(batch)


def _at(
    second: float, type_: Type, f: str, value: Any, process: int, node: str | None, **more: Any
) -> Op:
    return Op(type_, f, value, process, round(second * SECOND), node, **more)


def _load(random: Random, rate: int, *, lossy: bool) -> Iterator[Op]:
    value = 0
    for step in range(LOAD_S * rate):
        for index, node in enumerate(NODES):
            second = (step + random.random() * 0.5) / rate + index * 0.0005
            takes = random.lognormvariate(-5.5, 0.6)
            end: Type = "ok"
            cut_off = 30 <= second < 62 and node in MINORITY
            down = 78 <= second < 88 and node == "n4"
            if down or (cut_off and (not lossy or second < 34)):
                if step % rate:
                    continue
                end, takes = "info", 2.0
            elif 30 <= second < 34:
                takes += random.random() * 2
            error = "no confirm within 2 s" if end == "info" else None
            yield _at(second, "invoke", "enqueue", value, value + 10, node)
            yield _at(second + takes, end, "enqueue", value, value + 10, node, error=error)
            value += 1


def fault_ops() -> Iterator[Op]:
    """Yield the records of both faults, which are not sorted by time."""
    data = [{"fault": fault.fault} for fault in FAULTS]
    yield Op("info", SCHEDULE, process=NEMESIS, time=0, data=data)
    for fault in FAULTS:
        whole, cut = _matrix(frozenset()), _matrix(fault.cut)
        down = () if fault.isolates else ("n4",)
        proofs = {
            INJECT: {},
            IN_FORCE: {BEFORE: _evidence(whole, ()), DURING: _evidence(cut, down)},
            HEAL: {"at-end": _evidence(cut, down)},
            HEALED: {AFTER: _evidence(whole, ())},
        }
        instants = {
            INJECT: fault.begin - 0.5,
            IN_FORCE: fault.begin + 1.5,
            HEAL: fault.end - 0.5,
            HEALED: fault.end + 2.5,
        }
        fired = {IN_FORCE: fault.begin, HEALED: fault.end}
        for phase, second in instants.items():
            acted = fired.get(phase)
            yield _record(
                START if phase in (INJECT, IN_FORCE) else STOP,
                phase,
                second,
                fault,
                proofs[phase],
                {} if acted is None else {node: round(acted * SECOND) for node in NODES[:3]},
            )
        for phase, second in (
            (BEFORE, fault.begin - 2),
            (DURING, fault.begin + 5),
            (AFTER, fault.end + 4),
        ):
            split = fault.isolates and phase == DURING
            view = {
                "nodes": _views(split, down if phase == DURING else ()),
                "leader": fault.leaders[phase],
            }
            yield _record(VIEW, phase, second, fault, {"broker": view}, {})


def _record(
    f: str,
    phase: str,
    second: float,
    fault: Fault,
    proof: Mapping[str, Any],
    fired: Mapping[str, int],
) -> Op:
    data = {
        "phase": phase,
        "window": fault.number,
        "fault": fault.fault,
        "proof": proof,
        "fired": fired,
        "skew-ms": 1.4 if fired else 0.0,
        "stops-load": False,
        "isolates-nodes": fault.isolates,
    }
    return Op("info", f, process=NEMESIS, time=round(second * SECOND), data=data)


def _matrix(cut: frozenset[tuple[str, str]]) -> dict[str, dict[str, bool]]:
    return {a: {b: (a, b) not in cut for b in NODES if a != b} for a in NODES}


def _evidence(matrix: Mapping[str, Mapping[str, bool]], down: tuple[str, ...]) -> dict[str, Any]:
    up = {"runtime": {"pid": 1, "state": "S", "started": 1}, "amqp": True, "sessions": []}
    processes = {node: None if node in down else up for node in NODES}
    for node in down:
        processes[node] = {"runtime": None, "amqp": False, "sessions": []}
    return {"matrix": matrix, "blocked-ports": {}, "processes": processes}


def _views(split: bool, down: tuple[str, ...]) -> dict[str, Any]:
    views: dict[str, Any] = {}
    for node in NODES:
        side = MINORITY if node in MINORITY else MAJORITY
        running = [other for other in (side if split else NODES) if other not in down]
        others = [other for other in NODES if other not in side] if split else []
        views[node] = (
            None
            if node in down
            else {
                "running": running,
                "partitions": {node: others} if others else {},
            }
        )
    return views


def _recovery() -> list[Op]:
    data = {
        "seconds": 4.0,
        "trouble-seconds": 2.0,
        "deadline": 120,
        "restarted": [],
        "troubles": {},
    }
    return [Op("info", RECOVER, process=NEMESIS, time=round(RECOVERED_S * SECOND), data=data)]


def _drain(values: list[int]) -> Iterator[Op]:
    begin, end = DRAIN_S
    yield _at(begin, "invoke", "drain", None, DRAIN_PROCESS, None)
    for index, value in enumerate(values):
        second = begin + (end - begin) * (index + 1) / (len(values) + 2)
        node = NODES[index % 5]
        process = DRAIN_PROCESS + 1 + index % 5
        yield _at(second, "invoke", "dequeue", None, process, node)
        yield _at(second, "ok", "dequeue", value, process, node)
    data = {"received": len(values), "broker": "ready 0"}
    yield _at(end, "ok", "drain", None, DRAIN_PROCESS, None, data=data)


def _log(node: str) -> Iterator[str]:
    for second, level, text in (
        (5.0, "info", "accepting AMQP connection <0.700.0>"),
        (45.2, "info", f"rabbit on node rabbit@{'n3' if node in MINORITY else 'n1'} down"),
        (45.3, "error", "Partial partition detected: <b>not markup</b>"),
        (66.0, "info", "Autoheal request received from rabbit@n3 </script>"),
    ):
        stamp = datetime.fromtimestamp(BEGAN + second, UTC)
        zone = stamp.strftime("%Y-%m-%d %H:%M:%S.%f+00:00")
        yield f"{zone} [{level}] <0.44.0> {text}\n"
    if node == "n4":
        stamp = datetime.fromtimestamp(BEGAN + 89, UTC)
        yield f"{stamp.strftime('%Y-%m-%d %H:%M:%S.%f+00:00')} [info] <0.9.0> Starting RabbitMQ 3.10.8 on Erlang 25.2.3\n"


def bulk_history(enqueues: int, *, seconds: int = 600, lost_from: int | None = None) -> History:
    """Return a history of many enqueues by five nodes and their deliveries, as columns.

    Values from ``lost_from`` on never come back.
    """
    random = np.random.default_rng(5)
    began = np.sort(random.integers(0, seconds * SECOND, enqueues))
    ended = began + random.lognormal(15, 1, enqueues).astype(np.int64)
    values, nodes = np.arange(enqueues), np.arange(enqueues) % len(NODES)
    back = values if lost_from is None else values[:lost_from]
    columns = {
        "time": np.concatenate([began, ended, seconds * SECOND + back * 1000]),
        "type": np.repeat([0, 1, 1], [enqueues, enqueues, len(back)]),
        "process": np.concatenate([values, values, np.full(len(back), DRAIN_PROCESS)]),
        "f": np.repeat([0, 0, 1], [enqueues, enqueues, len(back)]),
        "value": np.concatenate([values, values, back]),
        "node": np.concatenate([nodes, nodes, back % len(NODES)]),
    }
    order = np.argsort(columns["time"], kind="stable")
    columns = {name: column[order] for name, column in columns.items()}
    rows = len(order)
    columns["offset"] = np.full(rows, -1)
    columns["has_value"], columns["has_data"] = np.ones(rows, bool), np.zeros(rows, bool)

    def chunks(_: History) -> Iterator[Chunk]:
        for start in range(0, rows, CHUNK_ROWS):
            part = {name: column[start : start + CHUNK_ROWS] for name, column in columns.items()}
            yield Chunk(read=part.__getitem__, data=lambda _: None, error=lambda _: None)

    return History(chunks, ["enqueue", "dequeue"], list(NODES))
