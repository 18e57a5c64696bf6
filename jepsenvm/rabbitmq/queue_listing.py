"""The queues of the run's virtual host: their messages, their leaders and their replicas.

Each function asks one node. It raises CommandError if the node's broker does not answer,
UnreachableError if the node does not, and RunError for an answer that is not understood.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from jepsenvm.rabbitmq.erlang import Erlang
from jepsenvm.rabbitmq.node_names import InventoryName, inventory_names
from jepsenvm.rabbitmq.questions import ask, decoded_name, understood

if TYPE_CHECKING:  # paramiko takes long to import, and a check of a history needs no SSH
    from jepsenvm.machines.ssh import Fleet

UNKNOWN_COUNT: Final = -1
"""The count of messages of a queue that does not answer. It must not pass for an empty queue."""

_WHAT: Final = "the queues"

_ALL: Final = """begin
  Counted = [
    {messages_ready, query_messages_ready},
    {messages_unacknowledged, query_messages_checked_out},
    {messages, query_messages_total}],
  Count = fun(Pid, Function) ->
    try ra:leader_query(Pid, fun rabbit_fifo:Function/1, $most_ms)
    catch error:function_clause -> ra:leader_query(Pid, {rabbit_fifo, Function, []}, $most_ms)
    end
  end,
  Items = fun
    (rabbit_classic_queue) -> [state, messages_ready, messages_unacknowledged, messages];
    (_) when $replicas =:= 1 -> [state, leader, members, online];
    (rabbit_quorum_queue) -> [state, leader];
    (_) -> [state, leader, messages_ready, messages_unacknowledged, messages]
  end,
  NodeOf = fun(Pid) when is_pid(Pid) -> node(Pid); ({_, N}) -> N; (_) -> none end,
  Counts = fun
    (rabbit_quorum_queue, Pid) when $replicas =:= 0 ->
      [{Item, rpc:async_call(node(), erlang, apply, [Count, [Pid, Function]])}
       || {Item, Function} <- Counted];
    (_, _) -> []
  end,
  Queues = lists:usort(rabbit_amqqueue:list($vhost) ++ rabbit_amqqueue:list_down($vhost)),
  Asked = [
    {Q, N, rpc:async_call(N, rabbit_amqqueue, info, [Q, Items(Type)]), Counts(Type, Pid)}
    || Q <- Queues, Type <- [amqqueue:get_type(Q)],
       Pid <- [amqqueue:get_pid(Q)], N <- [NodeOf(Pid)]],
  Deadline = erlang:monotonic_time(millisecond) + $most_ms,
  Left = fun() -> max(0, Deadline - erlang:monotonic_time(millisecond)) end,
  Plain = fun(state, State) when is_tuple(State) -> element(1, State); (_, Value) -> Value end,
  Told = fun
    ({value, Info}) when is_list(Info) -> maps:map(Plain, maps:from_list(Info));
    ({value, _}) -> #{state => down};
    (timeout) -> #{state => unknown}
  end,
  Number = fun({value, {ok, {_, Messages}, _}}) -> Messages; (_) -> unknown end,
  Numbers = fun(Keys) ->
    maps:from_list([{Item, Number(rpc:nb_yield(Key, Left()))} || {Item, Key} <- Keys])
  end,
  [#{name => base64:encode(element(4, amqqueue:get_name(Q))),
     node => N,
     info => maps:merge(Told(rpc:nb_yield(Key, Left())), Numbers(Keys))}
   || {Q, N, Key, Keys} <- Asked]
end"""
"""A row for each queue, told by the node of its leader, as ``rabbitmqctl list_queues`` does.

Only the leader knows how many messages a quorum queue has. It tells the present counts, which
``rabbitmqctl`` knows up to five seconds later. An error in a function that counts does not stop the
leader. From RabbitMQ 4.3 on, ``ra:leader_query`` accepts the name of such a function instead of the
function. A classic queue has no item ``leader``. A name may have any bytes.
"""

_MOST_MS: Final = 8000
"""Milliseconds that the nodes of the leaders may take. A queue without an answer is unknown."""


@dataclass(frozen=True)
class Queue:
    """One queue as a node lists it."""

    name: str
    state: str
    leader: str | None
    ready: int
    unacknowledged: int
    messages: int
    """The total. A quorum queue includes messages that its dead-letter queue has refused."""

    @property
    def counted(self) -> bool:
        """Whether the queue told its counts."""
        return UNKNOWN_COUNT not in {self.ready, self.unacknowledged, self.messages}

    @property
    def empty(self) -> bool:
        """Whether the queue has no message, delivered or not."""
        return self.ready == self.unacknowledged == self.messages == 0


@dataclass(frozen=True)
class Replicas:
    """The nodes of a queue: its leader, the nodes with a replica, and those whose replica is up."""

    leader: str | None
    members: tuple[str, ...]
    online: tuple[str, ...]


def queues(fleet: Fleet, node: str, timeout: float = 60) -> dict[str, Queue]:
    """Return the queues of the run's virtual host by name, as this node lists them."""
    inventory_name = inventory_names(fleet)
    rows = _rows(fleet, node, timeout, replicas=False)
    with understood(node, _WHAT):
        return {name: _queue(name, row, inventory_name) for name, row in rows.items()}


def replicas(fleet: Fleet, node: str, queue: str, timeout: float = 60) -> Replicas | None:
    """Return where a queue of the run's virtual host is; None if this node lists no such queue."""
    return _all_replicas(fleet, node, timeout).get(queue)


def replicas_of(
    fleet: Fleet, node: str, names: Collection[str], timeout: float = 60
) -> dict[str, Replicas]:
    """Return where queues of the run's virtual host are, by name, as this node lists them.

    The only member of a classic queue is its leader.
    """
    found = _all_replicas(fleet, node, timeout)
    return {name: _with_its_leader(found[name]) for name in names if name in found}


def _with_its_leader(replicas: Replicas) -> Replicas:
    if replicas.members or replicas.leader is None:
        return replicas
    return replace(replicas, members=(replicas.leader,))


def _all_replicas(fleet: Fleet, node: str, timeout: float) -> dict[str, Replicas]:
    inventory_name = inventory_names(fleet)
    rows = _rows(fleet, node, timeout, replicas=True)
    with understood(node, _WHAT):
        return {name: _replicas(row, inventory_name) for name, row in rows.items()}


def _rows(
    fleet: Fleet, node: str, timeout: float, *, replicas: bool
) -> dict[str, Mapping[str, Any]]:
    question = Erlang(_ALL, vhost=fleet.nodes[node].vhost, replicas=int(replicas), most_ms=_MOST_MS)
    listed = ask(fleet, node, question, _WHAT, timeout=timeout)
    with understood(node, _WHAT):
        return {decoded_name(row["name"]): {**row["info"], "node": row["node"]} for row in listed}


def _queue(name: str, row: Mapping[str, Any], inventory_name: InventoryName) -> Queue:
    return Queue(
        name=name,
        state=str(row.get("state") or "unknown"),
        leader=_leader(row, inventory_name),
        ready=_count(row.get("messages_ready")),
        unacknowledged=_count(row.get("messages_unacknowledged")),
        messages=_count(row.get("messages")),
    )


def _replicas(row: Mapping[str, Any], inventory_name: InventoryName) -> Replicas:
    return Replicas(
        leader=_leader(row, inventory_name),
        members=tuple(sorted(map(inventory_name, row.get("members") or ()))),
        online=tuple(sorted(map(inventory_name, row.get("online") or ()))),
    )


def _leader(row: Mapping[str, Any], inventory_name: InventoryName) -> str | None:
    """Return the leader that the queue told, or else the node of its process."""
    name = next((each for each in (row.get("leader"), row["node"]) if "@" in str(each)), None)
    return inventory_name(name) if name else None


def _count(told: Any) -> int:
    return told if type(told) is int and told >= 0 else UNKNOWN_COUNT
