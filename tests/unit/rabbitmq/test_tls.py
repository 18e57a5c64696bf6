"""Clients verify the certificate and the name of every broker with TLS, and cannot do without."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from jepsenvm.errors import UsageError
from jepsenvm.machines.inventory import Inventory
from jepsenvm.rabbitmq.amqp import Address, Outcome, SessionLost, connect
from jepsenvm.rabbitmq.credentials import Credentials
from jepsenvm.rabbitmq.tls import Tls, read_ca, verifying_context
from tests.unit.rabbitmq.broker import HOST, Broker
from tests.unit.rabbitmq.tls_server import (
    NOW,
    Server,
    certified,
    echo,
    on_loopback,
    serving_context,
)

HEADER = b"AMQP\x00\x00\x09\x01"
"""The first bytes of an AMQP client."""


def tls_of(inventory: Inventory, name: str = "127.0.0.1") -> Tls:
    ca = read_ca(inventory)
    assert ca is not None
    return Tls(ca, name)


def first_words(port: int, tls: Tls | None) -> str:
    """Connect as the load's clients do to a server that is no broker; return why it fails."""
    address = Address("n1", "127.0.0.1", port, "user", "hush", tls=tls)

    async def attempt() -> str:
        try:
            async with asyncio.timeout(30):
                await connect(address)
        except SessionLost as lost:
            return str(lost)
        return "connected"

    return asyncio.run(attempt())


@pytest.mark.parametrize("name", ["127.0.0.1", "n1", "broker.example.org"])
def test_the_certificate_of_a_node_verifies_for_each_of_its_names(
    tmp_path: Path, name: str
) -> None:
    inventory = certified(tmp_path, on_loopback(amqp_server_name="broker.example.org"))
    with echo(inventory) as server:
        assert tls_of(inventory, name).problem("127.0.0.1", server.port, 10) is None
        first_words(server.port, tls_of(inventory, name))
    assert HEADER in server.received, "the login comes after the verification"


def refusal(kind: str, folder: Path) -> tuple[Inventory, Tls, str]:
    """Return a server's cluster, what its client demands, and why the client refuses."""
    good = certified(folder / "good")
    if kind == "other authority":
        return good, tls_of(certified(folder / "other")), "self-signed|local issuer|self signed"
    if kind == "other name":
        return good, tls_of(good, "n2"), "Hostname mismatch"
    if kind == "other address":
        return good, tls_of(good, "127.0.0.2"), "IP address mismatch"
    expired = certified(folder / "expired", at=NOW - timedelta(days=366))
    return expired, tls_of(expired), "certificate has expired"


@pytest.mark.parametrize("kind", ["other authority", "other name", "other address", "expired"])
def test_a_certificate_that_does_not_fit_is_refused_before_anything_is_sent(
    tmp_path: Path, kind: str
) -> None:
    inventory, tls, reason = refusal(kind, tmp_path)
    with echo(inventory) as server:
        problem = tls.problem("127.0.0.1", server.port, 10) or ""
        lost = first_words(server.port, tls)
    assert problem.startswith("its certificate is not accepted: ")
    assert any(part in problem for part in reason.split("|"))
    assert any(part in lost for part in reason.split("|"))
    assert server.received == []


def test_a_session_with_tls_publishes_what_it_is_given(tmp_path: Path) -> None:
    """The broker stops reading, so that the network takes writes in parts."""
    inventory = certified(tmp_path)
    bodies = [bytes([number % 251]) * 20_000 for number in range(200)]

    async def publish_all() -> tuple[list[Outcome], list[bytes]]:
        async with Broker().listening(serving_context(inventory)) as broker:
            address = Address(
                "n1", HOST, broker.port, "user", "hush", tls=tls_of(inventory, "127.0.0.1")
            )
            async with asyncio.timeout(60):
                session = await connect(address)
                broker.reading.clear()
                tasks = [asyncio.create_task(session.publish("q", body)) for body in bodies]
                while session._connection._transport.get_write_buffer_size() == 0:
                    await asyncio.sleep(0)
                broker.reading.set()
                outcomes = await asyncio.gather(*tasks)
                await session.close()
            return outcomes, broker.bodies

    outcomes, arrived = asyncio.run(publish_all())
    assert set(outcomes) == {Outcome.CONFIRMED}
    assert arrived == bodies


def test_a_client_without_tls_is_refused(tmp_path: Path) -> None:
    with echo(certified(tmp_path)) as server:
        assert first_words(server.port, None) != "connected"
    assert server.received == []
    assert len(server.refused) == 1


def answering(listener: socket.socket, answer: bytes) -> None:
    client, _ = listener.accept()
    with client:
        client.recv(4096)
        client.sendall(answer)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [(HEADER, "does not answer with TLS: WRONG_VERSION"), (b"", "does not answer with TLS: ")],
)
def test_a_broker_without_tls_is_refused(tmp_path: Path, answer: bytes, reason: str) -> None:
    tls = tls_of(certified(tmp_path))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=answering, args=(listener, answer), daemon=True)
        thread.start()
        problem = tls.problem("127.0.0.1", listener.getsockname()[1], 10)
        thread.join(timeout=10)
    assert problem is not None
    assert problem.startswith(reason)


def test_a_port_without_a_broker_is_a_problem(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    tls = tls_of(certified(tmp_path))
    assert tls.problem("127.0.0.1", port, 10) == "does not answer with TLS: Connection refused"


def test_connections_always_verify(tmp_path: Path) -> None:
    context = verifying_context(tls_of(certified(tmp_path)).ca)
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert len(context.get_ca_certs()) == 1, "no authority of this machine is trusted"


def test_every_address_of_a_cluster_with_tls_demands_it(tmp_path: Path) -> None:
    inventory = certified(tmp_path)
    login = Credentials("user", "hush", ca=read_ca(inventory))
    address = login.at(inventory.nodes[0])
    assert address.tls == tls_of(inventory)
    assert "BEGIN" not in repr(login)
    assert "BEGIN" not in repr(address)
    without = replace(inventory, broker_ca=None)
    assert read_ca(without) is None
    assert Credentials("user", "hush").at(inventory.nodes[0]).tls is None


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "cannot be read: No such file or directory"),
        (b"", "has no certificate"),
        (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "has no certificate"),
        (b"\xff\x00 no text", "has no certificate"),
    ],
)
@pytest.mark.parametrize(
    ("existing", "remedy"),
    [(True, "correct jepsenvm_broker_ca in /hosts.yml"), (False, "run `jepsenvm deploy -i")],
)
def test_a_file_without_an_authority_is_refused_in_one_line(
    tmp_path: Path, content: bytes | None, reason: str, existing: bool, remedy: str
) -> None:
    inventory = replace(certified(tmp_path), existing=existing)
    assert inventory.broker_ca is not None
    inventory.broker_ca.unlink()
    if content is not None:
        inventory.broker_ca.write_bytes(content)
    with pytest.raises(UsageError) as refused:
        read_ca(inventory)
    assert str(refused.value).startswith(f"{inventory.broker_ca}: {reason}; {remedy}")
    assert "\n" not in str(refused.value)


def test_comments_of_a_file_may_have_any_characters(tmp_path: Path) -> None:
    inventory = certified(tmp_path)
    assert inventory.broker_ca is not None
    text = inventory.broker_ca.read_bytes()
    inventory.broker_ca.write_bytes("# Behörde\n".encode() + text)
    with echo(inventory) as server:
        assert isinstance(server, Server)
        assert tls_of(inventory).problem("127.0.0.1", server.port, 10) is None
