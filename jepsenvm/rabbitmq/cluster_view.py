"""The cluster as each node sees it: running nodes, members, partitions, alarms and maintenance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from jepsenvm.rabbitmq.erlang import Erlang
from jepsenvm.rabbitmq.node_names import InventoryName, inventory_names
from jepsenvm.rabbitmq.questions import ask, understood

if TYPE_CHECKING:  # paramiko takes long to import, and a check of a history needs no SSH
    from jepsenvm.machines.ssh import Fleet

_WHAT: Final = "the view of the cluster"

_MAINTENANCE: Final = {"regular": "not under maintenance", "draining": "marked for maintenance"}
"""The texts of ``rabbitmqctl cluster_status``."""

_VIEW: Final = Erlang("""begin
  HasDb = code:ensure_loaded(rabbit_db_cluster) =:= {module, rabbit_db_cluster} andalso
    erlang:function_exported(rabbit_db_cluster, cli_cluster_status, 0),
  Status = case HasDb of
    true -> rabbit_db_cluster:cli_cluster_status();
    false -> rabbit_mnesia:status()
  end,
  Of = fun(Key) -> proplists:get_value(Key, Status, []) end,
  Ask = fun(Module, Function, Arguments) ->
    [{N, rpc:async_call(N, Module, Function, Arguments(N))} || N <- Of(running_nodes)]
  end,
  Deadline = erlang:monotonic_time(millisecond) + 5000,
  Left = fun() -> max(0, Deadline - erlang:monotonic_time(millisecond)) end,
  Told = fun(Asked) -> [{N, rpc:nb_yield(Key, Left())} || {N, Key} <- Asked] end,
  Alarms = Ask(rabbit, alarms, fun(_) -> [] end),
  Listeners = Ask(rabbit_networking, node_listeners, fun(N) -> [N] end),
  Maintenance = Ask(rabbit_maintenance, status_local_read, fun(N) -> [N] end),
  Alarm = fun
    (N, {resource_limit, Resource, _}) -> #{node => N, resource => Resource};
    (N, _) -> #{node => N, resource => unknown}
  end,
  AlarmsOf = fun
    (N, {value, List}) when is_list(List) -> [Alarm(N, Each) || Each <- List];
    (N, _) -> [#{node => N, resource => unknown}]
  end,
  #{running_nodes => Of(running_nodes),
    disk_nodes => lists:append([Nodes || {_, Nodes} <- Of(nodes)]),
    partitions => maps:from_list(Of(partitions)),
    alarms => lists:append([AlarmsOf(N, Answer) || {N, Answer} <- Told(Alarms)]),
    maintenance_status => maps:from_list(
      [{N, S} || {N, {value, S}} <- Told(Maintenance), is_atom(S)]),
    listeners => maps:from_list(
      [{N, [#{protocol => element(3, L), port => element(6, L)} || L <- List]}
       || {N, {value, List}} <- Told(Listeners), is_list(List)])}
end""")
"""What ``rabbitmqctl cluster_status`` tells, from the same functions of RabbitMQ.

``rabbit_db_cluster`` came in 3.12. A running node that does not tell its alarms has an unknown one.
"""


@dataclass(frozen=True)
class View:
    """The cluster as one node sees it, with nodes under their inventory names."""

    running: frozenset[str]
    partitions: Mapping[str, Sequence[str]]
    """node -> the nodes from which it is partitioned."""
    alarms: Sequence[Any] = field(default_factory=list)
    members: frozenset[str] = frozenset()
    """All nodes of the cluster, running or not."""
    maintenance: Mapping[str, str] = field(default_factory=dict)
    """running node -> its maintenance status, as text; empty for versions without it."""
    listeners: Mapping[str, frozenset[tuple[str, int]]] = field(default_factory=dict)
    """node -> protocol and port of each of its listeners; without the nodes that list none."""

    def alarm_texts(self) -> list[str]:
        """Return the alarms as text, such as ``n1 memory``."""
        return sorted(map(_alarm_text, self.alarms))

    def side(self, node: str) -> frozenset[str]:
        """Return the nodes on the same side of a partition as ``node``, the owner of this view."""
        return self.running - frozenset(self.partitions.get(node, ()))

    def troubles(self, nodes: Sequence[str]) -> list[str]:
        """Return the reasons why this is not the view of a healthy cluster of these nodes."""
        missing = sorted(set(nodes) - self.running)
        problems = [f"does not see {' '.join(missing)} running"] if missing else []
        if any(self.partitions.values()):
            cut = sorted({other for others in self.partitions.values() for other in others})
            problems.append(f"sees a partition from {' '.join(cut)}")
        if self.alarms:
            problems.append("has an alarm")
        return problems


def view(fleet: Fleet, node: str, timeout: float = 60) -> View:
    """Return the cluster as this node sees it; raise RunError for an unknown answer."""
    status = ask(fleet, node, _VIEW, _WHAT, timeout=timeout)
    with understood(node, _WHAT):
        return _view(status, inventory_names(fleet))


def _view(status: Mapping[str, Any], inventory_name: InventoryName) -> View:
    partitions = {
        inventory_name(name): [inventory_name(other) for other in others]
        for name, others in dict(status["partitions"] or {}).items()
    }
    members = [name for kind in ("disk_nodes", "ram_nodes") for name in status.get(kind) or ()]
    alarms = [
        {**alarm, "node": inventory_name(str(alarm["node"]))} if _names_a_node(alarm) else alarm
        for alarm in status["alarms"] or []
    ]
    return View(
        running=frozenset(map(inventory_name, status["running_nodes"])),
        partitions=partitions,
        alarms=alarms,
        members=frozenset(map(inventory_name, members)),
        maintenance={
            inventory_name(name): _MAINTENANCE.get(str(status_of), str(status_of))
            for name, status_of in dict(status.get("maintenance_status") or {}).items()
        },
        listeners=_listeners(status.get("listeners"), inventory_name),
    )


def _listeners(listed: Any, inventory_name: InventoryName) -> dict[str, frozenset[tuple[str, int]]]:
    """Return what is understood of the listeners. Nothing that is measured depends on them."""
    return {
        inventory_name(name): frozenset(
            (entry["protocol"], entry["port"]) for entry in entries if _is_listener(entry)
        )
        for name, entries in (listed.items() if isinstance(listed, dict) else ())
        if isinstance(entries, list) and any(map(_is_listener, entries))
    }


def _is_listener(entry: Any) -> bool:
    return (
        isinstance(entry, dict)
        and isinstance(entry.get("protocol"), str)
        and isinstance(entry.get("port"), int)
    )


def _names_a_node(alarm: Any) -> bool:
    return isinstance(alarm, dict) and "@" in str(alarm.get("node", ""))


def _alarm_text(alarm: Any) -> str:
    if not isinstance(alarm, dict):
        return str(alarm)
    resource = alarm.get("resource") or alarm.get("type") or "unknown"
    node = str(alarm.get("node", ""))
    return f"{node.partition('@')[2] or node} {resource}".strip()
