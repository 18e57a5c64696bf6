"""The queues, exchanges and bindings of the run's virtual host, as a node lists them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from jepsenvm.rabbitmq.erlang import Erlang
from jepsenvm.rabbitmq.questions import ask, decoded_name, understood

if TYPE_CHECKING:  # paramiko takes long to import, and a check of a history needs no SSH
    from jepsenvm.machines.ssh import Fleet


_WHAT: Final = "the queues, exchanges and bindings"

_LISTING: Final = """begin
  Name = fun(Resource) -> base64:encode(element(4, Resource)) end,
  Queues = lists:usort(rabbit_amqqueue:list($vhost) ++ rabbit_amqqueue:list_down($vhost)),
  Items = [source_name, destination_name, destination_kind, routing_key],
  #{queues => [Name(amqqueue:get_name(Q)) || Q <- Queues],
    exchanges => [Name(E) || [{name, E}] <- rabbit_exchange:info_all($vhost, [name])],
    bindings => [
      lists:map(fun base64:encode/1, [Source, Queue, Key])
      || [{_, Source}, {_, Queue}, {_, queue}, {_, Key}]
           <- rabbit_binding:info_all($vhost, Items), Source =/= <<>>]}
end"""
"""The implicit bindings to the default exchange, whose name is empty, are left out."""


@dataclass(frozen=True)
class Binding:
    """The binding of a queue to an exchange with a routing key."""

    exchange: str
    queue: str
    key: str


@dataclass(frozen=True)
class Listing:
    """The queues, exchanges and bindings of the run's virtual host, as one node lists them."""

    queues: frozenset[str]
    exchanges: frozenset[str]
    bindings: frozenset[Binding]
    """Without the implicit bindings to the default exchange."""


def listing(fleet: Fleet, node: str, timeout: float = 60) -> Listing:
    """Return the queues, exchanges and bindings of the run's virtual host, as one node lists them.

    Raise CommandError if the node's broker does not answer, UnreachableError if the node does not,
    and RunError for an answer that is not understood.
    """
    question = Erlang(_LISTING, vhost=fleet.nodes[node].vhost)
    told = ask(fleet, node, question, _WHAT, timeout=timeout)
    with understood(node, _WHAT):
        return Listing(
            queues=frozenset(map(decoded_name, told["queues"])),
            exchanges=frozenset(map(decoded_name, told["exchanges"])),
            bindings=frozenset(Binding(*map(decoded_name, row)) for row in told["bindings"]),
        )
