"""A TLS server on the loopback address, with certificates that the product makes."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from jepsenvm.machines.inventory import Inventory
from jepsenvm.machines.inventory_node import Node
from jepsenvm.rabbitmq import certificates
from tests.unit.fakes import node

NOW = datetime.now(UTC)


def cluster(folder: Path, *nodes: Node) -> Inventory:
    """Return a cluster with TLS whose secrets are in this folder. Its node is on loopback."""
    secrets = folder / "secrets"
    return Inventory(
        Path("/hosts.yml"),
        "cloud",
        nodes or (on_loopback(),),
        secrets,
        {},
        broker_ca=secrets / "tls/ca.pem",
    )


def on_loopback(**changes: object) -> Node:
    loopback: dict[str, object] = {"amqp_host": "127.0.0.1", "cluster_address": "127.0.0.1"}
    return replace(node("n1"), **{**loopback, **changes})  # type: ignore[arg-type]  # by name


def certified(folder: Path, *nodes: Node, at: datetime = NOW) -> Inventory:
    """Make the certificates of such a cluster at a time."""
    inventory = cluster(folder, *nodes)
    certificates.renew(inventory, at)
    return inventory


@dataclass
class Server:
    """A server that sends back what it receives."""

    port: int = 0
    received: list[bytes] = field(default_factory=list)
    """What each client sent first, after a handshake."""
    refused: list[str] = field(default_factory=list)
    """Why handshakes failed."""


def serving_context(inventory: Inventory) -> ssl.SSLContext:
    """Return the settings of a server with the certificate of the first node."""
    nodes, name = inventory.secrets_dir / "tls/nodes", inventory.nodes[0].name
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(nodes / f"{name}.pem", nodes / f"{name}.key")
    return context


@contextmanager
def echo(inventory: Inventory) -> Iterator[Server]:
    """Serve with the certificate of the first node until the end of the context."""
    context, server = serving_context(inventory), Server()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server.port = listener.getsockname()[1]
        stop = threading.Event()
        thread = threading.Thread(
            target=_serve, args=(server, listener, context, stop), daemon=True
        )
        thread.start()
        yield server
        stop.set()
        socket.create_connection(("127.0.0.1", server.port), timeout=10).close()
        thread.join(timeout=10)


def _serve(
    server: Server, listener: socket.socket, context: ssl.SSLContext, stop: threading.Event
) -> None:
    while True:
        plain, _ = listener.accept()
        if stop.is_set():
            plain.close()
            return
        plain.settimeout(10)
        try:
            with context.wrap_socket(plain, server_side=True) as client:
                data = client.recv(4096)
                server.received.append(data)
                client.sendall(data)
        except OSError as error:
            server.refused.append(str(error))
