"""Registers: everything that the checker says about each kind of history."""

from __future__ import annotations

from functools import partial
from itertools import count

from jepsenvm.checkers.linearizable import Bounds
from jepsenvm.checkers.register import register
from jepsenvm.history.op import NEMESIS, Op, Type
from tests.unit.builders import op_at as at
from tests.unit.builders import operation
from tests.unit.checkers.whole_results import whole, whole_of_journal

DOUBT: tuple[Type, ...] = ("invoke", "info")


def test_a_valid_register_with_failed_and_doubtful_operations() -> None:
    assert whole(
        register,
        [
            at(0.1, 1, "invoke", "write", 1, "n1"),
            at(0.2, 1, "ok", "write", 1, "n1"),
            at(0.3, 2, "invoke", "read", None, "n2"),
            at(0.35, 1, "invoke", "cas", [1, 2], "n1"),
            at(0.4, 2, "ok", "read", 1, "n2"),
            at(0.5, 1, "ok", "cas", [1, 2], "n1"),
            at(0.6, 3, "invoke", "cas", [9, 3], "n3"),
            at(0.7, 3, "fail", "cas", [9, 3], "n3"),
            at(0.8, 2, "invoke", "write", 5, "n2"),
            at(0.9, 2, "info", "write", 5, "n2"),
            at(0.9, NEMESIS, "info", "start"),
            at(1.0, 3, "invoke", "read"),
            at(1.1, 3, "ok", "read", 2),
            at(1.2, 3, "invoke", "read"),
            at(1.3, 3, "ok", "read", None),
            at(1.4, 4, "invoke", "read"),
        ],
    ) == (
        "valid",
        [],
        {
            "read-count": 3,
            "write-count": 1,
            "cas-count": 1,
            "observed-count": 3,
            "in-doubt-count": 2,
            "violation": [],
            "configurations": 4,
        },
    )


def test_a_stale_read() -> None:
    assert whole(
        register,
        [
            at(0.1, 1, "invoke", "write", 1, "n1"),
            at(0.2, 1, "ok", "write", 1, "n1"),
            at(0.25, 4, "invoke", "write", 7, "n2"),
            at(0.3, 2, "invoke", "write", 2),
            at(0.4, 2, "ok", "write", 2),
            at(0.5, 3, "invoke", "read", None, "n3"),
            at(0.55, 5, "invoke", "read", None, "n2"),
            at(0.5999994, 3, "ok", "read", 1, "n3"),
            at(0.65, 5, "ok", "read", 2, "n2"),
            at(0.7, 4, "info", "write", 7, "n2"),
        ],
    ) == (
        "invalid",
        [
            "no order of the operations explains the ok read of 1 by process 3 on n3 "
            "from 0.500 s to 0.600 s: the register could only be 2 or 7 then"
        ],
        {
            "read-count": 2,
            "write-count": 2,
            "cas-count": 0,
            "observed-count": 2,
            "in-doubt-count": 1,
            "violation": [
                {
                    "process": 4,
                    "node": "n2",
                    "f": "write",
                    "type": "info",
                    "value": 7,
                    "from": 0.25,
                    "to": None,
                },
                {
                    "process": 3,
                    "node": "n3",
                    "f": "read",
                    "type": "ok",
                    "value": 1,
                    "from": 0.5,
                    "to": 0.599999,
                },
                {
                    "process": 5,
                    "node": "n2",
                    "f": "read",
                    "type": "ok",
                    "value": 2,
                    "from": 0.55,
                    "to": 0.65,
                },
            ],
            "configurations": 3,
        },
    )


def test_a_cas_that_no_order_explains() -> None:
    assert whole(
        register,
        operation(1, "write", "b", node="n1"),
        operation(2, "cas", ["a", "c"], node="n2"),
    ) == (
        "invalid",
        [
            'no order of the operations explains the ok cas of ["a" "c"] by process '
            '2 on n2 from 0.000 s to 0.000 s: the register could only be "b" then'
        ],
        {
            "read-count": 0,
            "write-count": 1,
            "cas-count": 1,
            "observed-count": 1,
            "in-doubt-count": 0,
            "violation": [
                {
                    "process": 2,
                    "node": "n2",
                    "f": "cas",
                    "type": "ok",
                    "value": ["a", "c"],
                    "from": 0.0,
                    "to": 0.0,
                }
            ],
            "configurations": 2,
        },
    )


def test_a_write_that_no_order_explains_is_never_the_stuck_one_but_its_read_is() -> None:
    assert whole(
        register, operation(1, "write", 1), operation(1, "write", None), operation(2, "read", 1)
    ) == (
        "invalid",
        [
            "no order of the operations explains the ok read of 1 by process 2 from "
            "0.000 s to 0.000 s: the register could only be nil then"
        ],
        {
            "read-count": 1,
            "write-count": 2,
            "cas-count": 0,
            "observed-count": 1,
            "in-doubt-count": 0,
            "violation": [
                {
                    "process": 2,
                    "node": None,
                    "f": "read",
                    "type": "ok",
                    "value": 1,
                    "from": 0.0,
                    "to": 0.0,
                }
            ],
            "configurations": 3,
        },
    )


def test_reads_of_values_that_nobody_had_written() -> None:
    assert whole(
        register,
        [
            at(1, 1, "invoke", "read", None, "n1"),
            at(2, 1, "ok", "read", 5, "n1"),
            at(3, 2, "invoke", "read", None, "n2"),
            at(4, 2, "ok", "read", 6, "n2"),
            at(5, 2, "invoke", "write", 6, "n2"),
            at(6, 2, "ok", "write", 6, "n2"),
        ],
    ) == (
        "invalid",
        [
            "2 reads returned a value that no process had written; the first: "
            "process 1 on n1 read 5 from 1.000 s to 2.000 s"
        ],
        {
            "read-count": 2,
            "write-count": 1,
            "cas-count": 0,
            "observed-count": 2,
            "in-doubt-count": 0,
            "violation": [
                {
                    "process": 1,
                    "node": "n1",
                    "f": "read",
                    "type": "ok",
                    "value": 5,
                    "from": 1.0,
                    "to": 2.0,
                }
            ],
            "configurations": 1,
        },
    )


def test_one_read_of_a_value_that_nobody_had_written_may_be_the_initial_value() -> None:
    reads = [*operation(1, "read", 5), *operation(2, "read", 5)]
    assert whole(register, reads, operation(1, "write", 1)) == (
        "unknown",
        [
            "the register is not linearizable if it begins with nil, but may be with "
            "another initial value; state the value with --initial"
        ],
        {
            "read-count": 2,
            "write-count": 1,
            "cas-count": 0,
            "observed-count": 2,
            "in-doubt-count": 0,
            "violation": [],
            "configurations": 1,
        },
    )


def test_the_initial_value_cannot_come_back_after_it_was_overwritten() -> None:
    assert whole(register, operation(1, "write", 1), operation(1, "read", 5)) == (
        "invalid",
        [
            "1 read returned a value that no process had written; the first: process "
            "1 read 5 from 0.000 s to 0.000 s"
        ],
        {
            "read-count": 1,
            "write-count": 1,
            "cas-count": 0,
            "observed-count": 1,
            "in-doubt-count": 0,
            "violation": [
                {
                    "process": 1,
                    "node": None,
                    "f": "read",
                    "type": "ok",
                    "value": 5,
                    "from": 0.0,
                    "to": 0.0,
                }
            ],
            "configurations": 2,
        },
    )


def test_the_initial_value_may_be_read_by_a_read_that_began_before_the_first_write_returned() -> (
    None
):
    assert whole(
        register,
        [Op("invoke", "write", 1, 1), Op("invoke", "read", None, 2), Op("ok", "write", 1, 1)],
        [Op("ok", "read", 5, 2)],
    ) == (
        "unknown",
        [
            "the register is not linearizable if it begins with nil, but may be with "
            "another initial value; state the value with --initial"
        ],
        {
            "read-count": 1,
            "write-count": 1,
            "cas-count": 0,
            "observed-count": 1,
            "in-doubt-count": 0,
            "violation": [],
            "configurations": 2,
        },
    )


def test_a_cas_may_show_the_initial_value() -> None:
    assert whole(register, operation(1, "cas", [5, 6]), operation(2, "read", 6)) == (
        "unknown",
        [
            "the register is not linearizable if it begins with nil, but may be with "
            "another initial value; state the value with --initial"
        ],
        {
            "read-count": 1,
            "write-count": 0,
            "cas-count": 1,
            "observed-count": 2,
            "in-doubt-count": 0,
            "violation": [],
            "configurations": 1,
        },
    )


def test_a_cas_from_an_unknown_value_sets_its_new_value() -> None:
    assert whole(register, operation(1, "cas", [5, 6]), operation(2, "read", 5)) == (
        "invalid",
        [
            "1 read returned a value that no process had written; the first: process "
            "2 read 5 from 0.000 s to 0.000 s"
        ],
        {
            "read-count": 1,
            "write-count": 0,
            "cas-count": 1,
            "observed-count": 2,
            "in-doubt-count": 0,
            "violation": [
                {
                    "process": 2,
                    "node": None,
                    "f": "read",
                    "type": "ok",
                    "value": 5,
                    "from": 0.0,
                    "to": 0.0,
                }
            ],
            "configurations": 1,
        },
    )


def test_a_read_of_nil_does_not_show_an_unknown_initial_value() -> None:
    assert whole(
        register, operation(1, "read"), operation(1, "read", 5), operation(1, "cas", [5, 6])
    ) == (
        "unknown",
        [
            "the register is not linearizable if it begins with nil, but may be with "
            "another initial value; state the value with --initial"
        ],
        {
            "read-count": 2,
            "write-count": 0,
            "cas-count": 1,
            "observed-count": 2,
            "in-doubt-count": 0,
            "violation": [],
            "configurations": 1,
        },
    )


def test_a_doubtful_write_does_not_end_the_initial_value() -> None:
    assert whole(register, operation(1, "write", 1, *DOUBT), operation(2, "read", 5)) == (
        "unknown",
        [
            "the register is not linearizable if it begins with nil, but may be with "
            "another initial value; state the value with --initial"
        ],
        {
            "read-count": 1,
            "write-count": 0,
            "cas-count": 0,
            "observed-count": 1,
            "in-doubt-count": 1,
            "violation": [],
            "configurations": 1,
        },
    )


def test_a_stated_initial_value_is_the_first_value() -> None:
    stated = partial(register, initial=5)
    assert whole(stated, operation(1, "read", 5), operation(1, "cas", [5, 6])) == (
        "valid",
        [],
        {
            "read-count": 1,
            "write-count": 0,
            "cas-count": 1,
            "observed-count": 2,
            "in-doubt-count": 0,
            "violation": [],
            "configurations": 2,
        },
    )


def test_a_stated_initial_value_excludes_all_others() -> None:
    stated = partial(register, initial=4)
    assert whole(stated, operation(1, "read", 5), operation(2, "read", 4)) == (
        "invalid",
        [
            "1 read returned a value that no process had written; the first: process "
            "1 read 5 from 0.000 s to 0.000 s"
        ],
        {
            "read-count": 2,
            "write-count": 0,
            "cas-count": 0,
            "observed-count": 2,
            "in-doubt-count": 0,
            "violation": [
                {
                    "process": 1,
                    "node": None,
                    "f": "read",
                    "type": "ok",
                    "value": 5,
                    "from": 0.0,
                    "to": 0.0,
                }
            ],
            "configurations": 1,
        },
    )


def test_a_stated_initial_nil_is_no_unknown_value() -> None:
    stated = partial(register, initial=None)
    assert whole(stated, operation(1, "cas", [5, 6]), operation(2, "read", 6)) == (
        "invalid",
        [
            "no order of the operations explains the ok cas of [5 6] by process 1 "
            "from 0.000 s to 0.000 s: the register could only be nil then"
        ],
        {
            "read-count": 1,
            "write-count": 0,
            "cas-count": 1,
            "observed-count": 2,
            "in-doubt-count": 0,
            "violation": [
                {
                    "process": 1,
                    "node": None,
                    "f": "cas",
                    "type": "ok",
                    "value": [5, 6],
                    "from": 0.0,
                    "to": 0.0,
                }
            ],
            "configurations": 1,
        },
    )


def test_registers_with_keys() -> None:
    assert whole(
        register,
        operation(1, "write", ["x", 1], node="n1"),
        operation(1, "write", ["y", 2], node="n1"),
        [Op("invoke", "cas", ["x", [1, 3]], 1), Op("ok", "cas", ["x", [1, 3]], 1)],
        [Op("invoke", "read", ["y", None], 2), Op("ok", "read", ["y", 2], 2)],
        [Op("invoke", "read", ["x", None], 2), Op("ok", "read", ["x", 1], 2)],
        [Op("invoke", "read", ["z", None], 3), Op("ok", "read", ["z", 9], 3)],
        operation(1, "write", ["y", 4], *DOUBT),
        [Op("invoke", "read", ["y", None], 2), Op("info", "read", ["y", None], 2)],
        [Op("invoke", "read", ["w", None], 4), Op("ok", "read", ["w", 1], 4)],
        [Op("invoke", "read", ["w", None], 4), Op("ok", "read", ["w", 2], 4)],
        [Op("invoke", "cas", ["v", [1, 2]], 4), Op("ok", "cas", ["v", [1, 2]], 4)],
        [Op("invoke", "write", ["v", 2], 4), Op("ok", "write", ["v", 2], 4)],
        [Op("invoke", "cas", ["v", [1, 2]], 4), Op("ok", "cas", ["v", [1, 2]], 4)],
    ) == (
        "invalid",
        [
            "no order of the operations explains the ok read of 1 by process 2 from "
            '0.000 s to 0.000 s: the register "x" could only be 3 then',
            'the register "z" is not linearizable if it begins with nil, but may be '
            "with another initial value; state the value with --initial",
            "2 reads returned a value that no process had written; the first: "
            "process 4 read 1 from 0.000 s to 0.000 s",
            "no order of the operations explains the ok cas of [1 2] by process 4 "
            'from 0.000 s to 0.000 s: the register "v" could only be nil then',
        ],
        {
            "read-count": 5,
            "write-count": 3,
            "cas-count": 3,
            "observed-count": 8,
            "in-doubt-count": 2,
            "violation": [
                {
                    "process": 2,
                    "node": None,
                    "f": "read",
                    "type": "ok",
                    "value": 1,
                    "from": 0.0,
                    "to": 0.0,
                }
            ],
            "configurations": 8,
        },
    )


def test_pairs_without_reads_that_decide_the_verdict() -> None:
    assert whole(register, operation(1, "write", [1, 1]), operation(1, "cas", [1, [1, 2]])) == (
        "unknown",
        ["it is not clear whether the values are pairs [key value], which decides the verdict"],
        {
            "read-count": 0,
            "write-count": 1,
            "cas-count": 1,
            "observed-count": 1,
            "in-doubt-count": 0,
            "violation": [],
        },
    )


def test_pairs_without_reads_that_do_not_decide_the_verdict() -> None:
    assert whole(register, operation(1, "write", [1, 2]), operation(1, "write", [1, 3])) == (
        "valid",
        [],
        {
            "read-count": 0,
            "write-count": 2,
            "cas-count": 0,
            "observed-count": 0,
            "in-doubt-count": 0,
            "violation": [],
            "configurations": 2,
        },
    )


def test_a_cas_of_a_plain_pair_has_no_key() -> None:
    assert whole(register, operation(1, "cas", [None, 2]), operation(1, "cas", [2, 3])) == (
        "valid",
        [],
        {
            "read-count": 0,
            "write-count": 0,
            "cas-count": 2,
            "observed-count": 2,
            "in-doubt-count": 0,
            "violation": [],
            "configurations": 2,
        },
    )


def test_a_cas_without_a_pair() -> None:
    assert whole(register, operation(1, "write", 1), operation(2, "cas", [1, 2, 3], node="n2")) == (
        "unknown",
        ["the value of a cas must be [old new], found [1, 2, 3] of process 2 on n2"],
        {
            "read-count": 0,
            "write-count": 1,
            "cas-count": 1,
            "observed-count": 1,
            "in-doubt-count": 0,
            "violation": [],
        },
    )


def test_a_cas_with_a_key_but_without_a_pair() -> None:
    assert whole(
        register,
        [Op("invoke", "read", [1, None], 2), Op("ok", "read", [1, None], 2)],
        operation(2, "cas", ["k", "ab"]),
    ) == (
        "unknown",
        ["the value of a cas must be [old new], found 'ab' of process 2"],
        {
            "read-count": 1,
            "write-count": 0,
            "cas-count": 1,
            "observed-count": 2,
            "in-doubt-count": 0,
            "violation": [],
        },
    )


def test_operations_that_a_register_does_not_have() -> None:
    names = [f"op{number:02}" for number in range(11)]
    others = [op for name in names for op in operation(1, name)]
    assert whole(register, operation(1, "write", 1), others, operation(NEMESIS, "kill")) == (
        "unknown",
        [
            "the history has operations that a register does not have: op00, op01, "
            "op02, op03, op04, op05, op06, op07, op08 and op09"
        ],
        {
            "read-count": 0,
            "write-count": 1,
            "cas-count": 0,
            "observed-count": 0,
            "in-doubt-count": 0,
            "violation": [],
        },
    )


def test_one_operation_that_a_register_does_not_have() -> None:
    assert whole(register, operation(1, "read", 1), operation(1, "x" * 300)) == (
        "unknown",
        [
            "the history has operations that a register does not have: "
            "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx..."
        ],
        {
            "read-count": 1,
            "write-count": 0,
            "cas-count": 0,
            "observed-count": 1,
            "in-doubt-count": 0,
            "violation": [],
        },
    )


def test_completions_without_an_invocation() -> None:
    assert whole(
        register,
        operation(1, "write", 1),
        [at(1.5, 1, "fail", "read"), at(2.5, 2, "ok", "read", 1, "n2"), at(3, 2, "info", "cas")],
    ) == (
        "unknown",
        [
            "2 completions have no invocation, so nobody knows when the operation "
            "began; the first is the read of process 2 on n2 at 2.500 s"
        ],
        {
            "read-count": 0,
            "write-count": 1,
            "cas-count": 0,
            "observed-count": 0,
            "in-doubt-count": 0,
            "violation": [],
        },
    )


def test_one_completion_without_an_invocation() -> None:
    assert whole(register, [at(1, 1, "invoke", "write", 1), at(2, 1, "ok", "read", 1)]) == (
        "unknown",
        [
            "1 completion has no invocation, so nobody knows when the operation "
            "began; the first is the read of process 1 at 2.000 s"
        ],
        {
            "read-count": 0,
            "write-count": 0,
            "cas-count": 0,
            "observed-count": 0,
            "in-doubt-count": 1,
            "violation": [],
        },
    )


def test_nothing_was_ok() -> None:
    assert whole(
        register, operation(1, "write", 1, *DOUBT), operation(2, "read", None, "invoke", "fail")
    ) == (
        "unknown",
        ["no operation on the register was ok, so it was not tested"],
        {
            "read-count": 0,
            "write-count": 0,
            "cas-count": 0,
            "observed-count": 0,
            "in-doubt-count": 1,
            "violation": [],
        },
    )


def test_an_empty_history() -> None:
    assert whole(register) == (
        "unknown",
        ["no operation on the register was ok, so it was not tested"],
        {
            "read-count": 0,
            "write-count": 0,
            "cas-count": 0,
            "observed-count": 0,
            "in-doubt-count": 0,
            "violation": [],
        },
    )


def test_a_search_that_may_keep_one_configuration() -> None:
    bounds = Bounds(configurations=1)
    assert whole(
        partial(register, bounds=bounds), operation(1, "write", 1), operation(2, "read", 1)
    ) == (
        "unknown",
        [
            "it is undecided whether the register is linearizable: the search ended "
            "after 1 configuration"
        ],
        {
            "read-count": 1,
            "write-count": 1,
            "cas-count": 0,
            "observed-count": 1,
            "in-doubt-count": 0,
            "violation": [],
            "configurations": 2,
        },
    )


def test_a_search_that_may_keep_two_configurations_of_a_key() -> None:
    bounds = Bounds(configurations=2)
    reads = [Op("invoke", "read", ["k", None], 1), Op("ok", "read", ["k", 3], 1)]
    parts = [operation(1, "write", ["k", 3]), reads, reads]
    assert whole(partial(register, bounds=bounds), *parts) == (
        "unknown",
        [
            'it is undecided whether the register "k" is linearizable: the search '
            "ended after 2 configurations"
        ],
        {
            "read-count": 2,
            "write-count": 1,
            "cas-count": 0,
            "observed-count": 2,
            "in-doubt-count": 0,
            "violation": [],
            "configurations": 3,
        },
    )


def test_a_search_that_has_no_more_steps() -> None:
    bounds = Bounds(steps=4)
    assert whole(
        partial(register, bounds=bounds),
        operation(1, "write", 1),
        operation(2, "read", 1),
        operation(2, "write", 3),
        operation(2, "write", 4),
    ) == (
        "unknown",
        [
            "it is undecided whether the register is linearizable: the search ended "
            "after 2 configurations"
        ],
        {
            "read-count": 1,
            "write-count": 3,
            "cas-count": 0,
            "observed-count": 1,
            "in-doubt-count": 0,
            "violation": [],
            "configurations": 2,
        },
    )


def test_a_search_whose_time_is_over() -> None:
    times = count()
    bounds = Bounds(clock=lambda: next(times) % 3, deadline=2)
    assert whole(
        partial(register, bounds=bounds),
        operation(1, "write", 1),
        operation(2, "read", 1),
        operation(2, "write", 3),
        operation(2, "write", 4),
    ) == (
        "unknown",
        [
            "it is undecided whether the register is linearizable: the search ended "
            "after 3 configurations, out of time"
        ],
        {
            "read-count": 1,
            "write-count": 3,
            "cas-count": 0,
            "observed-count": 1,
            "in-doubt-count": 0,
            "violation": [],
            "configurations": 3,
        },
    )


def test_the_value_may_be_recorded_with_the_completion_only() -> None:
    assert whole(
        register,
        [Op("invoke", "write", None, 1), Op("ok", "write", 1, 1)],
        [Op("invoke", "cas", None, 1), Op("ok", "cas", [1, 2], 1)],
        [Op("invoke", "cas", None, 1), Op("ok", "cas", [1, 3], 1)],
    ) == (
        "invalid",
        [
            "no order of the operations explains the ok cas of [1 3] by process 1 "
            "from 0.000 s to 0.000 s: the register could only be 2 then"
        ],
        {
            "read-count": 0,
            "write-count": 1,
            "cas-count": 2,
            "observed-count": 2,
            "in-doubt-count": 0,
            "violation": [
                {
                    "process": 1,
                    "node": None,
                    "f": "cas",
                    "type": "ok",
                    "value": [1, 3],
                    "from": 0.0,
                    "to": 0.0,
                }
            ],
            "configurations": 3,
        },
    )


def test_at_most_twenty_calls_of_a_violation_are_shown() -> None:
    doubts = [op for number in range(22) for op in operation(9, "write", number, *DOUBT)]
    verdict, reasons, figures = whole(
        register,
        operation(1, "write", "a"),
        doubts,
        operation(2, "read", "b"),
        operation(3, "read", "c"),
    )
    assert verdict == "invalid"
    assert reasons == [
        "2 reads returned a value that no process had written; the first: process "
        "2 read 'b' from 0.000 s to 0.000 s"
    ]
    assert [call["value"] for call in figures["violation"]] == ["b"]


def test_the_last_twenty_calls_around_a_stuck_read_are_shown() -> None:
    doubts = [Op("invoke", "write", number, number) for number in range(22)]
    later = operation(30, "write", "a")
    stale = [*operation(31, "cas", ["a", "b"]), *operation(32, "cas", ["a", "b"])]
    verdict, reasons, figures = whole(register, doubts, later, stale)
    assert verdict == "invalid"
    assert reasons == [
        'no order of the operations explains the ok cas of ["a" "b"] by process '
        '32 from 0.000 s to 0.000 s: the register could only be "b" or 0 or 1 or '
        "10 or 11 or 12 or 13 or 14 or 15 or 16 or 13 more values then"
    ]
    shown = [call["value"] for call in figures["violation"]]
    assert shown == [*range(3, 22), ["a", "b"]]


def test_ten_possible_values_are_named() -> None:
    overwrites = [Op("invoke", "write", number, number) for number in range(10, 21)]
    values = [op for number in range(10, 21) for op in operation(30, "read", number)]
    first = operation(31, "write", 9)
    assert whole(register, first, overwrites, values, operation(32, "read", 9))[1] == [
        "no order of the operations explains the ok read of 9 by process 32 from "
        "0.000 s to 0.000 s: the register could only be 20 then"
    ]


def test_an_invocation_that_another_one_follows_is_in_doubt() -> None:
    assert whole(
        register,
        [at(0.1234567, 1, "invoke", "write", 1, "n1"), at(0.2, 1, "invoke", "write", 2, "n1")],
        [at(0.3, 1, "ok", "write", 2), at(0.4, 2, "invoke", "read")],
        [at(0.5, 2, "ok", "read", 1, "n2"), at(0.6, 2, "invoke", "read", None, "n3")],
        [at(0.7, 2, "ok", "read", 2, "n2")],
    ) == (
        "invalid",
        [
            "no order of the operations explains the ok read of 2 by process 2 on n3 "
            "from 0.600 s to 0.700 s: the register could only be 1 then"
        ],
        {
            "read-count": 2,
            "write-count": 1,
            "cas-count": 0,
            "observed-count": 2,
            "in-doubt-count": 1,
            "violation": [
                {
                    "process": 1,
                    "node": "n1",
                    "f": "write",
                    "type": "info",
                    "value": 1,
                    "from": 0.123457,
                    "to": None,
                },
                {
                    "process": 2,
                    "node": "n3",
                    "f": "read",
                    "type": "ok",
                    "value": 2,
                    "from": 0.6,
                    "to": 0.7,
                },
            ],
            "configurations": 4,
        },
    )


def test_a_register_in_a_journal() -> None:
    assert whole_of_journal(
        register, operation(1, "write", 7), [Op("invoke", "read", None, 2), Op("ok", "read", 7, 2)]
    ) == (
        "valid",
        [],
        {
            "read-count": 1,
            "write-count": 1,
            "cas-count": 0,
            "observed-count": 1,
            "in-doubt-count": 0,
            "violation": [],
            "configurations": 2,
        },
    )


def test_failed_writes_explain_no_read() -> None:
    failed = operation(1, "write", 5, "invoke", "fail")
    assert whole(register, operation(1, "write", 1), failed, operation(2, "read", 5)) == (
        "invalid",
        [
            "1 read returned a value that no process had written; the first: process "
            "2 read 5 from 0.000 s to 0.000 s"
        ],
        {
            "read-count": 1,
            "write-count": 1,
            "cas-count": 0,
            "observed-count": 1,
            "in-doubt-count": 0,
            "violation": [
                {
                    "process": 2,
                    "node": None,
                    "f": "read",
                    "type": "ok",
                    "value": 5,
                    "from": 0.0,
                    "to": 0.0,
                }
            ],
            "configurations": 2,
        },
    )


def test_doubtful_calls_have_no_answer_and_their_keys_count() -> None:
    assert whole(
        register,
        [Op("invoke", "read", ["k", None], 1), Op("ok", "read", ["k", None], 1)],
        [Op("invoke", "write", ["k", 3], 2), Op("info", "write", None, 2)],
        [Op("invoke", "cas", ["k", [3, 4]], 3), Op("fail", "cas", None, 3)],
        [Op("invoke", "read", ["k", None], 1), Op("ok", "read", ["k", 3], 1)],
        [Op("invoke", "read", ["k", None], 1), Op("ok", "read", ["k", 4], 1)],
    ) == (
        "invalid",
        [
            "1 read returned a value that no process had written; the first: process "
            "1 read 4 from 0.000 s to 0.000 s"
        ],
        {
            "read-count": 3,
            "write-count": 0,
            "cas-count": 0,
            "observed-count": 3,
            "in-doubt-count": 1,
            "violation": [
                {
                    "process": 1,
                    "node": None,
                    "f": "read",
                    "type": "ok",
                    "value": 4,
                    "from": 0.0,
                    "to": 0.0,
                }
            ],
            "configurations": 3,
        },
    )
    assert whole(
        register,
        [Op("invoke", "read", ["k", None], 1), Op("ok", "read", 1, 1)],
        operation(1, "write", 1),
    )[:2] == (
        "unknown",
        [
            "the register is not linearizable if it begins with nil, but may be with "
            "another initial value; state the value with --initial"
        ],
    )


def test_two_values_of_unknown_origin_of_which_one_may_be_the_initial_value() -> None:
    early = [Op("invoke", "read", None, 2), *operation(1, "read", 5), Op("ok", "read", 6, 2)]
    assert whole(register, early)[:2] == (
        "invalid",
        [
            "2 reads returned a value that no process had written; the first: "
            "process 2 read 6 from 0.000 s to 0.000 s"
        ],
    )
