"""topology: what was confirmed is on every node, and what was deleted is on none."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jepsenvm.checkers.topology import KINDS, topology
from jepsenvm.checkers.topology_things import binding, bound_exchange, bound_queue
from jepsenvm.checkers.verdict import Result, Verdict
from jepsenvm.history.op import Op, Type
from jepsenvm.history.table import from_ops
from tests.unit.builders import history, operation, recovery_record

NODES: Final = ("n1", "n2", "n3")
DRAIN: Final = 1000
Q, E, X, A = 1, 2, 3, 4
"""A queue, an exchange, an exclusive queue and an auto-delete queue."""
B: Final = binding(E, Q)


def did(f: str, value: int | None = None, end: Type = "ok", process: int = 0) -> list[Op]:
    """Return an op of the load."""
    return operation(process, f, value, "invoke", end, node="n1")


def read(
    queues: Sequence[int] = (), exchanges: Sequence[int] = (), bindings: Sequence[int] = ()
) -> dict[str, Any]:
    """Return what a node has, in the form of a read's data."""
    return {
        "listed": {
            "queues": list(queues),
            "exchanges": list(exchanges),
            "bindings": list(bindings),
        },
        "found": {"queues": list(queues), "exchanges": list(exchanges)},
        "refused": [],
        "odd": [],
    }


def reads(everywhere: Mapping[str, Any], **changed: Mapping[str, Any]) -> list[Op]:
    """Return a read of each node; ``changed`` has the data of nodes that differ."""
    ops = []
    for process, node in enumerate(NODES, DRAIN):
        data = dict(changed.get(node, everywhere))
        ops += [
            Op("invoke", "read", process=process, node=node),
            Op("ok", "read", process=process, node=node, data=data),
        ]
    return ops


def probe(value: int, end: Type = "ok", node: str = "n1", *, routed: bool = False) -> list[Op]:
    """Return a probe of a binding, or of a queue by its number."""
    data = {"routed": routed} if end == "fail" else None
    return [
        Op("invoke", "probe", value, DRAIN + 50, node=node),
        Op(end, "probe", value, DRAIN + 50, node=node, data=data),
    ]


def judged(*parts: Iterable[Op]) -> Result:
    return topology(history(*parts))


DECLARED: Final = [*did("declare-queue", Q), *did("declare-exchange", E), *did("bind", B)]
WORKS: Final = [*probe(Q), *probe(B)]
ALL: Final = read([Q], [E], [B])
QUEUE: Final = did("declare-queue", Q)


def test_what_was_confirmed_is_on_every_node_and_works() -> None:
    result = judged(DECLARED, reads(ALL), WORKS)
    assert result.verdict is Verdict.VALID
    assert result.reasons == ()
    assert {
        key: count for key, count in result.figures.items() if type(count) is int and count
    } == {
        "confirmed-count": 3,
        "bound-count": 1,
        "read-count": 3,
        "arrived-count": 2,
    }


ANOMALIES: Final[Mapping[str, tuple[str, list[Op]]]] = {
    "a queue is missing on one node": (
        "missing", [*DECLARED, *reads(ALL, n2=read([], [E], [B])), *WORKS],
    ),
    "an exchange is missing on all nodes": ("missing", [*DECLARED, *reads(read([Q], [], [B])), *WORKS]),
    "a binding is missing on one node": ("missing", [*DECLARED, *reads(ALL, n3=read([Q], [E])), *WORKS]),
    "a queue is listed, but AMQP has none": (
        "missing",
        [*QUEUE, *reads(read([Q]), n1={**read([Q]), "found": {"queues": [], "exchanges": []}}), *probe(Q)],
    ),
    "a queue that was declared again after its deletion is missing": (
        "missing",
        [*QUEUE, *did("delete-queue", Q), *QUEUE, *reads(read()), *probe(Q)],
    ),
    "an auto-delete queue without a consumer is missing": (
        "missing", [*did("declare-auto-delete", A), *reads(read()), *probe(A)],
    ),
    "a deleted queue is on one node": (
        "undeleted",
        [*QUEUE, *did("delete-queue", Q), *reads(read(), n2=read([Q])), *probe(Q, "fail")],
    ),
    "a deleted exchange is there": (
        "undeleted",
        [*did("declare-exchange", E), *did("delete-exchange", E), *reads(read([], [E]))],
    ),
    "an unbound binding is there": (
        "undeleted",
        [*DECLARED, *did("unbind", B), *reads(ALL), *probe(Q), *probe(B, "fail")],
    ),
    "a binding survives its queue": (
        "undeleted",
        [*DECLARED, *did("delete-queue", Q), *reads(read([], [E], [B])), *probe(Q, "fail"), *probe(B, "fail")],
    ),
    "a binding survives its exchange": (
        "undeleted",
        [*DECLARED, *did("delete-exchange", E), *reads(read([Q], [], [B])), *probe(Q), *probe(B, "fail")],
    ),
    "an exclusive queue survives its connection": (
        "undeleted",
        [*did("declare-exclusive", X), *did("close"), *reads(read([X])), *probe(X, "fail", routed=True)],
    ),
    "an exclusive queue that may have been declared survives its connection": (
        "undeleted", [*did("declare-exclusive", X, "info"), *reads(read([X])), *probe(X, "fail")],
    ),
    "an auto-delete queue survives its cancelled consumer": (
        "undeleted",
        [*did("declare-auto-delete", A), *did("consume", A), *did("cancel", A), *reads(read([A])), *probe(A)],
    ),
    "an auto-delete queue survives the connection of its consumer": (
        "undeleted",
        [*did("declare-auto-delete", A), *did("consume", A), *did("close"), *reads(read([A])), *probe(A)],
    ),
    "nodes disagree about a queue in doubt": (
        "divergent", [*did("declare-queue", Q, "info"), *reads(read(), n1=read([Q]))],
    ),
    "nodes route differently to a queue in doubt": (
        "divergent",
        [*did("declare-queue", Q, "info"), *reads(read([Q])), *probe(Q), *probe(Q, "fail", "n2")],
    ),
    "a queue that nobody declared": ("unexpected", [*QUEUE, *reads(read([Q, 9])), *probe(Q)]),
    "a queue whose declaration was refused": (
        "unexpected", [*did("declare-queue", Q, "fail"), *reads(read([Q]))],
    ),
    "a name that nobody gives": (
        "unexpected", [*QUEUE, *reads(read([Q]), n1={**read([Q]), "odd": ["run.x"]}), *probe(Q)],
    ),
    "a binding does not route on one node": (
        "broken", [*DECLARED, *reads(ALL), *WORKS, *probe(B, "fail", "n2")],
    ),
    "a queue loses a confirmed message": (
        "broken", [*QUEUE, *reads(read([Q])), *probe(Q, "fail", routed=True)],
    ),
    "a queue is refused to clients": (
        "broken",
        [*QUEUE, *reads(read([Q]), n2={**read([Q]), "refused": [["queues", Q, "404 crashed"]]}), *probe(Q)],
    ),
    "a deleted queue still gets messages": (
        "stray", [*QUEUE, *did("delete-queue", Q), *reads(read()), *probe(Q)],
    ),
    "a deleted binding still routes": (
        "stray",
        [*DECLARED, *did("unbind", B), *reads(read([Q], [E])), *probe(Q), *probe(B, "fail", routed=True)],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("kind", "ops"), ANOMALIES.values(), ids=ANOMALIES)
def test_an_anomaly_is_invalid(kind: str, ops: list[Op]) -> None:
    result = judged(ops)
    assert result.verdict is Verdict.INVALID
    assert result.figures[f"{kind}-count"] == len(result.figures[kind]) > 0
    assert any(f" {kind}: {KINDS[kind]}" in reason for reason in result.reasons)


@pytest.mark.parametrize(("kind", "ops"), ANOMALIES.values(), ids=ANOMALIES)
def test_nothing_is_decided_if_a_node_was_not_read(kind: str, ops: list[Op]) -> None:
    unread = [op for op in ops if (op.f, op.type, op.node) != ("read", "ok", "n3")]
    result = judged(unread)
    assert result.verdict is Verdict.UNKNOWN
    assert "what the nodes have is undecided: the last read of n3 did not finish" in result.reasons


LEGAL: Final[Mapping[str, list[Op]]] = {
    "a deleted queue is gone": [
        *QUEUE, *did("delete-queue", Q), *reads(read()), *probe(Q, "fail"),
    ],
    "a queue was declared again": [
        *QUEUE, *did("delete-queue", Q), *QUEUE, *reads(read([Q])), *probe(Q),
    ],
    "a binding is gone with its queue": [
        *DECLARED, *did("delete-queue", Q), *reads(read([], [E])), *probe(Q, "fail"), *probe(B, "fail"),
    ],
    "a binding is gone with its exchange": [
        *DECLARED, *did("delete-exchange", E), *reads(read([Q])), *probe(Q), *probe(B, "fail"),
    ],
    "an unbound binding is gone": [
        *DECLARED, *did("unbind", B), *reads(read([Q], [E])), *probe(Q), *probe(B, "fail"),
    ],
    "an exclusive queue is gone": [
        *did("declare-exclusive", X), *did("close"), *reads(read()), *probe(X, "fail"),
    ],
    "an auto-delete queue is gone after its consumer": [
        *did("declare-auto-delete", A), *did("consume", A), *did("cancel", A), *reads(read()), *probe(A, "fail"),
    ],
    "an auto-delete queue without a consumer stays": [
        *did("declare-auto-delete", A), *reads(read([A])), *probe(A),
    ],
    "a refused declaration does nothing": [*did("declare-queue", Q, "fail"), *reads(read())],
    "a refused deletion does nothing": [
        *QUEUE, *did("delete-queue", Q, "fail"), *reads(read([Q])), *probe(Q),
    ],
    "a probe in doubt was repeated": [
        *QUEUE, *reads(read([Q])), *probe(Q, "info"), *probe(Q),
    ],
}  # fmt: skip


@pytest.mark.parametrize("ops", LEGAL.values(), ids=LEGAL)
def test_what_is_legal_is_valid(ops: list[Op]) -> None:
    assert judged(ops).verdict is Verdict.VALID


IN_DOUBT: Final[Mapping[str, list[Op]]] = {
    "declared in doubt": did("declare-queue", Q, "info"),
    "declared and never completed": did("declare-queue", Q)[:1],
    "deleted in doubt": [*QUEUE, *did("delete-queue", Q, "info", 1)],
    "declared again after a deletion in doubt": [
        *QUEUE, *did("delete-queue", Q, "info", 1), *did("declare-queue", Q, process=2),
    ],
    "declared in doubt before its deletion": [
        *did("declare-queue", Q, "info", 1), *did("delete-queue", Q, process=2),
    ],
    "auto-delete, and the connection of the consumer was lost": [
        *did("declare-auto-delete", Q), *did("consume", Q),
    ],
    "auto-delete, and consumed in doubt": [
        *did("declare-auto-delete", Q), *did("consume", Q, "info"),
    ],
    "auto-delete, and cancelled in doubt": [
        *did("declare-auto-delete", Q), *did("consume", Q), *did("cancel", Q, "info"),
    ],
    "auto-delete, and another connection was closed": [
        *did("declare-auto-delete", Q), *did("consume", Q), *did("close", process=1),
    ],
    "deleted while it was declared": [
        QUEUE[0], *did("delete-queue", Q, process=1), QUEUE[1],
    ],
}  # fmt: skip


@pytest.mark.parametrize("ops", IN_DOUBT.values(), ids=IN_DOUBT)
@pytest.mark.parametrize("exists", [True, False])
def test_a_queue_in_doubt_may_be_either(ops: list[Op], exists: bool) -> None:
    data, end = (read([Q]), "ok") if exists else (read(), "fail")
    result = judged(ops, reads(data), probe(Q, end))  # type: ignore[arg-type]  # a type of ops
    assert result.verdict is Verdict.VALID
    assert result.figures["in-doubt-count"] == 1


BOUND_IN_DOUBT: Final[Mapping[str, list[Op]]] = {
    "bound in doubt": [*DECLARED[:4], *did("bind", B, "info", 1)],
    "unbound in doubt": [*DECLARED, *did("unbind", B, "info", 1)],
    "its queue was deleted in doubt": [
        *DECLARED, *did("delete-queue", Q, "info", 1), *did("declare-queue", Q, process=2),
        *did("bind", B, process=2),
    ],
    "its exchange was deleted in doubt": [
        *DECLARED, *did("delete-exchange", E, "info", 1), *did("declare-exchange", E, process=2),
        *did("bind", B, process=2),
    ],
    "bound while its queue was deleted": [
        *DECLARED[:4], DECLARED[4], *did("delete-queue", Q, process=1), DECLARED[5],
        *did("declare-queue", Q),
    ],
    "bound and deleted at the same time": [
        *DECLARED[:4], did("delete-queue", Q, process=1)[0], *did("bind", B),
        did("delete-queue", Q, process=1)[1], *did("declare-queue", Q),
    ],
}  # fmt: skip


@pytest.mark.parametrize("ops", BOUND_IN_DOUBT.values(), ids=BOUND_IN_DOUBT)
@pytest.mark.parametrize("exists", [True, False])
def test_a_binding_in_doubt_may_be_either(ops: list[Op], exists: bool) -> None:
    data = read([Q], [E], [B] if exists else [])
    result = judged(ops, reads(data), probe(Q), probe(B, "ok" if exists else "fail"))
    assert result.verdict is Verdict.VALID


def test_a_deletion_that_was_repeated_until_it_was_certain_is_certain() -> None:
    ops = [*QUEUE, *did("delete-queue", Q, "info", 1), *did("delete-queue", Q, process=2)]
    assert judged(ops, reads(read()), probe(Q, "fail")).verdict is Verdict.VALID
    assert judged(ops, reads(read([Q])), probe(Q, "fail")).verdict is Verdict.INVALID


def test_a_declaration_that_was_repeated_until_it_was_certain_is_certain() -> None:
    ops = [*did("declare-queue", Q, "info", 1), *did("declare-queue", Q, process=2)]
    assert judged(ops, reads(read([Q])), probe(Q)).verdict is Verdict.VALID
    assert judged(ops, reads(read()), probe(Q)).verdict is Verdict.INVALID


def test_only_the_last_read_of_a_node_counts() -> None:
    settling = reads(read(), n1=read([Q, 7]))
    assert judged(QUEUE, settling, reads(read([Q])), probe(Q)).verdict is Verdict.VALID


MISSING: Final = [*QUEUE, *reads(read()), *probe(Q)]


@pytest.mark.parametrize(
    ("ops", "reason"),
    [
        (QUEUE, "no node was read"),
        ([*QUEUE, *reads(read())[:4]], "n3 was not read"),
        ([*MISSING, *did("declare-queue", 8, process=5)[1:]], "1 completion has no invocation"),
        ([*MISSING, Op("info", "drain", process=9)], "the controller's machine restarted"),
        ([recovery_record(troubles={"n1": "is down"}), *MISSING], "the cluster did not recover"),
        ([recovery_record(restarted=list(NODES)), *MISSING], "jepsenvm restarted every node (n1"),
        ([*MISSING, *did("declare-queue")], "1 op has no number"),
    ],
)  # fmt: skip
def test_what_makes_a_missing_queue_undecided(ops: list[Op], reason: str) -> None:
    # A read of n3 shows that there is such a node.
    node = did("close", process=6)[:1]
    other = [Op(op.type, op.f, op.value, op.process, node="n3") for op in node]
    result = judged(other, ops)
    assert result.verdict is Verdict.UNKNOWN
    assert any(reason in text for text in result.reasons), result.reasons


def test_a_history_that_is_cut_short_decides_nothing() -> None:
    assert topology(from_ops(MISSING, complete=False)).verdict is Verdict.UNKNOWN
    assert topology(from_ops(MISSING)).verdict is Verdict.INVALID


def test_restarts_of_some_nodes_are_a_remark() -> None:
    result = judged([recovery_record(restarted=["n2"])], MISSING)
    assert result.verdict is Verdict.INVALID
    assert "jepsenvm restarted n2 before the reads, because of its recovery" in result.reasons


@pytest.mark.parametrize(
    "data",
    [
        None,
        [],
        {},
        {**read(), "listed": {"queues": 1}},
        {**read(), "found": {"queues": ["1"], "exchanges": []}},
        {**read(), "refused": [["bindings", 1, "no"]]},
        {**read(), "odd": "run"},
    ],
)
def test_a_read_that_is_not_understood_decides_nothing(data: Any) -> None:
    ops = [
        Op("invoke", "read", process=DRAIN, node="n1"),
        Op("ok", "read", process=DRAIN, node="n1", data=data),
    ]
    result = judged(QUEUE, reads(read([Q])), ops, probe(Q))
    assert result.verdict is Verdict.UNKNOWN
    assert any("the read of n1 is not understood" in reason for reason in result.reasons)


@pytest.mark.parametrize("probes", [[], probe(Q, "info"), [*probe(Q), *probe(Q, "info", "n2")]])
def test_what_was_not_probed_is_not_proven(probes: list[Op]) -> None:
    for ops in (QUEUE, [*QUEUE, *did("delete-queue", Q)]):
        queues = [Q] if len(ops) == 2 else []
        refused = [Op(op.type if op.type != "ok" else "fail", *_rest(op)) for op in probes]
        result = judged(ops, reads(read(queues)), probes if queues else refused)
        assert result.verdict is Verdict.UNKNOWN
        assert result.figures["unproven-count"] == 1


def _rest(op: Op) -> tuple[str, Any, int, int, str | None]:
    return op.f, op.value, op.process, op.time, op.node


def test_a_binding_has_the_numbers_of_both_ends() -> None:
    number = binding(123, 456)
    assert (bound_exchange(number), bound_queue(number)) == (123, 456)
    assert binding(0, 456) == 456


# A correct broker, whose operations in doubt take effect at any later time or never.


@dataclass
class Model:
    """A correct broker and one client. ``apply`` gives each op to the broker."""

    random: Random
    ops: list[Op] = field(default_factory=list)
    queues: set[int] = field(default_factory=set)
    exchanges: set[int] = field(default_factory=set)
    bindings: set[int] = field(default_factory=set)
    late: list[Callable[[], bool]] = field(default_factory=list)
    used: set[int] = field(default_factory=set)
    process: int = 0
    auto_delete: int = 20
    stage: int = 0
    """How many ops on the auto-delete queue were done."""

    def effect(self, f: str, number: int) -> bool:
        """Let an op take effect; return False if the broker refuses it."""
        if f == "declare-queue":
            self.queues.add(number)
        elif f == "declare-exchange":
            self.exchanges.add(number)
        elif f == "delete-queue":
            self.queues.discard(number)
            self.bindings = {b for b in self.bindings if bound_queue(b) != number}
        elif f == "delete-exchange":
            self.exchanges.discard(number)
            self.bindings = {b for b in self.bindings if bound_exchange(b) != number}
        elif f == "bind":
            if (
                bound_queue(number) not in self.queues
                or bound_exchange(number) not in self.exchanges
            ):
                return False
            self.bindings.add(number)
        else:
            self.bindings.discard(number)
        return True

    def live(self) -> None:
        """Do the next op on an auto-delete queue, or lose its consumer, or use an exclusive one."""
        number = self.auto_delete
        self.used |= {number, number + 1}
        self.ops += did("declare-exclusive", number + 1, process=self.process)
        if self.stage == 0:
            self.ops += did("declare-auto-delete", number, process=self.process)
            self.queues.add(number)
        elif self.stage == 1:
            self.ops += did("consume", number, process=self.process)
        else:
            self.lose_consumer(number)
            self.auto_delete, self.stage = number + 2, -1
            self.process += 1
        self.stage += 1

    def lose_consumer(self, number: int) -> None:
        end = self.random.choice(("cancel", "close", "lost"))
        if end != "lost":
            self.ops += did(end, number if end == "cancel" else None, process=self.process)
        # A queue whose node restarted waits for its first consumer again.
        if end != "lost" or self.random.random() < 0.5:
            self.queues.discard(number)

    def step(self) -> None:
        if self.random.random() < 0.2:
            self.live()
            return
        while self.late and self.random.random() < 0.2:
            self.late.pop(self.random.randrange(len(self.late)))()
        end = self.random.choice(("ok", "ok", "ok", "late", "never", "now"))
        f = self.random.choice(
            ("declare-queue", "declare-exchange", "delete-queue", "delete-exchange", "bind", "bind", "unbind")
        )  # fmt: skip
        queue, exchange = self.random.choice((1, 2, 3)), self.random.choice((11, 12))
        number = {"queue": queue, "exchange": exchange}.get(
            f.rpartition("-")[2], binding(exchange, queue)
        )
        if not f.endswith("exchange"):
            self.used.add(number)
        if end == "late":
            self.late.append(lambda: self.effect(f, number))
        served = end not in ("ok", "now") or self.effect(f, number)
        completion: Type = "info" if end != "ok" else "ok" if served else "fail"
        self.ops += did(f, number, completion, self.process)
        if completion == "info":
            self.process += 1
            if self.stage == 2:
                self.queues -= {self.auto_delete} if self.random.random() < 0.5 else set()
                self.auto_delete, self.stage = self.auto_delete + 2, 0

    def drained(self) -> list[Op]:
        """Return what a drain records."""
        for late in self.late:
            if self.random.random() < 0.5:
                late()
        ops = reads(read(sorted(self.queues), sorted(self.exchanges), sorted(self.bindings)))
        for number in sorted(self.used):
            exists = number in (self.bindings if bound_exchange(number) else self.queues)
            for node in NODES:
                ops += probe(number, "ok" if exists else "fail", node)
        return ops


@given(seed=st.integers(0, 2**32), steps=st.integers(1, 40))
def test_a_correct_broker_is_never_accused(seed: int, steps: int) -> None:
    model = Model(Random(seed))
    for _ in range(steps):
        model.step()
    result = judged(model.ops, model.drained())
    assert result.verdict is Verdict.VALID, result.reasons


@given(seed=st.integers(0, 2**32), steps=st.integers(1, 40), node=st.sampled_from(NODES))
def test_an_anomaly_of_a_correct_broker_is_always_found(seed: int, steps: int, node: str) -> None:
    """One node forgets something that it has, or has something that it must not have."""
    model = Model(Random(seed))
    for _ in range(steps):
        model.step()
    drained = model.drained()
    kind, numbers = model.random.choice(
        [("queues", model.queues), ("exchanges", model.exchanges), ("bindings", model.bindings)]
    )
    candidates = {
        "queues": (1, 2, 3, 20, 21),
        "exchanges": (11, 12),
        "bindings": (binding(11, 1),),
    }[kind]
    number = model.random.choice(candidates)
    changed = []
    for op in drained:
        if (op.type, op.f, op.node) == ("ok", "read", node):
            data = {**op.data, "listed": {**op.data["listed"]}}
            data["listed"][kind] = sorted(numbers ^ {number})
            changed.append(Op("ok", "read", process=op.process, node=node, data=data))
        else:
            changed.append(op)
    assert judged(model.ops, changed).verdict is Verdict.INVALID
