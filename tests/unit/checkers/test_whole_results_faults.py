"""Faults: everything that the checkers of faults, load, latency and availability say."""

from __future__ import annotations

from functools import partial
from typing import Any

from jepsenvm.checkers.availability import availability
from jepsenvm.checkers.fault_intervals import fault_intervals
from jepsenvm.checkers.faults import faults
from jepsenvm.checkers.latency import latency
from jepsenvm.checkers.vacuity import vacuity
from jepsenvm.history.nemesis_records import HEAL, HEALED, IN_FORCE, INJECT, SCHEDULE, VIEW
from jepsenvm.history.op import NEMESIS, Op
from jepsenvm.history.table import from_ops
from jepsenvm.history.units import SECOND
from tests.unit.builders import fault_records, nemesis_record, recovery_record, schedule
from tests.unit.builders import op_at as at
from tests.unit.checkers.whole_results import whole

SPLIT = {
    "kind": "partition", "name": "split", "text": "n1 | n2",
    "nodes": ["n1"], "grudge": {"n1": ["n2"], "n2": ["n1"]},
}  # fmt: skip
KILL = {"kind": "kill", "name": "kill", "text": "n2", "nodes": ["n2"]}


def ns(second: float) -> int:
    return int(second * SECOND)


def done(
    began: float,
    ended: float,
    value: int = 1,
    *,
    f: str = "enqueue",
    process: int = 1,
    node: str | None = "n1",
    type_: Any = "ok",
) -> list[Op]:
    """Return a completed operation."""
    return [at(began, process, "invoke", f, value, node), at(ended, process, type_, f, value, node)]


def fault(number: int, *seconds: float, fault: Any = SPLIT, **data: Any) -> list[Op]:
    """Return the records of a fault, at the seconds of its phases."""
    times = dict(zip((INJECT, IN_FORCE, HEAL, HEALED), map(ns, seconds), strict=False))
    return fault_records(times, number=number, fault=fault, **data)


def record(phase: Any, second: float, number: Any = 1, **data: Any) -> list[Op]:
    """Return one record of a fault, whose data may be anything."""
    return [nemesis_record(phase, ns(second), number=number, **data)]


def by_time(*parts: list[Op]) -> list[Op]:
    return sorted((op for part in parts for op in part), key=lambda op: op.time)


def test_two_proven_faults() -> None:
    assert whole(
        faults,
        [schedule(2)],
        by_time(
            done(1, 1.5),
            record(INJECT, 2, fault=SPLIT),
            record(
                IN_FORCE,
                4.00049,
                fault=SPLIT,
                fired={"n1": ns(2.5), "n2": ns(2.75)},
                **{"skew-ms": 250.5},
            ),
            done(2.74, 2.9),
            done(2.75, 2.8, process=2),
            done(5.999, 9, process=3),
            done(6, 6.5, process=4),
            done(3, 3.5, process=5, f="dequeue"),
            done(3, 3.5, process=6, type_="fail"),
            done(3, 3.5, process=7, f="acquire"),
            record(HEAL, 6, fault=SPLIT),
            record(HEALED, 8, fault=SPLIT, fired={"n1": ns(7)}),
            fault(2, 10, 11, 12, 13, fault=KILL),
        ),
    ) == (
        "valid",
        [],
        {
            "planned-count": 2,
            "windows": [
                {
                    "window": 1,
                    "fault": {
                        "kind": "partition",
                        "name": "split",
                        "text": "n1 | n2",
                        "nodes": ["n1"],
                        "grudge": {"n1": ["n2"], "n2": ["n1"]},
                    },
                    "injected": 2.0,
                    "in-force": 2.75,
                    "heal-began": 6.0,
                    "healed": 8.0,
                    "proven": True,
                    "skew-ms": 250.5,
                    "acknowledged-count": 3,
                },
                {
                    "window": 2,
                    "fault": {"kind": "kill", "name": "kill", "text": "n2", "nodes": ["n2"]},
                    "injected": 10.0,
                    "in-force": 11.0,
                    "heal-began": 12.0,
                    "healed": 13.0,
                    "proven": True,
                    "skew-ms": None,
                    "acknowledged-count": 0,
                },
            ],
        },
    )


def test_other_acknowledgements() -> None:
    checker = partial(faults, acknowledgements=["add"])
    assert whole(
        checker, [schedule(1)], by_time(done(3, 3.5, f="add"), fault(1, 1, 2, 4, 5)), done(6, 7)
    ) == (
        "valid",
        [],
        {
            "planned-count": 1,
            "windows": [
                {
                    "window": 1,
                    "fault": {
                        "kind": "partition",
                        "name": "split",
                        "text": "n1 | n2",
                        "nodes": ["n1"],
                        "grudge": {"n1": ["n2"], "n2": ["n1"]},
                    },
                    "injected": 1.0,
                    "in-force": 2.0,
                    "heal-began": 4.0,
                    "healed": 5.0,
                    "proven": True,
                    "skew-ms": None,
                    "acknowledged-count": 1,
                }
            ],
        },
    )


def reasons(*parts: list[Op], planned: int = 1) -> list[str]:
    """Return why faults are not proven, in a history with load."""
    verdict, given, _ = whole(faults, [schedule(planned)], done(0.1, 0.2), *parts)
    assert verdict == ("unknown" if given else "valid")
    return given


def test_faults_that_ended_early() -> None:
    assert [
        reasons(fault(1, 1)),
        reasons(fault(1, 1, 2)),
        reasons(fault(1, 1, 2, 3)),
        reasons(fault(1, 1, 2, 3, 4)),
        reasons(record(HEAL, 5)),
        reasons(record(HEALED, 5)),
        reasons(record(INJECT, 1), record(HEAL, 2)),
        reasons(record(INJECT, 1), record(IN_FORCE, 2), record(HEALED, 3)),
        reasons(record(IN_FORCE, 2), record(HEALED, 3)),
        reasons(record(INJECT, 1, error="iptables failed"), record(HEALED, 3)),
    ] == [
        ["fault 1 (split {n1 | n2}) was never seen in force"],
        ["fault 1 (split {n1 | n2}) was never seen healed"],
        ["fault 1 (split {n1 | n2}) was never seen healed"],
        [],
        ["fault 1 (unnamed {}) is not proven: it has no record: inject"],
        ["fault 1 (unnamed {}) is not proven: it has no record: heal; it has no record: inject"],
        ["fault 1 (unnamed {}) was never seen in force"],
        ["fault 1 (unnamed {}) is not proven: it has no record: heal"],
        ["fault 1 (unnamed {}) is not proven: it has no record: heal; it has no record: inject"],
        ["fault 1 (unnamed {}) is not proven: iptables failed"],
    ]


def test_schedules_that_say_otherwise() -> None:
    assert [
        reasons(fault(1, 1, 2, 3, 4), planned=3),
        reasons(fault(1, 1, 2, 3, 4), fault(7, 5, 6, 7, 8), planned=1),
        reasons(fault(1, 1, 2, 3, 4), [Op("info", SCHEDULE, process=NEMESIS, data={"a": 1})]),
        reasons(planned=0),
        whole(faults, fault(1, 1, 2, 3, 4)),
        whole(faults),
    ] == [
        ["only 1 of 3 planned faults were injected"],
        [],
        ["the record of the planned faults cannot be read: {'a': 1}"],
        [],
        (
            "unknown",
            [
                "the history does not record which faults were planned",
                "no operation was ever acknowledged, so there was nothing to lose",
            ],
            {
                "planned-count": None,
                "windows": [
                    {
                        "window": 1,
                        "fault": {
                            "kind": "partition",
                            "name": "split",
                            "text": "n1 | n2",
                            "nodes": ["n1"],
                            "grudge": {"n1": ["n2"], "n2": ["n1"]},
                        },
                        "injected": 1.0,
                        "in-force": 2.0,
                        "heal-began": 3.0,
                        "healed": 4.0,
                        "proven": True,
                        "skew-ms": None,
                        "acknowledged-count": 0,
                    }
                ],
            },
        ),
        (
            "unknown",
            [
                "the history does not record which faults were planned",
                "no operation was ever acknowledged, so there was nothing to lose",
            ],
            {"planned-count": None, "windows": []},
        ),
    ]


def test_records_that_contradict_each_other() -> None:
    other = {**SPLIT, "text": "n2 | n1"}
    assert [
        reasons(fault(1, 1, 2, 3, 4), record(HEALED, 5)),
        reasons(fault(1, 1, 2), record(HEALED, 4), record(HEAL, 5)),
        reasons(fault(1, 1, 5, 3, 6)),
        reasons(
            record(INJECT, 1, fault=SPLIT),
            record(IN_FORCE, 2, fault=other),
            record(HEAL, 3),
            record(HEALED, 4),
        ),
        reasons(fault(1, 1, 2, 3, 4, fault={"kind": "a"}), record("other", 5, fault={"kind": "b"})),
        reasons(fault(1, 1, 2, 3, 4), record("other", 5)),
    ] == [
        ["fault 1 (split {n1 | n2}) is not proven: it was recorded twice: healed"],
        [
            "fault 1 (split {n1 | n2}) is not proven: its phases are recorded in a "
            "wrong order: inject, in-force, healed, heal"
        ],
        ["fault 1 (split {n1 | n2}) is not proven: the times of its records go backwards"],
        ["fault 1 (split {n1 | n2}) is not proven: two faults have this number"],
        ["fault 1 (unnamed {}) is not proven: two faults have this number"],
        [],
    ]


def test_times_outside_of_the_records() -> None:
    def fired(begin: float, end: float) -> list[str]:
        return reasons(
            record(INJECT, 10),
            record(IN_FORCE, 12, fired={"n1": ns(begin), "n2": ns(11)}),
            record(HEAL, 20),
            record(HEALED, 22, fired={"n3": ns(end)}),
        )

    assert [
        fired(9.5, 19.5),
        fired(12.5, 22.5),
        fired(9.4999, 19.4999),
        fired(12.5001, 22.5001),
    ] == [
        [],
        [],
        [
            "fault 1 (unnamed {}) is not proven: n1 reports to have acted at 9.500 "
            "s, outside of the records inject and in-force; n3 reports to have acted "
            "at 19.500 s, outside of the records heal and healed"
        ],
        [
            "fault 1 (unnamed {}) is not proven: n1 reports to have acted at 12.500 "
            "s, outside of the records inject and in-force; n3 reports to have acted "
            "at 22.500 s, outside of the records heal and healed"
        ],
    ]
    assert reasons(record(IN_FORCE, 12, fired={"n1": 1}), record(HEALED, 22)) == [
        "fault 1 (unnamed {}) is not proven: it has no record: heal; it has no record: inject"
    ]


def test_records_that_cannot_be_read() -> None:
    def injected(**data: Any) -> list[str]:
        return reasons(
            record(INJECT, 1, **data), record(IN_FORCE, 2), record(HEAL, 3), record(HEALED, 4)
        )

    assert [
        injected(fault=7),
        injected(fault={"kind": 1, "name": 2, "text": 3, "nodes": "n1", "grudge": ["n1"]}),
        injected(fault={"nodes": ["n1", 5], "grudge": {"n1": "n2"}, "other": 1}),
        injected(fired=[1]),
        injected(fired={"n1": "soon", "n2": True, "n3": float("nan"), "n4": 2.0**63, "n5": None}),
        injected(fired={"n1": -(2**63), "n2": 2**63 - 1, "n3": 1.5e9}),
        injected(fired=None),
        reasons(record(5, 1), fault(1, 1, 2, 3, 4)),
        reasons(fault(1, 1, 2, 3, 4), record(HEALED, 5, number=0)),
        reasons(fault(1, 1, 2, 3, 4), record(HEALED, 5, number="1")),
        reasons(fault(1, 1, 2, 3, 4), record(HEALED, 5, number=True)),
        reasons(fault(1, 1, 2, 3, 4), [Op("info", "start", process=NEMESIS, data=[1])]),
        reasons(fault(1, 1, 2, 3, 4), [Op("info", "stop", process=NEMESIS, data={"a": 1})]),
        reasons(fault(1, 1, 2, 3, 4), [Op("info", "start", process=NEMESIS)]),
        reasons(fault(1, 1, 2, 3, 4), [Op("info", "other", process=NEMESIS, data={"a": 1})]),
    ] == [
        ["fault 1 (unnamed {}) is not proven: the fault of a record is 7"],
        [
            "fault 1 (unnamed {}) is not proven: the key kind of its fault is 1; the "
            "key name of its fault is 2; the key text of its fault is 3; the key "
            "nodes of its fault is 'n1'; the key grudge of its fault is ['n1']"
        ],
        [
            "fault 1 (unnamed {}) is not proven: the key nodes of its fault is "
            "['n1', 5]; the key grudge of its fault is {'n1': 'n2'}"
        ],
        ["fault 1 (unnamed {}) is not proven: the times at which nodes acted are [1]"],
        [
            "fault 1 (unnamed {}) is not proven: the time at which n1 acted is "
            "'soon'; the time at which n2 acted is True; the time at which n3 acted "
            "is nan; the time at which n4 acted is 9.223372036854776e+18; the time "
            "at which n5 acted is None"
        ],
        ["fault 1 (unnamed {}) is not proven: the time at which n1 acted is -9223372036854775808"],
        [],
        ["fault 1 (split {n1 | n2}) is not proven: the phase of a record is 5"],
        ["fault 0 (unnamed {}) is not proven: the number of a record is 0"],
        ["fault 0 (unnamed {}) is not proven: the number of a record is '1'"],
        ["fault 0 (unnamed {}) is not proven: the number of a record is True"],
        [
            "fault 0 (unnamed {}) is not proven: the phase of a record is None; the "
            "number of a record is None"
        ],
        [
            "fault 0 (unnamed {}) is not proven: the phase of a record is None; the "
            "number of a record is None"
        ],
        [],
        [],
    ]


def test_a_title_is_shortened() -> None:
    assert reasons(record(INJECT, 1, fault={"name": "x", "text": "y" * 300})) == [
        "fault 1 (x "
        "{yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy... "
        "was never seen in force"
    ]


def test_figures_of_records_that_cannot_be_read() -> None:
    assert whole(
        faults,
        record(INJECT, 1, fault={"kind": "kill", "name": 5, "nodes": ["n1"], "more": 1}),
        record(IN_FORCE, 3, fired={"n1": ns(0.75)}, **{"skew-ms": "7"}),
        record(HEALED, 6, fired={"n1": ns(5.25), "n2": ns(5.5)}),
        [Op("info", "start", process=NEMESIS, time=ns(9), data={"phase": HEAL, "fault": {}})],
    ) == (
        "unknown",
        [
            "fault 0 (unnamed {}) is not proven: the number of a record is None",
            "fault 1 (unnamed {}) is not proven: the key name of its fault is 5",
            "the history does not record which faults were planned",
            "no operation was ever acknowledged, so there was nothing to lose",
        ],
        {
            "planned-count": None,
            "windows": [
                {
                    "window": 0,
                    "fault": {},
                    "injected": 9.0,
                    "in-force": None,
                    "heal-began": 9.0,
                    "healed": None,
                    "proven": False,
                    "skew-ms": None,
                    "acknowledged-count": 0,
                },
                {
                    "window": 1,
                    "fault": {"kind": "kill", "nodes": ["n1"], "more": 1},
                    "injected": 1.0,
                    "in-force": 1.0,
                    "heal-began": None,
                    "healed": 6.0,
                    "proven": False,
                    "skew-ms": None,
                    "acknowledged-count": 0,
                },
            ],
        },
    )


def test_faults_without_load() -> None:
    no_load = {"stops-load": True, "fired": {"n2": ns(11)}}
    assert whole(
        vacuity,
        by_time(
            done(0.5, 0.9, node="n3"),
            fault(1, 1, 2, 3, 4),
            done(1.999, 2.5),
            done(3, 3.5, process=2),
            done(2.5, 2.6, f="dequeue", process=3),
            fault(2, 10, 11, 12, 13, fault=KILL, **no_load),
            fault(3, 20, 21, 22, 23, fault=KILL),
            done(21, 30, node="n2", process=4),
            done(21.999, 30, node="n1", process=5),
            done(21.5, 30, node=None, process=6),
            fault(4, 40),
            fault(5, 50, 51),
            done(60, 61, node="n3", process=7),
        ),
    ) == (
        "unknown",
        [
            "fault 1 (split {n1 | n2}) tested nothing: no operation that began while "
            "it was in force was acknowledged"
        ],
        {
            "windows": [
                {"window": 1, "sides": [{"nodes": ["n1", "n2", "n3"], "acknowledged-count": 0}]},
                {
                    "window": 2,
                    "sides": [
                        {"nodes": ["n2"], "acknowledged-count": 0},
                        {"nodes": ["n1", "n3"], "acknowledged-count": 0},
                    ],
                },
                {
                    "window": 3,
                    "sides": [
                        {"nodes": ["n2"], "acknowledged-count": 1},
                        {"nodes": ["n1", "n3"], "acknowledged-count": 1},
                    ],
                },
                {"window": 4, "sides": [{"nodes": ["n1", "n2", "n3"], "acknowledged-count": 0}]},
                {"window": 5, "sides": [{"nodes": ["n1", "n2", "n3"], "acknowledged-count": 1}]},
            ]
        },
    )


def test_a_fault_without_load_that_should_have_some() -> None:
    checker = partial(vacuity, acknowledgements=["add"])
    stops_load = {"stops-load": "yes", "fired": {"n1": ns(2)}}
    assert whole(checker, by_time(fault(1, 1, 2, 3, 4, **stops_load), done(2.5, 2.6))) == (
        "unknown",
        [
            "fault 1 (split {n1 | n2}) tested nothing: no operation that began while "
            "it was in force was acknowledged"
        ],
        {
            "windows": [
                {
                    "window": 1,
                    "sides": [
                        {"nodes": ["n1"], "acknowledged-count": 0},
                        {"nodes": ["n2"], "acknowledged-count": 0},
                    ],
                }
            ]
        },
    )
    assert whole(checker, by_time(fault(1, 1, 2, 3, 4), done(2, 9, f="add", node="n2"))) == (
        "valid",
        [],
        {
            "windows": [
                {
                    "window": 1,
                    "sides": [
                        {"nodes": ["n1"], "acknowledged-count": 0},
                        {"nodes": ["n2"], "acknowledged-count": 1},
                    ],
                }
            ]
        },
    )


def test_an_isolating_fault_of_another_kind() -> None:
    split = {**SPLIT, "kind": "other"}
    apart = {**SPLIT, "grudge": {"n1": ["n2", "n3"], "n3": ["n2"]}}
    load = done(2.5, 2.6, node="n4")
    assert [
        whole(vacuity, by_time(fault(1, 1, 2, 3, 4, fault=split), load))[2],
        whole(
            vacuity, by_time(fault(1, 1, 2, 3, 4, fault=split, **{"isolates-nodes": True}), load)
        )[2],
        whole(
            vacuity, by_time(fault(1, 1, 2, 3, 4, fault=SPLIT, **{"isolates-nodes": False}), load)
        )[2],
        whole(vacuity, by_time(fault(1, 1, 2, 3, 4, fault=apart)))[2],
        whole(vacuity, by_time(fault(1, 1, 2, 3, 4, fault={}), load))[2],
        whole(vacuity, by_time(fault(1, 1, 2, 3, 4, fault={"nodes": ["n4"]}), load))[2],
    ] == [
        {
            "windows": [
                {
                    "window": 1,
                    "sides": [
                        {"nodes": ["n1"], "acknowledged-count": 0},
                        {"nodes": ["n2", "n4"], "acknowledged-count": 1},
                    ],
                }
            ]
        },
        {
            "windows": [
                {"window": 1, "sides": [{"nodes": ["n1", "n2", "n4"], "acknowledged-count": 1}]}
            ]
        },
        {
            "windows": [
                {
                    "window": 1,
                    "sides": [
                        {"nodes": ["n1"], "acknowledged-count": 0},
                        {"nodes": ["n2", "n4"], "acknowledged-count": 1},
                    ],
                }
            ]
        },
        {
            "windows": [
                {
                    "window": 1,
                    "sides": [
                        {"nodes": ["n1"], "acknowledged-count": 0},
                        {"nodes": ["n2"], "acknowledged-count": 0},
                        {"nodes": ["n3"], "acknowledged-count": 0},
                    ],
                }
            ]
        },
        {"windows": [{"window": 1, "sides": [{"nodes": ["n4"], "acknowledged-count": 1}]}]},
        {"windows": [{"window": 1, "sides": [{"nodes": ["n4"], "acknowledged-count": 1}]}]},
    ]


def test_latencies_around_faults() -> None:
    assert whole(
        latency,
        by_time(
            done(0, 0.0015),
            done(0.5, 1, process=2),
            done(0.6, 0.9999, process=3),
            fault(2, 1, 1.1, 1.2, 2),
            done(2, 2.25, process=4),
            done(1.9999, 2.5, process=5),
            done(3, 4, process=6),
            done(3, 5, process=7, f="dequeue"),
            done(3, 5, process=8, type_="fail"),
            fault(1, 6, 6.1),
            done(5, 5.9, process=9),
            done(7, 7.1, process=10),
        ),
    ) == (
        "valid",
        [],
        {
            "by-f": {
                "dequeue": {
                    "all": {
                        "count": 1,
                        "p50-ms": 2000.0,
                        "p95-ms": 2000.0,
                        "p99-ms": 2000.0,
                        "max-ms": 2000.0,
                    },
                    "windows": [
                        {
                            "window": 2,
                            "before": {"count": 0},
                            "within": {"count": 0},
                            "after": {
                                "count": 1,
                                "p50-ms": 2000.0,
                                "p95-ms": 2000.0,
                                "p99-ms": 2000.0,
                                "max-ms": 2000.0,
                            },
                        },
                        {
                            "window": 1,
                            "before": {
                                "count": 1,
                                "p50-ms": 2000.0,
                                "p95-ms": 2000.0,
                                "p99-ms": 2000.0,
                                "max-ms": 2000.0,
                            },
                            "within": {"count": 0},
                            "after": {"count": 0},
                        },
                    ],
                },
                "enqueue": {
                    "all": {
                        "count": 8,
                        "p50-ms": 399.9,
                        "p95-ms": 1000.0,
                        "p99-ms": 1000.0,
                        "max-ms": 1000.0,
                    },
                    "windows": [
                        {
                            "window": 2,
                            "before": {
                                "count": 2,
                                "p50-ms": 1.5,
                                "p95-ms": 399.9,
                                "p99-ms": 399.9,
                                "max-ms": 399.9,
                            },
                            "within": {
                                "count": 2,
                                "p50-ms": 500.0,
                                "p95-ms": 500.1,
                                "p99-ms": 500.1,
                                "max-ms": 500.1,
                            },
                            "after": {
                                "count": 3,
                                "p50-ms": 900.0,
                                "p95-ms": 1000.0,
                                "p99-ms": 1000.0,
                                "max-ms": 1000.0,
                            },
                        },
                        {
                            "window": 1,
                            "before": {
                                "count": 3,
                                "p50-ms": 900.0,
                                "p95-ms": 1000.0,
                                "p99-ms": 1000.0,
                                "max-ms": 1000.0,
                            },
                            "within": {
                                "count": 1,
                                "p50-ms": 100.0,
                                "p95-ms": 100.0,
                                "p99-ms": 100.0,
                                "max-ms": 100.0,
                            },
                            "after": {"count": 0},
                        },
                    ],
                },
            }
        },
    )


def test_quantiles_of_latencies() -> None:
    ops = by_time(
        *(
            done(number * 10, number * 10 + (number + 1) / 1000, process=number)
            for number in range(100)
        )
    )
    assert whole(latency, ops)[2] == {
        "by-f": {
            "enqueue": {
                "all": {
                    "count": 100,
                    "p50-ms": 50.0,
                    "p95-ms": 95.0,
                    "p99-ms": 99.0,
                    "max-ms": 100.0,
                },
                "windows": [],
            }
        }
    }
    assert whole(latency) == ("valid", [], {"by-f": {}})


LOAD = [
    *done(1, 1.25), *done(2, 4.5), *done(1, 1.5, process=2, node="n2", type_="fail"),
    *done(5, 6, process=2, node="n2"), *done(0.5, 3, process=3, node=None),
    *done(0.25, 12, process=4, f="dequeue", node="n3"), *done(8, 9, process=5, node="n2"),
    *done(9, 9.5, process=6, node="n4", type_="info"),
]  # fmt: skip


def test_availability_around_faults() -> None:
    assert whole(availability, by_time(LOAD, fault(1, 1.5, 2, 4, 5), fault(2, 7, 8, 8.5))) == (
        "valid",
        [],
        {
            "nodes": {
                "-": {"longest-gap-seconds": 6.5, "without-ok-seconds": 9.0},
                "n1": {"longest-gap-seconds": 5.0, "without-ok-seconds": 8.25},
                "n2": {"longest-gap-seconds": 5.5, "without-ok-seconds": 8.5},
                "n4": {"longest-gap-seconds": 9.0, "without-ok-seconds": 9.0},
            },
            "windows": [
                {
                    "window": 1,
                    "nodes": {
                        "-": {"in-force-to-ok-seconds": None, "heal-to-ok-seconds": None},
                        "n1": {"in-force-to-ok-seconds": 2.5, "heal-to-ok-seconds": None},
                        "n2": {"in-force-to-ok-seconds": 4.0, "heal-to-ok-seconds": 1.0},
                        "n4": {"in-force-to-ok-seconds": None, "heal-to-ok-seconds": None},
                    },
                    "heal-to-recovered-seconds": None,
                },
                {
                    "window": 2,
                    "nodes": {
                        "-": {"in-force-to-ok-seconds": None, "heal-to-ok-seconds": None},
                        "n1": {"in-force-to-ok-seconds": None, "heal-to-ok-seconds": None},
                        "n2": {"in-force-to-ok-seconds": 1.0, "heal-to-ok-seconds": None},
                        "n4": {"in-force-to-ok-seconds": None, "heal-to-ok-seconds": None},
                    },
                    "heal-to-recovered-seconds": None,
                },
            ],
            "restarted": [],
        },
    )


def test_availability_without_faults() -> None:
    assert whole(availability, by_time(LOAD)) == (
        "valid",
        [],
        {
            "nodes": {
                "-": {"longest-gap-seconds": 6.5, "without-ok-seconds": 9.0},
                "n1": {"longest-gap-seconds": 5.0, "without-ok-seconds": 8.25},
                "n2": {"longest-gap-seconds": 5.5, "without-ok-seconds": 8.5},
                "n4": {"longest-gap-seconds": 9.0, "without-ok-seconds": 9.0},
            },
            "windows": [],
            "restarted": [],
        },
    )
    assert whole(availability) == ("valid", [], {"nodes": {}, "windows": [], "restarted": []})
    checker = partial(availability, ignored=["enqueue"])
    assert whole(checker, by_time(LOAD))[2]["nodes"] == {
        "n3": {"longest-gap-seconds": 11.75, "without-ok-seconds": 11.75}
    }


def test_a_gap_of_one_second_is_no_silence() -> None:
    exact = [*done(0, 1), *done(1, 2), *done(2, 3.001)]
    assert whole(availability, exact)[2]["nodes"] == {
        "n1": {"longest-gap-seconds": 1.001, "without-ok-seconds": 1.001}
    }


def recovered(
    within: float, second: float, *, seconds: float = 3.0, heals: Any = (5, 7), **data: Any
) -> Any:
    """Return what is said about a cluster whose recovery was observed at this second."""
    first, last = heals
    verdict, given, figures = whole(
        partial(availability, within=within),
        by_time(
            fault(1, 1, 2, 3, first),
            fault(2, 4.5, 4.6, 4.7, last),
            [recovery_record(second, seconds=seconds, **data)],
        ),
    )
    windows = [window["heal-to-recovered-seconds"] for window in figures["windows"]]
    return verdict, given, windows, figures["restarted"]


def test_recoveries_within_a_limit() -> None:
    trouble = {"n1": "is down"}
    last = {"trouble-seconds": 2.5}
    assert [
        recovered(3, 10),
        recovered(2.999, 10),
        recovered(3, 10, heals=(7, 5)),
        recovered(3, 10, troubles=trouble),
        recovered(2.5, 10, troubles=trouble),
        recovered(2.4, 10, seconds=3, **last),
        recovered(2.5, 10, seconds=3, **last),
        recovered(2.5, 10.04, seconds=3.04, **{"trouble-seconds": 2.56}),
        recovered(60, 10, restarted=["n2", "n1"]),
        recovered(0, 7),
    ] == [
        ("valid", [], [None, 3.0], []),
        (
            "unknown",
            [
                "it is not known whether the cluster recovered by itself within 2.999 s "
                "of the last healing: the last observation of it was 3.0 s after the "
                "healing"
            ],
            [None, 3.0],
            [],
        ),
        ("valid", [], [3.0, None], []),
        (
            "unknown",
            [
                "it is not known whether the cluster recovered by itself within 3 s of "
                "the last healing: the last observation of it was 3.0 s after the "
                "healing"
            ],
            [None, None],
            [],
        ),
        (
            "invalid",
            [
                "the cluster did not recover by itself within 2.5 s of the last "
                "healing: it was still in trouble after 3.0 s"
            ],
            [None, None],
            [],
        ),
        (
            "invalid",
            [
                "the cluster did not recover by itself within 2.4 s of the last "
                "healing: it was still in trouble after 2.5 s"
            ],
            [None, 3.0],
            [],
        ),
        (
            "unknown",
            [
                "it is not known whether the cluster recovered by itself within 2.5 s "
                "of the last healing: the last observation of it was 3.0 s after the "
                "healing"
            ],
            [None, 3.0],
            [],
        ),
        (
            "invalid",
            [
                "the cluster did not recover by itself within 2.5 s of the last "
                "healing: it was still in trouble after 2.6 s"
            ],
            [None, 3.04],
            [],
        ),
        (
            "invalid",
            [
                "the cluster did not recover by itself within 60 s of the last healing: "
                "n1 and n2 had to be restarted"
            ],
            [None, 3.0],
            ["n2", "n1"],
        ),
        ("valid", [], [None, 0.0], []),
    ]


def test_recoveries_that_are_not_known() -> None:
    judge = partial(availability, within=2.5)
    record_ = [recovery_record(10)]
    assert [
        whole(judge, fault(1, 1, 2, 3, 4), fault(2, 5, 6, 7), record_),
        whole(judge, fault(1, 1, 2, 3, 4)),
        whole(judge, record_),
        whole(judge, fault(1, 1, 2, 3, 4), [Op("info", "recover", process=NEMESIS, data=[1])]),
        whole(judge, fault(1, 1, 2, 3, 4), record_, [recovery_record(5, restarted=["n1"])]),
        whole(judge, record(INJECT, 1), record(HEALED, 9, fired={"n1": ns(8)}), record_),
        whole(availability, fault(1, 1, 2, 3, 4), record_),
    ] == [
        (
            "unknown",
            [
                "it is not known whether the cluster recovered by itself within 2.5 s "
                "of the last healing: not every fault was healed"
            ],
            {
                "nodes": {},
                "windows": [
                    {"window": 1, "nodes": {}, "heal-to-recovered-seconds": None},
                    {"window": 2, "nodes": {}, "heal-to-recovered-seconds": None},
                ],
                "restarted": [],
            },
        ),
        (
            "unknown",
            [
                "it is not known whether the cluster recovered by itself within 2.5 s "
                "of the last healing: the run ended before the recovery"
            ],
            {
                "nodes": {},
                "windows": [{"window": 1, "nodes": {}, "heal-to-recovered-seconds": None}],
                "restarted": [],
            },
        ),
        ("valid", [], {"nodes": {}, "windows": [], "restarted": []}),
        (
            "unknown",
            [
                "it is not known whether the cluster recovered by itself within 2.5 s "
                "of the last healing: the run ended before the recovery"
            ],
            {
                "nodes": {},
                "windows": [{"window": 1, "nodes": {}, "heal-to-recovered-seconds": None}],
                "restarted": [],
            },
        ),
        (
            "invalid",
            [
                "the cluster did not recover by itself within 2.5 s of the last "
                "healing: n1 had to be restarted"
            ],
            {
                "nodes": {},
                "windows": [{"window": 1, "nodes": {}, "heal-to-recovered-seconds": 1.0}],
                "restarted": ["n1"],
            },
        ),
        (
            "valid",
            [],
            {
                "nodes": {},
                "windows": [{"window": 1, "nodes": {}, "heal-to-recovered-seconds": 2.0}],
                "restarted": [],
            },
        ),
        (
            "valid",
            [],
            {
                "nodes": {},
                "windows": [{"window": 1, "nodes": {}, "heal-to-recovered-seconds": 6.0}],
                "restarted": [],
            },
        ),
    ]


def test_the_leader_that_a_broker_reported() -> None:
    def view(second: float, data: Any) -> list[Op]:
        return [Op("info", VIEW, process=NEMESIS, time=ns(second), data=data)]

    def leaders(*views: list[Op]) -> list[str | None]:
        records = by_time(fault(1, 1, 2, 3, 9), fault(2, 10, 11), *views)
        return [interval.leader for interval in fault_intervals(from_ops(records))]

    def proof(leader: Any, number: Any = 1, phase: str = "during") -> dict[str, Any]:
        return {"window": number, "phase": phase, "proof": {"broker": {"leader": leader}}}

    assert [
        leaders(view(4, proof("n1")), view(5, proof("n2"))),
        leaders(view(8.99, proof("n1"))),
        leaders(view(9, proof("n1"))),
        leaders(view(12, proof("n3", 2))),
        leaders(view(4, proof("n1", phase="before"))),
        leaders(view(4, proof(5)), view(5, proof("n2"))),
        leaders(view(4, "text")),
        leaders(view(4, {"window": 1, "phase": "during", "proof": []})),
        leaders(view(4, {"window": 1, "phase": "during"})),
        leaders(view(4, proof("n1", "1"))),
    ] == [
        ["n1", None],
        ["n1", None],
        [None, None],
        [None, "n3"],
        [None, None],
        [None, None],
        [None, None],
        [None, None],
        [None, None],
        [None, None],
    ]


def test_records_of_other_names_count_if_they_have_a_number() -> None:
    other = Op("info", "kill", process=NEMESIS, time=ns(5), data={"window": 1, "phase": HEALED})
    assert reasons(fault(1, 1, 2, 3), [other]) == []


def test_two_names_of_one_fault() -> None:
    assert reasons(
        fault(1, 1, 2, 3, 4, fault={"name": "a"}), record("other", 5, fault={"name": "b"})
    ) == ["fault 1 (a {}) is not proven: two faults have this number"]


def test_seconds_are_rounded_to_milliseconds() -> None:
    load = done(0.00049, 2.75051)
    assert whole(availability, by_time(load, fault(1, 0.0001, 0.0002, 0.0003, 0.0004)))[2] == {
        "nodes": {"n1": {"longest-gap-seconds": 2.75, "without-ok-seconds": 2.75}},
        "windows": [
            {
                "window": 1,
                "nodes": {"n1": {"in-force-to-ok-seconds": 2.75, "heal-to-ok-seconds": 2.75}},
                "heal-to-recovered-seconds": None,
            }
        ],
        "restarted": [],
    }
