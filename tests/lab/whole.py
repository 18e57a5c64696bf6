"""Whether the cluster is as the tests need it: one question to one node, which asks the others.

`rabbitmqctl` takes a second of CPU time. Asking every node for its view and its settings takes five
times as long, and most tests begin with it.
"""

from __future__ import annotations

import shlex
from typing import Final

from jepsenvm.errors import JepsenvmError
from jepsenvm.machines.ssh import Fleet

NET_TICKTIME: Final = 8
"""Seconds. With a short one, partitions are noticed within short tests."""

STATE: Final = """
Nodes = lists:sort(rabbit_mnesia:cluster_nodes(all)),
Ask = fun(Module, Function, Arguments) ->
    {Answers, []} = rpc:multicall(Nodes, Module, Function, Arguments, 5000),
    lists:usort(Answers)
end,
Running = lists:usort([lists:sort(Seen) || Seen <- Ask(rabbit_mnesia, cluster_nodes, [running])]),
{SIZE, [Nodes], [[]], [[]]} = {
    length(Nodes),
    Running,
    Ask(rabbit_node_monitor, partitions, []),
    Ask(rabbit_alarm, get_alarms, [])
},
[Ticktime] = Ask(net_kernel, get_net_ticktime, []),
Listening = [
    element(2, Listener)
    || Listener <- rabbit_networking:active_listeners(),
    {element(3, Listener), element(6, Listener)} =:= {amqp, 5672}
],
{
    Ticktime,
    Ask(application, get_env, [rabbit, cluster_partition_handling]),
    lists:usort(Listening) =:= Nodes
}.
"""
"""Fails unless every node sees all others, without a partition or an alarm.

The tick time is no list, because Erlang prints a list of the number 8 as the text of a backspace.
"""

NEEDED: Final = f"{{{NET_TICKTIME},[{{ok,autoheal}}],true}}"


def is_whole(fleet: Fleet) -> bool:
    """Return whether every node sees all others, without a partition or an alarm."""
    return _state(fleet) != ""


def is_as_needed(fleet: Fleet) -> bool:
    """Return whether the cluster is whole, has the settings of the tests and accepts clients."""
    return _state(fleet) == NEEDED


def _state(fleet: Fleet) -> str:
    """Return the settings of a cluster that is whole; an empty text of any other."""
    state = " ".join(STATE.replace("SIZE", str(len(fleet.nodes))).split())
    command = shlex.join(["rabbitmqctl", "--quiet", "eval", state])
    try:
        return fleet.run(next(iter(fleet.nodes)), command, timeout=60).stdout.strip()
    except JepsenvmError:
        return ""
