"""How brokers accept clients: at the ports of the inventory, and with which certificates."""

from __future__ import annotations

from collections.abc import Mapping

from jepsenvm.errors import shorten
from jepsenvm.machines.inventory import Inventory
from jepsenvm.machines.ssh import Fleet
from jepsenvm.rabbitmq import cluster_view
from jepsenvm.rabbitmq.amqp import CONNECT_TIMEOUT_S
from jepsenvm.rabbitmq.tls import Tls, read_ca


def listener_mismatches(
    views: Mapping[str, cluster_view.View | Exception], inventory: Inventory
) -> list[str]:
    """Return each node that does not accept clients as the inventory says."""
    protocol = "amqp" if inventory.broker_ca is None else "amqp/ssl"
    mismatches = []
    for node in inventory.nodes:
        view = views[node.name]
        listeners = view.listeners.get(node.name) if isinstance(view, cluster_view.View) else None
        if listeners and (protocol, node.amqp_listen_port) not in listeners:
            present = ", ".join(f"{name} at port {port}" for name, port in sorted(listeners))
            mismatches.append(
                f"{node.name}: RabbitMQ does not accept {protocol} at port "
                f"{node.amqp_listen_port}, but {shorten(present, 200)}"
            )
    return mismatches


def certificate_problems(fleet: Fleet, inventory: Inventory) -> dict[str, str]:
    """Return why clients do not accept the certificates of brokers, for each node with a problem.

    None has one without TLS. Raise UsageError without a readable file of the authority.
    """
    ca = read_ca(inventory)
    if ca is None:
        return {}
    timeout = CONNECT_TIMEOUT_S * inventory.patience

    def problem(name: str) -> str | None:
        node = fleet.nodes[name]
        return Tls(ca, node.tls_name).problem(node.amqp_host, node.amqp_port, timeout)

    return {node: text for node, text in fleet.each(problem).items() if text}


def listener_remedy(inventory: Inventory) -> str:
    """Return what to do about a node that accepts clients otherwise."""
    if not inventory.existing:
        return f"run `jepsenvm deploy -i {inventory.path}`"
    return (
        f"correct amqp_port in {inventory.path}, or set amqp_listen_port if clients reach another "
        "port that is forwarded; for TLS set jepsenvm_broker_ca"
    )


def certificate_remedy(inventory: Inventory) -> str:
    """Return what to do about a certificate that is not accepted."""
    if not inventory.existing:
        return f"run `jepsenvm deploy -i {inventory.path}`, which renews certificates"
    return (
        "check amqp_address, amqp_port and jepsenvm_broker_ca, and set amqp_server_name if the "
        "certificate has another name"
    )
