"""The Erlang names of nodes, and the names that the inventory gives to them."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from jepsenvm.rabbitmq.erlang import Erlang

if TYPE_CHECKING:  # paramiko takes long to import, and a check of a history needs no SSH
    from jepsenvm.machines.ssh import Fleet

NODE_NAME: Final = re.compile(r"[A-Za-z0-9_-]+@[A-Za-z0-9._-]+")
"""An Erlang node name. It has no character that a shell or Erlang would interpret."""

_NODE: Final = Erlang("node().")

InventoryName = Callable[[str], str]
"""Returns the inventory name of an Erlang node; for an unknown node, the host part of its name."""


def inventory_names(fleet: Fleet) -> InventoryName:
    """Return the function from Erlang names to inventory names."""
    names = {node.broker: name for name, node in fleet.nodes.items() if node.broker}
    return lambda broker: names.get(broker) or broker.partition("@")[2]


def learn_names(fleet: Fleet) -> None:
    """Ask nodes with unknown Erlang names for their names; skip nodes that do not answer."""

    def ask(node: str) -> str:
        return fleet.run(node, _NODE.script(), timeout=60).stdout

    unnamed = [name for name, node in fleet.nodes.items() if node.broker is None]
    for node, answer in fleet.each_or_error(ask, unnamed).items():
        match = NODE_NAME.search(answer) if isinstance(answer, str) else None
        if match:
            fleet.learn(replace(fleet.nodes[node], broker=match[0]))
