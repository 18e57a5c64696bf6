"""stream: planted violations, similar legal histories, and agreement with the definition."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jepsenvm.checkers.stream import stream
from jepsenvm.checkers.verdict import Verdict
from jepsenvm.history.op import Op, Type
from tests.unit.builders import history, published, recovery_record, with_verdict


def read(
    *records: tuple[int, int], by: int = 10, end: int | None = None, ended: Type | None = "ok"
) -> list[Op]:
    """Return reads of records (offset, value), and the end: by default the last record's offset."""
    reads = [
        op
        for offset, value in records
        for op in (Op("invoke", "read", process=by), Op("ok", "read", value, by, offset=offset))
    ]
    last = end if end is not None else max((offset for offset, _ in records), default=None)
    return [*reads, *([Op(ended, "end", process=by, offset=last)] if ended else [])]


def judged(*parts: list[Op]) -> dict[str, Any]:
    return with_verdict(stream(history(*parts)))


ALL = ((0, 1), (1, 2), (2, 3))
KINDS = ("lost", "divergent", "nonmonotonic", "out-of-order", "unexpected")


def violations(*parts: list[Op]) -> dict[str, Any]:
    """Return the violations by kind, and check the counts and the verdict."""
    figures = judged(*parts)
    assert all(figures[f"{kind}-count"] == len(figures[kind]) for kind in KINDS)
    wrong = {kind: figures[kind] for kind in KINDS if figures[kind]}
    assert figures["verdict"] is (Verdict.INVALID if wrong else Verdict.VALID)
    return wrong


def test_a_stream_read_completely_by_all_readers_is_valid() -> None:
    assert violations(published(1, 2, 3), read(*ALL), read(*ALL, by=11)) == {}


def test_a_message_missing_from_one_complete_reader_is_lost() -> None:
    figures = judged(published(1, 2, 3, node="n1"), read(*ALL[:2]), read(*ALL[:2], by=11))
    assert (figures["verdict"], figures["lost"]) == (Verdict.INVALID, [3])
    assert figures["reasons"] == (
        "1 message was lost: confirmed by n1 between 0.0 s and 0.0 s, 1 without any fault",
    )
    assert judged(published(1, 2, 3), read(*ALL), read(*ALL[:2], by=11))["lost"] == [3]


@pytest.mark.parametrize(
    ("restarted", "replicas", "verdict"),
    [
        (["n1"], ["n1"], Verdict.UNKNOWN),
        (["n1"], [], Verdict.UNKNOWN),
        (["n1"], ["n1", "n2"], Verdict.INVALID),
        ([], ["n1"], Verdict.INVALID),
    ],
)
def test_a_loss_after_a_restart_of_every_replica_is_not_the_brokers(
    restarted: list[str], replicas: list[str], verdict: Verdict
) -> None:
    record = recovery_record(restarted=restarted, replicas=replicas)
    figures = judged(published(1, 2, 3), [record], read(*ALL[:2]), read(*ALL[:2], by=11))
    assert figures["verdict"] is verdict
    assert figures["lost"] + figures["undecided"] == [3]
    assert ("jepsenvm restarted" in " ".join(figures["reasons"])) is bool(restarted)
    complete = judged(published(1, 2, 3), [record], read(*ALL), read(*ALL, by=11))
    assert (complete["verdict"], complete["reasons"]) == (Verdict.VALID, ())


@pytest.mark.parametrize("end", ["info", "fail"])
def test_an_unconfirmed_message_may_be_missing_or_read(end: Type) -> None:
    assert violations(published(1, 2), published(3, end=end), read(*ALL[:2])) == {}
    assert judged(published(1, 2), published(3, end=end), read(*ALL))["recovered"] == [3]


def test_offsets_without_a_record_are_legal() -> None:
    assert violations(published(1, 2), read((3, 1), (9, 2)), read((3, 1), (9, 2), by=11)) == {}


def test_two_values_at_one_offset_are_divergent() -> None:
    assert violations(published(1, 2), read((0, 1), (1, 2)), read((0, 1), (1, 2), by=11)) == {}
    assert violations(
        published(1), published(2, process=1), read((0, 1), (1, 2)), read((0, 2), (1, 1), by=11)
    ) == {"divergent": [0, 1]}


def test_a_record_that_another_reader_passed_is_divergent() -> None:
    doubtful = published(2, end="info", process=1)
    assert violations(published(1, 3), doubtful, read(*ALL), read((0, 1), (2, 3), by=11)) == {
        "divergent": [1]
    }
    assert violations(
        published(1), published(2, process=1), read((0, 1), (1, 2)), read((0, 1), (5, 2), by=11)
    ) == {"divergent": [1]}


def test_a_reader_that_stopped_early_is_compared_up_to_its_last_offset() -> None:
    figures = judged(published(1, 2, 3), read(*ALL), read(*ALL[:1], by=11, ended="info"))
    assert (figures["verdict"], figures["divergent"], figures["lost"]) == (Verdict.UNKNOWN, [], [])


@pytest.mark.parametrize("again", [1, 0])
def test_an_offset_no_higher_than_one_before_is_nonmonotonic(again: int) -> None:
    value = dict(ALL)[again]
    assert violations(published(1, 2, 3), read((0, 1), (1, 2), (again, value), (2, 3))) == {
        "nonmonotonic": [[10, again]]
    }


def test_each_reader_has_its_own_offsets() -> None:
    reads = [op for pair in zip(read(*ALL), read(*ALL, by=11), strict=True) for op in pair]
    assert violations(published(1, 2, 3), reads) == {}


def test_later_messages_of_a_process_need_higher_offsets() -> None:
    assert violations(published(1, 2, 3), read((0, 2), (1, 1), (2, 3))) == {
        "out-of-order": [[1, 2]]
    }
    assert violations(published(2, 1), published(3, process=1), read((0, 3), (1, 2), (2, 1))) == {}


def test_a_value_at_two_offsets_is_duplicated_and_allowed() -> None:
    figures = judged(published(1, 2), read((0, 1), (1, 2), (2, 1)))
    assert (figures["verdict"], figures["duplicated"], figures["out-of-order"]) == (
        Verdict.VALID,
        [1],
        [],
    )


def test_the_first_copy_of_a_value_must_be_in_order() -> None:
    assert violations(published(1, 2), read((0, 2), (1, 1), (2, 2))) == {"out-of-order": [[1, 2]]}


def test_a_record_that_was_never_sent_is_unexpected() -> None:
    assert violations(published(1), read((0, 1), (1, 7)), read((0, 1), (1, 7), by=11)) == {
        "unexpected": [7]
    }


def test_an_empty_stream_can_be_read_to_its_end() -> None:
    assert violations(published(1, end="info"), read()) == {}
    assert violations(published(1), read()) == {"lost": [1]}


@pytest.mark.parametrize(
    ("reads", "reason"),
    [
        ([], "no process read the stream: 3 acknowledged messages are undecided"),
        (
            [Op("invoke", "read", process=10)],
            "reader 10 did not finish: 3 acknowledged messages are undecided",
        ),
        (
            read(*ALL[:2], ended="info"),
            "reader 10 did not finish: 1 acknowledged message is undecided",
        ),
        (
            read(*ALL[:2], ended=None),
            "reader 10 did not finish: 1 acknowledged message is undecided",
        ),
        (
            read(*ALL[:2], end=2),
            "reader 10 read to offset 1, but the stream's end is 2: 1 acknowledged message is",
        ),
        (
            read(*ALL, end=1),
            "reader 10 read to offset 2, but the stream's end is 1",
        ),
    ],
)
def test_messages_that_were_not_read_are_undecided(reads: list[Op], reason: str) -> None:
    figures = judged(published(1, 2, 3), reads)
    assert (figures["verdict"], figures["lost-count"]) == (Verdict.UNKNOWN, 0)
    assert figures["reasons"][0].startswith(reason)


def test_an_unfinished_reader_does_not_hide_a_violation() -> None:
    assert (
        judged(published(1, 2, 3), read((0, 2), (1, 1), ended="info"))["verdict"] is Verdict.INVALID
    )


def test_a_record_without_an_offset_is_unknown() -> None:
    figures = judged(published(1), read((0, 1)), [Op("ok", "read", 1, 10)])
    assert (figures["verdict"], figures["reasons"]) == (
        Verdict.UNKNOWN,
        ("1 record was read without a known offset",),
    )


def test_counts_are_exact_although_the_lists_are_cut() -> None:
    figures = judged(published(*range(1500)), read())
    assert (figures["lost-count"], len(figures["lost"])) == (1500, 1000)


# Agreement with the definition. Values 0 to 5 are attempted, 0 to 3 acknowledged.

READS = st.lists(
    st.tuples(st.sampled_from([10, 11]), st.integers(0, 5), st.integers(0, 6)), max_size=8
)


def defined(
    publisher: list[int], reads: list[tuple[int, int, int]], end: dict[int, int]
) -> dict[str, Any]:
    readers = {
        reader: [(offset, value) for who, offset, value in reads if who == reader] for reader in end
    }
    last = {
        reader: max((offset for offset, _ in records), default=-1)
        for reader, records in readers.items()
    }
    complete = [records for reader, records in readers.items() if last[reader] == end[reader]]
    records = {record for one in readers.values() for record in one}
    first = {
        value: min(offset for offset, other in records if other == value) for _, value in records
    }
    return {
        "lost": {
            value
            for value in range(4)
            for one in complete
            if value not in [other for _, other in one]
        },
        "divergent": {
            offset
            for offset, value in records
            if any(
                offset <= last[reader] and (offset, value) not in one
                for reader, one in readers.items()
            )
        }
        | {
            offset
            for offset, value in records
            for place, other in records
            if place == offset and other != value
        },
        "nonmonotonic": [
            [who, offset]
            for at, (who, offset, _) in enumerate(reads)
            if any(offset <= before for reader, before, _ in reads[:at] if reader == who)
        ],
        "out-of-order": {
            value
            for value in first
            if value < 6
            and any(
                value < later < 6
                and publisher[later] == publisher[value]
                and (place, later) < (first[value], value)
                for place, later in records
            )
        },
        "unexpected": {value for value in first if value >= 6},
    }


@given(
    st.lists(st.integers(0, 1), min_size=6, max_size=6),
    READS,
    st.integers(-1, 5),
    st.integers(-1, 5),
)
def test_it_agrees_with_the_definition(
    publisher: list[int], reads: list[tuple[int, int, int]], one: int, two: int
) -> None:
    end = {10: one, 11: two}
    sent = [
        published(value, process=publisher[value], end="ok" if value < 4 else "info")
        for value in range(6)
    ]
    came = [read((offset, value), by=who, ended=None) for who, offset, value in reads]
    ends = [
        Op("ok", "end", process=reader, offset=None if last < 0 else last)
        for reader, last in end.items()
    ]
    figures = judged(*sent, *came, ends)
    expected = defined(publisher, reads, end)
    assert figures["nonmonotonic"] == expected["nonmonotonic"]
    assert {value for value, _ in figures["out-of-order"]} == expected["out-of-order"]
    for kind in ("lost", "divergent", "unexpected"):
        assert set(figures[kind]) == expected[kind], kind
    if any(expected.values()):
        assert figures["verdict"] is Verdict.INVALID
    else:
        assert (figures["verdict"] is Verdict.VALID) == (not figures["unread"])


def test_a_value_acknowledged_twice_and_stored_once_is_lost_once() -> None:
    reader = [Op("ok", "read", 1, 9, offset=0), Op("ok", "end", process=9, offset=0)]
    result = stream(history([*published(1, 1), *reader]))
    assert (result.verdict, result.figures["lost-count"]) == (Verdict.INVALID, 1)
    twice = [Op("ok", "read", 1, 9, offset=0), Op("ok", "read", 1, 9, offset=1)]
    stored = [*published(1, 1), *twice, Op("ok", "end", process=9, offset=1)]
    assert stream(history(stored)).verdict is Verdict.VALID
