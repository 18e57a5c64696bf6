"""Whether the cluster is as the tests need it: one question to one node, which asks the others."""

from __future__ import annotations

from typing import Any, Final

from jepsenvm.errors import JepsenvmError
from jepsenvm.machines.ssh import Fleet
from jepsenvm.rabbitmq.erlang import Erlang
from jepsenvm.rabbitmq.questions import ask

NET_TICKTIME: Final = 8
"""Seconds. With a short one, partitions are noticed within short tests."""

STATE: Final = """begin
  Nodes = lists:sort(rabbit_mnesia:cluster_nodes(all)),
  Ask = fun(Module, Function, Arguments) ->
    {Answers, []} = rpc:multicall(Nodes, Module, Function, Arguments, 5000),
    lists:usort(Answers)
  end,
  Running = lists:usort([lists:sort(Seen) || Seen <- Ask(rabbit_mnesia, cluster_nodes, [running])]),
  {$size, [Nodes], [[]], [[]]} = {
    length(Nodes),
    Running,
    Ask(rabbit_node_monitor, partitions, []),
    Ask(rabbit_alarm, get_alarms, [])
  },
  Listening = [
    element(2, Listener)
    || Listener <- rabbit_networking:active_listeners(),
    {element(3, Listener), element(6, Listener)} =:= {amqp, 5672}
  ],
  [
    Ask(net_kernel, get_net_ticktime, []),
    [Handling || {ok, Handling} <- Ask(application, get_env, [rabbit, cluster_partition_handling])],
    lists:usort(Listening) =:= Nodes
  ]
end"""
"""Fails unless every node sees all others, without a partition or an alarm."""

NEEDED: Final = [[NET_TICKTIME], ["autoheal"], True]


def is_whole(fleet: Fleet) -> bool:
    """Return whether every node sees all others, without a partition or an alarm."""
    return _state(fleet) is not None


def is_as_needed(fleet: Fleet) -> bool:
    """Return whether the cluster is whole, has the settings of the tests and accepts clients."""
    return bool(_state(fleet) == NEEDED)


def _state(fleet: Fleet) -> Any:
    """Return the settings of a cluster that is whole; None of any other."""
    question = Erlang(STATE, size=len(fleet.nodes))
    try:
        return ask(fleet, next(iter(fleet.nodes)), question, "the state of the cluster")
    except JepsenvmError:
        return None
