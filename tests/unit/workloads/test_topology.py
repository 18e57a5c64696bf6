"""The clients and the drain of workload topology, against a fake broker with three nodes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, Final
from unittest.mock import MagicMock

import pytest

from jepsenvm.checkers.topology import topology
from jepsenvm.checkers.topology_states import CHANGES
from jepsenvm.checkers.topology_things import binding
from jepsenvm.checkers.verdict import Result, Verdict
from jepsenvm.errors import RunError, UsageError
from jepsenvm.history.export import FORMATS
from jepsenvm.history.journal import Journal
from jepsenvm.history.op import Op
from jepsenvm.history.readers import open_history
from jepsenvm.nemesis.registry import NEMESES
from jepsenvm.plan.plan import Plan
from jepsenvm.plan.reading import resolve
from jepsenvm.rabbitmq.amqp import Address, Delivery, Outcome, Session, SessionLost
from jepsenvm.rabbitmq.topology_listing import Binding, Listing
from jepsenvm.workloads import (
    connections,
    node_sessions,
    topology_client,
    topology_drain,
    topology_probes,
)
from jepsenvm.workloads.context import Context
from jepsenvm.workloads.registry import WORKLOADS
from jepsenvm.workloads.topology_drain import Remembered, read_and_probe
from jepsenvm.workloads.topology_reads import Seen, seen_in

RUN: Final = "jepsenvm.quorum.20261125T140311.000000Z"
NODES: Final = ("n1", "n2", "n3")
ADDRESSES: Final = [Address(node, "192.0.2.1", 5672, "user", "secret") for node in NODES]
CLOSED: Final = "200 Normal shutdown"


@dataclass
class Broker:
    """A cluster whose nodes all have the same, unless ``faults`` says otherwise."""

    queues: dict[str, list[bytes]] = field(default_factory=dict)
    exchanges: set[str] = field(default_factory=lambda: {"", "amq.topic"})
    bindings: set[tuple[str, str, str]] = field(default_factory=set)
    """Exchange, queue and routing key."""
    calls: int = 0
    before_call: Callable[[Connection, str, str], None] = lambda *_: None
    """Called with the connection, the method and the name before each method."""
    after_call: Callable[[Connection, str, str], None] = lambda *_: None
    keeps: Callable[[str], bool] = lambda _: False
    """Whether an exclusive or auto-delete queue stays although it must go."""
    lists: Callable[[str, Listing], Listing] = lambda _, listing: listing
    """Changes what a node lists."""

    def remove(self, name: str) -> None:
        if self.keeps(name):
            return
        self.queues.pop(name, None)
        self.bindings = {bound for bound in self.bindings if name not in bound[:2]}

    async def list_node(self, node: str) -> Listing:
        bindings = frozenset(Binding(*bound) for bound in self.bindings)
        return self.lists(
            node, Listing(frozenset(self.queues), frozenset(self.exchanges), bindings)
        )


class Connection(Session):
    """A session of the fake broker."""

    def __init__(self, address: Address, broker: Broker) -> None:
        super().__init__(address, MagicMock())
        self._broker = broker
        self._exclusive: list[str] = []
        self._consuming: list[str] = []
        self._consumer_of = ""

    def _method(self, method: str, name: str) -> None:
        if self.lost is not None:
            raise SessionLost(self.lost)
        self._broker.calls += 1
        self._broker.before_call(self, method, name)

    def _end(self, method: str, name: str) -> None:
        self._broker.after_call(self, method, name)
        if self.lost is not None:
            raise SessionLost(self.lost)

    def refuse(self, reason: str) -> None:
        self.abandon(reason)
        raise SessionLost(reason)

    def _lose(self, reason: str) -> None:
        super()._lose(reason)
        for name in [*self._exclusive, *self._consuming]:
            self._broker.remove(name)
        self._exclusive, self._consuming = [], []

    async def declare(
        self,
        queue: str,
        arguments: Mapping[str, Any],
        *,
        exclusive: bool = False,
        auto_delete: bool = False,
    ) -> None:
        self._method("declare", queue)
        self._broker.queues.setdefault(queue, [])
        if exclusive:
            self._exclusive.append(queue)
        assert arguments["x-queue-type"] == ("classic" if exclusive or auto_delete else "quorum")
        self._end("declare", queue)

    async def delete(self, queue: str) -> None:
        self._method("delete", queue)
        self._broker.remove(queue)
        self._end("delete", queue)

    async def declare_exchange(self, exchange: str, type: str) -> None:
        self._method("declare_exchange", exchange)
        self._broker.exchanges.add(exchange)
        self._end("declare_exchange", exchange)

    async def delete_exchange(self, exchange: str) -> None:
        self._method("delete_exchange", exchange)
        self._broker.exchanges.discard(exchange)
        self._broker.bindings = {b for b in self._broker.bindings if b[0] != exchange}
        self._end("delete_exchange", exchange)

    async def bind(
        self, queue: str, exchange: str, key: str, arguments: Mapping[str, Any] | None = None
    ) -> None:
        assert not arguments
        self._method("bind", queue)
        if queue not in self._broker.queues or exchange not in self._broker.exchanges:
            self.refuse("404 NOT_FOUND - no queue or exchange")
        self._broker.bindings.add((exchange, queue, key))
        self._end("bind", queue)

    async def unbind(self, queue: str, exchange: str, key: str) -> None:
        self._method("unbind", queue)
        self._broker.bindings.discard((exchange, queue, key))
        self._end("unbind", queue)

    async def consume(self, queue: str, *_: object) -> str:
        self._method("consume", queue)
        self._consumer_of = queue
        self._consuming.append(queue)
        return "tag"

    async def cancel(self, tag: str) -> None:
        self._method("cancel", self._consumer_of)
        self._broker.remove(self._consumer_of)
        self._consuming.remove(self._consumer_of)

    async def require_queue(self, queue: str) -> None:
        self._method("require_queue", queue)
        if queue not in self._broker.queues:
            self.refuse(f"404 NOT_FOUND - no queue '{queue}' in vhost '/'")

    async def require_exchange(self, exchange: str) -> None:
        self._method("require_exchange", exchange)
        if exchange not in self._broker.exchanges:
            self.refuse(f"404 NOT_FOUND - no exchange '{exchange}' in vhost '/'")

    async def publish(
        self,
        queue: str,
        body: bytes,
        *,
        exchange: str = "",
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
    ) -> Outcome:
        assert not headers
        self._method("publish", queue)
        if exchange not in self._broker.exchanges:
            self.refuse(f"404 NOT_FOUND - no exchange '{exchange}' in vhost '/'")
        targets = [
            bound for at, bound, key in self._broker.bindings if (at, key) == (exchange, queue)
        ]
        if not exchange:
            targets = [queue] if queue in self._broker.queues else []
        for target in targets:
            self._broker.queues[target].append(body)
        return Outcome.CONFIRMED if targets else Outcome.RETURNED

    async def get(self, queue: str) -> Delivery | None:
        self._method("get", queue)
        messages = self._broker.queues[queue]
        return Delivery(1, messages.pop(0), redelivered=False) if messages else None

    def settle(self, tag: int, *, returned: bool) -> None:
        assert not returned

    async def close(self) -> None:
        self._method("close", "")
        self._lose(CLOSED)


@dataclass
class World:
    """A run of the workload against the fake broker."""

    folder: Path
    broker: Broker
    plan: Plan

    def run(self, *, drained_by_another_process: bool = False) -> None:
        ticks = count()
        journal = Journal(self.folder / "history.arrow", lambda: next(ticks))

        async def run() -> None:
            context = Context(
                self.plan, ADDRESSES, RUN, journal, asyncio.Event(), list_node=self.broker.list_node
            )
            workload = WORKLOADS["topology"]
            async with asyncio.timeout(60):
                await asyncio.gather(*workload.load(context))
                context.stop.set()
                if drained_by_another_process:
                    await read_and_probe(context, None)
                else:
                    await workload.drain(context, MagicMock())

        asyncio.run(run())
        journal.close()

    def ops(self) -> list[Op]:
        return list(open_history(self.folder / "history.arrow").ops())

    def result(self) -> Result:
        return topology(open_history(self.folder / "history.arrow"))


def plan_of(**keys: Any) -> Plan:
    given = {"workload": "topology", "seed": 3, "rate": 0, "nemesis": "none", **keys}
    return resolve(given, "plan.yml", WORKLOADS, NEMESES)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    broker = Broker()

    async def connect(address: Address, **_: object) -> Session:
        return Connection(address, broker)

    monkeypatch.setattr(connections, "connect", connect)
    monkeypatch.setattr(node_sessions, "connect", connect)
    for module, name in (
        (topology_drain, "READ_AGAIN_S"),
        (topology_probes, "PROBE_AGAIN_S"),
        (topology_probes, "GET_AGAIN_S"),
        (topology_drain, "SETTLE_S"),
        (topology_client, "RECONNECT_DELAY_S"),
    ):
        monkeypatch.setattr(module, name, 0.0)
    return World(tmp_path, broker, plan_of(messages=600))


def test_a_correct_broker_is_valid_and_every_op_is_done(world: World) -> None:
    world.run()
    result = WORKLOADS["topology"].exercised_checkers(world.plan)["topology"](
        open_history(world.folder / "history.arrow")
    )
    assert result.verdict is Verdict.VALID, result.reasons
    names = {op.f for op in world.ops()}
    assert names == {*CHANGES, "read", "probe"}
    changes = [op for op in world.ops() if op.f in CHANGES and op.type == "invoke"]
    assert 600 <= len(changes) <= 600 + len(NODES), "each client closes its connection in the end"


@pytest.mark.parametrize("format_", ["edn", "jsonl"])
def test_an_exported_history_gets_the_same_result(format_: str, world: World) -> None:
    world.broker.lists = forgets("queues")
    world.run()
    exported = world.folder / f"export.{format_}"
    with exported.open("wb") as file:
        FORMATS[format_](open_history(world.folder / "history.arrow"), file)
    assert topology(open_history(exported)) == world.result()
    assert world.result().verdict is Verdict.INVALID


def test_one_op_of_a_process_follows_the_other_and_each_connection_is_a_process(
    world: World,
) -> None:
    world.run()
    open_ops: set[int] = set()
    closed: set[int] = set()
    for op in world.ops():
        assert op.process not in closed
        assert (op.process in open_ops) is (op.type != "invoke")
        open_ops ^= {op.process}
        if op.f == "close" and op.type == "ok":
            closed.add(op.process)
    assert closed


def test_an_op_is_in_the_history_before_it_is_sent(world: World) -> None:
    missing: list[str] = []

    def before(_connection: Connection, method: str, name: str) -> None:
        if world.broker.calls % 20 == 0 and method not in ("publish", "get", "close"):
            ops = world.ops()
            numbers = {
                f"{RUN}.{op.value % 10**9}" for op in ops if op.value and op.type == "invoke"
            }
            exchanges = {f"{RUN}.{op.value // 10**9}" for op in ops if op.value}
            if name not in numbers | exchanges:
                missing.append(name)

    world.plan = plan_of(messages=120)
    world.broker.before_call = before
    world.run()
    assert missing == []


@pytest.mark.parametrize("after", [True, False])
def test_an_op_whose_connection_is_lost_is_in_doubt(after: bool, world: World) -> None:
    turns = count(1)

    def lose(connection: Connection, method: str, _: str) -> None:
        if method.startswith(("declare", "delete", "bind", "unbind")) and next(turns) % 7 == 0:
            connection.refuse("[Errno 104] Connection reset by peer")

    if after:
        world.broker.after_call = lose
    else:
        world.broker.before_call = lose
    world.run()
    result = world.result()
    assert result.verdict is Verdict.VALID, result.reasons
    ends = {
        (op.f, op.type) for op in world.ops() if op.error == "[Errno 104] Connection reset by peer"
    }
    assert {("declare-queue", "info"), ("delete-queue", "info"), ("bind", "info")} <= ends
    assert "fail" not in {type_ for _, type_ in ends}


@pytest.mark.parametrize(
    ("reason", "end"),
    [
        ("403 ACCESS_REFUSED", "fail"),
        ("404 NOT_FOUND - home node of durable queue is down", "fail"),
        ("405 RESOURCE_LOCKED", "fail"),
        ("406 PRECONDITION_FAILED", "fail"),
        ("541 INTERNAL_ERROR", "info"),
        ("320 CONNECTION_FORCED", "info"),
    ],
)
def test_a_refused_op_failed_and_another_error_leaves_it_in_doubt(
    reason: str, end: str, world: World
) -> None:
    turns = count(1)

    def refuse(connection: Connection, method: str, _: str) -> None:
        if method == "declare" and next(turns) % 5 == 0:
            connection.refuse(reason)

    world.broker.before_call = refuse
    world.run()
    assert {op.type for op in world.ops() if op.error == reason} == {end}
    assert world.result().verdict is Verdict.VALID


def test_an_op_without_an_answer_is_in_doubt(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async def silent(*_: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(Connection, "delete_exchange", silent)
    world.plan = plan_of(messages=90, **{"op-timeout": 0.01})
    world.run()
    ends = {(op.type, op.error) for op in world.ops() if op.f == "delete-exchange"}
    assert ends == {("invoke", None), ("info", "no answer within 0.01 s")}
    assert world.result().verdict is Verdict.VALID


def test_a_close_that_the_broker_did_not_confirm_is_in_doubt(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def reset(connection: Connection) -> None:
        connection._lose("[Errno 104] Connection reset by peer")

    monkeypatch.setattr(Connection, "close", reset)
    world.plan = plan_of(messages=60)
    world.run()
    assert {op.type for op in world.ops() if op.f == "close"} == {"invoke", "info"}


def test_a_connection_whose_channel_the_broker_closes_is_closed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise its exclusive queues would live as long as this process."""
    opened: list[Connection] = []
    original = Connection.declare

    async def declare(connection: Connection, *words: Any, **kind: Any) -> None:
        await original(connection, *words, **kind)
        opened.append(connection)
        if len(opened) % 3 == 0:
            connection._lose("404 the channel is closed")

    monkeypatch.setattr(Connection, "declare", declare)
    world.run()
    lost = {connection for connection in opened if connection.lost == "404 the channel is closed"}
    assert lost
    for connection in lost:
        connection._connection.close.assert_called()


def forgets(kind: str) -> Callable[[str, Listing], Listing]:
    """Return a change of what n2 lists: it lacks one name of the run."""

    def change(node: str, listing: Listing) -> Listing:
        parts: dict[str, Any] = {
            "queues": listing.queues,
            "exchanges": listing.exchanges,
            "bindings": listing.bindings,
        }
        own = sorted((part for part in parts[kind] if RUN in str(part)), key=str)
        if node == "n2":
            parts[kind] = parts[kind] - set(own[:1])
        return Listing(**parts)

    return change


@pytest.mark.parametrize("kind", ["queues", "exchanges", "bindings"])
def test_a_node_that_lacks_something_is_found_out(kind: str, world: World) -> None:
    world.broker.lists = forgets(kind)
    world.run()
    result = world.result()
    assert result.verdict is Verdict.INVALID
    assert result.figures["missing-count"] == 1
    assert result.figures["missing"][0].endswith(", not on n2")


def test_exclusive_and_auto_delete_queues_that_stay_are_found_out(world: World) -> None:
    exclusive_or_auto_delete: set[str] = set()
    original = Connection.declare

    async def declare(
        connection: Connection, queue: str, arguments: Mapping[str, Any], **kind: bool
    ) -> None:
        if kind:
            exclusive_or_auto_delete.add(queue)
        await original(connection, queue, arguments, **kind)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Connection, "declare", declare)
        world.broker.keeps = lambda name: name in exclusive_or_auto_delete
        world.run()
    result = world.result()
    assert result.verdict is Verdict.INVALID
    assert result.figures["undeleted-count"] > 5
    assert result.figures["stray-count"] > 5


@pytest.mark.parametrize(
    ("method", "kind"), [("publish", "broken"), ("get", "broken"), ("require_queue", "broken")]
)
def test_a_queue_that_does_not_serve_clients_is_found_out(
    method: str, kind: str, world: World
) -> None:
    def refuse(connection: Connection, called: str, _: str) -> None:
        if called == method and connection.address.node == "n3":
            connection.refuse("404 NOT_FOUND - queue has crashed and failed to restart")

    world.broker.before_call = refuse
    world.run()
    result = world.result()
    assert result.verdict is Verdict.INVALID
    assert result.figures[f"{kind}-count"] > 0


def test_a_confirmed_message_that_the_queue_does_not_have_is_found_out(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def nothing(*_: object) -> None: ...

    monkeypatch.setattr(Connection, "get", nothing)
    world.plan = plan_of(messages=60, names=1, **{"op-timeout": 0.02})
    world.run()
    lost = [op for op in world.ops() if op.f == "probe" and op.type == "fail" and op.data["routed"]]
    assert lost
    assert {op.error for op in lost} == {"confirmed, but not in the queue within 0.02 s"}
    assert world.result().verdict is Verdict.INVALID


def test_a_probe_without_an_answer_is_repeated_and_proves_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def silent(*_: object, **__: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(Connection, "publish", silent)
    world.plan = plan_of(messages=6, names=1, **{"op-timeout": 0.01})
    world.run()
    probes = [op for op in world.ops() if op.f == "probe"]
    assert {op.type for op in probes} == {"invoke", "info"}
    for number in {op.value for op in probes}:
        attempts = [op.node for op in probes if op.value == number and op.type == "info"]
        assert len(attempts) == topology_probes.PROBE_ATTEMPTS
        assert len(set(attempts)) == 1, "the other nodes would not answer either"
    assert world.result().verdict is Verdict.UNKNOWN


def test_a_node_that_lists_nothing_is_read_again_until_the_deadline(world: World) -> None:
    asked = count()

    def refuse(node: str, listing: Listing) -> Listing:
        if node == "n2":
            next(asked)
            raise RunError("no answer", node=node)
        return listing

    world.broker.lists = refuse
    world.plan = plan_of(messages=60, **{"drain-deadline": 0.2})
    world.run()
    assert next(asked) > 1
    result = world.result()
    assert result.verdict is Verdict.UNKNOWN
    assert "what the nodes have is undecided: the last read of n2 did not finish" in result.reasons


def test_a_drain_that_ends_before_the_nodes_agree_accuses_nobody(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(topology_drain, "SETTLE_S", 60.0)
    monkeypatch.setattr(topology_drain, "READ_AGAIN_S", 60.0)
    world.broker.lists = forgets("queues")
    world.plan = plan_of(messages=60, **{"drain-deadline": 1})
    world.run()
    result = world.result()
    assert result.figures["missing-count"] > 0
    assert result.verdict is Verdict.UNKNOWN
    assert any("ended before the nodes had agreed" in reason for reason in result.reasons)


def test_a_refused_login_says_nothing_about_what_routes(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Refusing(node_sessions.NodeSessions):
        async def to(self, address: Address) -> Session:
            raise SessionLost("403 ACCESS_REFUSED - Login was refused")

    monkeypatch.setattr(topology_probes, "NodeSessions", Refusing)
    world.plan = plan_of(messages=60)
    world.run()
    probes = [op for op in world.ops() if op.f == "probe" and op.type != "invoke"]
    assert {op.type for op in probes} == {"info"}
    assert world.result().verdict is Verdict.UNKNOWN


def test_the_nodes_have_time_to_agree(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(topology_drain, "SETTLE_S", 60.0)
    late = count()

    def change(node: str, listing: Listing) -> Listing:
        return forgets("queues")(node, listing) if next(late) < 9 else listing

    world.broker.lists = change
    world.run()
    assert world.result().verdict is Verdict.VALID
    reads = [op for op in world.ops() if op.f == "read" and op.type == "ok"]
    assert len(reads) == 5 * len(NODES), "three rounds that differ, and two that agree"


def test_a_resumed_run_probes_what_is_listed_and_is_never_accused(world: World) -> None:
    world.run(drained_by_another_process=True)
    result = world.result()
    assert result.verdict is Verdict.UNKNOWN
    assert result.figures["arrived-count"] > 0
    assert not any(result.figures[key] for key in ("missing", "undeleted", "unexpected", "broken"))


def test_a_listing_in_numbers() -> None:
    listing = Listing(
        queues=frozenset({RUN, f"{RUN}.1", f"{RUN}.2", f"{RUN}.02", f"{RUN}.x", "theirs", f"{RUN}0.1"}),
        exchanges=frozenset({"", "amq.direct", f"{RUN}.7"}),
        bindings=frozenset(
            {
                Binding(f"{RUN}.7", f"{RUN}.1", "1"),
                Binding(f"{RUN}.7", f"{RUN}.2", "1"),
                Binding(f"{RUN}.7", "theirs", "1"),
                Binding("theirs", "theirs", ""),
            }
        ),
    )  # fmt: skip
    assert seen_in(RUN, listing) == Seen(
        {"queues": [1, 2], "exchanges": [7], "bindings": [binding(7, 1)]},
        [
            f"binding of {RUN}.2 to {RUN}.7 with key 1",
            f"binding of theirs to {RUN}.7 with key 1",
            f"{RUN}.02",
            f"{RUN}.x",
        ],
    )


@pytest.mark.parametrize(
    ("key", "value"),
    [("window", 2), ("consumers", 1), ("message-size", 64), ("confirm", "transactions")],
)
def test_keys_without_effect_are_refused(key: str, value: object) -> None:
    extra = {"queue-type": "classic"} if key == "confirm" else {}
    with pytest.raises(UsageError, match=f"{key}.* has no effect on workload topology"):
        plan_of(**{key: value, **extra})


def left(numbers: Collection[int]) -> Remembered:
    return Remembered(used=(), temporary=numbers)


def test_the_drain_waits_for_what_must_go() -> None:
    def seen(*queues: int) -> Seen:
        return Seen({"queues": list(queues), "exchanges": [], "bindings": []}, [])

    final = topology_drain._is_final
    assert final([seen(1), seen(1)], left([2]))
    assert not final([seen(1), seen(1)], left([1]))
    assert not final([seen(1), seen()], left([]))
    assert not final([seen(1), seen(1)], None)
    refused = seen(1)
    refused.refused.append(("queues", 1, "404"))
    assert not final([seen(1), refused], left([]))


def test_too_many_probes_go_through_one_node_each(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nodes_by_number() -> dict[int, set[str | None]]:
        probes = [op for op in world.ops() if op.f == "probe"]
        numbers = {op.value for op in probes}
        return {number: {op.node for op in probes if op.value == number} for number in numbers}

    monkeypatch.setattr(topology_probes, "MOST_PROBES", 10)
    world.run()
    assert {len(nodes) for nodes in nodes_by_number().values()} == {1}
    assert set().union(*nodes_by_number().values()) == set(NODES)
    assert world.result().verdict is Verdict.VALID


def test_what_lasts_is_probed_through_every_node(world: World) -> None:
    world.run()
    names = {op.value: op.f for op in world.ops() if op.f.startswith("declare-") and op.value}
    through = {
        f: {
            frozenset(op.node for op in world.ops() if op.f == "probe" and op.value == number)
            for number, declared in names.items()
            if declared == f
        }
        for f in ("declare-queue", "declare-exclusive")
    }
    assert through["declare-queue"] == {frozenset(NODES)}
    assert {len(nodes) for nodes in through["declare-exclusive"]} == {1}
