"""Small runs with known anomalies, as ops, and the files that hold them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any, Final

from jepsenvm.checkers.topology_things import binding
from jepsenvm.checkers.total_queue import END
from jepsenvm.history.edn import Keyword, written
from jepsenvm.history.journal import Journal
from jepsenvm.history.nemesis_records import RECOVER, SCHEDULE
from jepsenvm.history.op import NEMESIS, Op
from jepsenvm.workloads.drain import DRAIN_PROCESS

NODES: Final = ("n1", "n2", "n3")
STEP_NS: Final = 1_000_000

Ops = list[Op]

PLANS: Final[Mapping[str, str]] = {
    "queue": "workload: queue\nqueue-type: quorum\nnemesis: none\nseed: 7\n",
    "order": "workload: order\nqueue-type: quorum\nnemesis: none\nconsumers: 2\nseed: 7\n",
    "stream": "workload: stream\nqueue-type: stream\nnemesis: none\nseed: 7\n",
    "redelivery": "workload: redelivery\nqueue-type: quorum\nnemesis: none\nseed: 7\n",
    "dead-letter": "workload: dead-letter\nqueue-type: quorum\nnemesis: none\nseed: 7\n",
    "lock": "workload: lock\nqueue-type: quorum\nnemesis: none\nseed: 7\n",
    "topology": "workload: topology\nqueue-type: quorum\nnemesis: none\nseed: 7\n",
}


def stored_ops(random: Random, workload: str) -> Ops:
    """Return the ops of a small run; about one run in three has an anomaly."""
    planned = Op("info", SCHEDULE, process=NEMESIS, data=[])
    content: dict[str, Any] = {
        "seconds": 1.0,
        "trouble-seconds": None,
        "deadline": 120,
        "restarted": [],
        "troubles": {},
    }
    recovered = Op("info", RECOVER, process=NEMESIS, data=content)
    load, drain = _LOADS[workload](random)
    return _timed([planned, *load, recovered, *drain])


def _timed(ops: Sequence[Op]) -> Ops:
    return [
        Op(
            op.type,
            op.f,
            op.value,
            op.process,
            row * STEP_NS,
            op.node,
            op.error,
            op.data,
            op.offset,
        )
        for row, op in enumerate(ops)
    ]


def _published(random: Random, ends: Sequence[str] = ("ok",) * 8 + ("fail", "info")) -> Ops:
    ops: Ops = []
    for value in range(random.randint(4, 25)):
        node = NODES[value % 3]
        end = "ok" if value < 3 else random.choice(ends)
        process = value if end == "info" else 1000 + value % 3
        ops += [Op("invoke", "enqueue", value, process, node=node)]
        ops += [Op(end, "enqueue", value, process, node=node)]  # type: ignore[arg-type]  # one of TYPES
    return ops


def _kept(ops: Ops) -> list[int]:
    return [op.value for op in ops if op.f == "enqueue" and op.type == "ok"]


def _delivered(values: Sequence[int], process: int, **data: Any) -> Ops:
    ops: Ops = []
    for value in values:
        ops += [Op("invoke", "dequeue", None, process, node="n1")]
        ops += [Op("ok", "dequeue", value, process, node="n1", data=data or None)]
    return ops


def _with_anomaly(random: Random, values: list[int]) -> list[int]:
    """Return the values as they are delivered: one lost, invented or doubled in a run of three."""
    kind = random.choice(("none",) * 6 + ("lost", "unexpected", "duplicated"))
    values = list(values)
    if kind == "lost":
        values.remove(random.choice(values))
    elif kind == "unexpected":
        values.append(4711)
    elif kind == "duplicated":
        values.append(random.choice(values))
    return values


def _drained(deliveries: Ops) -> Ops:
    drain = Op("invoke", "drain", process=DRAIN_PROCESS)
    ok = Op("ok", "drain", process=DRAIN_PROCESS, data={"received": len(deliveries) // 2})
    return [drain, *deliveries, ok]


def _queue(random: Random) -> tuple[Ops, Ops]:
    load = _published(random)
    return load, _drained(_delivered(_with_anomaly(random, _kept(load)), DRAIN_PROCESS + 1))


def _consumed(random: Random) -> tuple[Ops, Ops]:
    load = _published(random)
    values = _with_anomaly(random, _kept(load))
    middle = random.randint(2, len(values)) if len(values) > 2 else len(values)
    consumed = _delivered(values[:middle], 2000)
    return [*load, *consumed], _drained(_delivered(values[middle:], DRAIN_PROCESS + 1))


def _redelivery(random: Random) -> tuple[Ops, Ops]:
    load = _published(random)
    values = _with_anomaly(random, _kept(load))
    returned = _delivered(values[:1], 2000, returned=True)
    again = _delivered(values[:1], DRAIN_PROCESS + 1, redelivered=True)
    rest = _delivered(values[1:], DRAIN_PROCESS + 1)
    return [*load, *returned], _drained([*again, *rest])


def _stream(random: Random) -> tuple[Ops, Ops]:
    load = _published(random)
    end = [Op(kind, "enqueue", END, DRAIN_PROCESS + 4, node="n1") for kind in ("invoke", "ok")]
    drain: Ops = list(end)
    values = _kept(load)
    different = random.choice((None,) * 5 + tuple(range(3)))
    for index, node in enumerate(NODES):
        process = DRAIN_PROCESS + index
        records = _with_anomaly(random, values) if index == different else values
        drain.append(Op("invoke", "end", process=process, node=node))
        for offset, value in enumerate([*records, END]):
            drain.append(Op("ok", "read", value, process, node=node, offset=offset))
        drain.append(Op("ok", "end", process=process, node=node, offset=len(records)))
    return load, drain


def _lock(random: Random) -> tuple[Ops, Ops]:
    load: Ops = []
    turns = random.randint(3, 15)
    doubled = random.randrange(3 * turns)
    for turn in range(turns):
        process, node = turn % 3, NODES[turn % 3]
        load += [Op("invoke", "acquire", None, process, node=node)]
        load += [Op("ok", "acquire", turn, process, node=node)]
        if turn == doubled:
            other = (process + 1) % 3
            load += [Op("invoke", "acquire", None, other, node=NODES[other])]
            load += [Op("ok", "acquire", turn, other, node=NODES[other])]
        load += [Op("invoke", "release", None, process, node=node)]
        load += [Op("ok", "release", None, process, node=node)]
    tokens = random.choice((1,) * 9 + (0,))
    drain: Ops = [
        Op("invoke", "tokens", process=DRAIN_PROCESS),
        Op("ok", "tokens", tokens, DRAIN_PROCESS, data={"broker": "ready 1"}),
    ]
    return load, drain


def _topology(random: Random) -> tuple[Ops, Ops]:
    queues, exchange = list(range(1, random.randint(4, 8))), 100
    bindings = [binding(exchange, queue) for queue in queues]
    deleted = random.choice(queues[:-1])
    load = _changes([("declare-exchange", exchange), *(("declare-queue", q) for q in queues)])
    load += _changes([*(("bind", number) for number in bindings), ("delete-queue", deleted)])
    load += _changes([("declare-exclusive", 50), ("declare-auto-delete", 51), ("consume", 51)])
    load += _changes([("cancel", 51), ("close", None)])
    kept = [queue for queue in queues if queue != deleted]
    drain: Ops = []
    different = random.randrange(len(NODES))
    for index, node in enumerate(NODES):
        have = _with_anomaly(random, kept) if index == different else kept
        data = {
            "listed": {
                "queues": have,
                "exchanges": [exchange],
                "bindings": [binding(exchange, q) for q in kept],
            },
            "found": {"queues": have, "exchanges": [exchange]},
            "refused": [],
            "odd": [],
        }
        process = DRAIN_PROCESS + index
        drain.append(Op("invoke", "read", process=process, node=node))
        drain.append(Op("ok", "read", process=process, node=node, data=data))
    for number in (*queues, *bindings, 50, 51):
        works = number in kept or number in [binding(exchange, q) for q in kept]
        drain.append(Op("invoke", "probe", number, DRAIN_PROCESS + 9, node="n1"))
        end = Op("ok" if works else "fail", "probe", number, DRAIN_PROCESS + 9, node="n1")
        drain.append(end if works else replace(end, data={"routed": False}))
    return load, drain


def _changes(steps: Sequence[tuple[str, int | None]]) -> Ops:
    return [Op(type_, f, number, 0, node="n1") for f, number in steps for type_ in ("invoke", "ok")]


_LOADS: Final[Mapping[str, Callable[[Random], tuple[Ops, Ops]]]] = {
    "queue": _queue,
    "order": _consumed,
    "stream": _stream,
    "redelivery": _redelivery,
    "dead-letter": _queue,
    "lock": _lock,
    "topology": _topology,
}


def write_run(folder: Path, workload: str, ops: Sequence[Op]) -> None:
    """Write a run's directory: the plan, the history and a log of each node."""
    folder.mkdir(parents=True)
    (folder / "plan.yml").write_text(PLANS[workload], encoding="utf-8")
    times = iter([op.time for op in ops])
    journal = Journal(folder / "history.arrow", lambda: next(times))
    for row, op in enumerate(ops):
        journal.append(
            op.type, op.f, op.value, process=op.process, node=op.node, error=op.error,
            data=op.data, offset=op.offset,
        )  # fmt: skip
        if row % 20 == 19:
            journal.flush()
    journal.close()
    for node in NODES:
        logs = folder / "nodes" / node
        logs.mkdir(parents=True)
        (logs / f"rabbit@{node}.log").write_text(
            "2024-01-01 00:00:00.000000+00:00 [info] <0.1.0> started\n", encoding="utf-8"
        )


# Histories of other programs.


def foreign_ops(random: Random, workload: str) -> Ops:
    """Return the ops of a history that another program recorded."""
    return _timed(_FOREIGN[workload](random))


def _foreign_queue(random: Random) -> Ops:
    load = _published(random)
    values = _with_anomaly(random, _kept(load))
    middle = random.randrange(len(values))
    consumed = _delivered(values[:middle], 2000)
    if random.random() < 0.5:
        drain = [Op("invoke", "drain", None, 2001), Op("ok", "drain", values[middle:], 2001)]
        return [*load, *consumed, *drain]
    return [*load, *consumed, *_drained(_delivered(values[middle:], 2001))]


def _foreign_set(random: Random) -> Ops:
    ops: Ops = []
    for value in range(random.randint(3, 20)):
        ops += [Op("invoke", "add", value, value % 3), Op("ok", "add", value, value % 3)]
    values = _with_anomaly(random, [op.value for op in ops if op.type == "ok"])
    return [*ops, Op("invoke", "read", None, 9), Op("ok", "read", values, 9)]


def _foreign_lock(random: Random) -> Ops:
    return _lock(random)[0]


def _foreign_register(random: Random) -> Ops:
    ops: Ops = []
    state: Any = None
    for turn in range(random.randint(4, 20)):
        process = turn % 3
        f = random.choice(("read", "write", "cas")) if state is not None else "write"
        if f == "write":
            state = random.randrange(5)
            ops += [Op("invoke", f, state, process), Op("ok", f, state, process)]
        elif f == "read":
            value = state if random.random() > 0.03 else 9
            ops += [Op("invoke", f, None, process), Op("ok", f, value, process)]
        else:
            new = random.randrange(5)
            ops += [Op("invoke", f, [state, new], process), Op("ok", f, [state, new], process)]
            state = new
    return ops


_FOREIGN: Final[Mapping[str, Callable[[Random], Ops]]] = {
    "queue": _foreign_queue,
    "set": _foreign_set,
    "lock": _foreign_lock,
    "register": _foreign_register,
}
FOREIGN: Final = tuple(_FOREIGN)


def _entries(ops: Sequence[Op]) -> Iterator[dict[str, Any]]:
    for index, op in enumerate(ops):
        entry: dict[str, Any] = {"index": index, "time": op.time, "type": op.type}
        entry |= {"process": op.process, "f": op.f, "value": op.value}
        if op.process == NEMESIS:
            entry["process"] = "nemesis"
        yield entry


def _edn_map(entry: Mapping[str, Any]) -> str:
    names = ("type", "f")
    pairs = {
        Keyword(f":{key}"): Keyword(f":{value}") if key in names or value == "nemesis" else value
        for key, value in entry.items()
    }
    return written(pairs)


FORMATS: Final[Mapping[str, Callable[[Sequence[Op]], str]]] = {
    "jsonl": lambda ops: "".join(json.dumps(entry) + "\n" for entry in _entries(ops)),
    "json": lambda ops: json.dumps(list(_entries(ops))),
    "edn": lambda ops: "".join(_edn_map(entry) + "\n" for entry in _entries(ops)),
    "vector.edn": lambda ops: "[" + "\n".join(map(_edn_map, _entries(ops))) + "]\n",
}
"""The text of a history by the format, as other programs write it."""
