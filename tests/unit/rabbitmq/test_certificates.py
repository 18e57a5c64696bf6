"""The certificates of a deployed cluster: what they are for, when they are renewed, who reads them."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509

from jepsenvm.errors import UsageError
from jepsenvm.machines.inventory import Inventory
from jepsenvm.machines.inventory_node import Node
from jepsenvm.rabbitmq import certificates
from tests.unit.fakes import node
from tests.unit.rabbitmq.tls_server import NOW, certified, cluster

YEAR = timedelta(days=365)
N1 = replace(node("n1"), amqp_host="broker.example.org", cluster_address="fd77::11")
N2 = replace(node("n2.example.org"), amqp_host="192.0.2.12", cluster_address="10.0.0.12")


@pytest.fixture
def two(tmp_path: Path) -> Inventory:
    return certified(tmp_path, N1, N2)


def content(inventory: Inventory) -> dict[str, bytes]:
    folder = inventory.secrets_dir / "tls"
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*.*")}


def certificate(inventory: Inventory, file: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate((inventory.secrets_dir / "tls" / file).read_bytes())


def test_each_node_has_a_certificate_for_its_names_and_addresses(two: Inventory) -> None:
    names = {
        name: certificate(two, f"nodes/{name}.pem")
        .extensions.get_extension_for_class(x509.SubjectAlternativeName)
        .value
        for name in ("n1", "n2.example.org")
    }
    assert names["n1"].get_values_for_type(x509.DNSName) == ["n1", "broker.example.org"]
    assert names["n1"].get_values_for_type(x509.IPAddress) == [ip_address("fd77::11")]
    assert names["n2.example.org"].get_values_for_type(x509.IPAddress) == [
        ip_address("192.0.2.12"),
        ip_address("10.0.0.12"),
    ]


def test_only_the_owner_can_read_them(two: Inventory) -> None:
    before = os.umask(0)
    try:
        certificates.renew(replace(two, secrets_dir=two.secrets_dir / "a/b"), NOW)
    finally:
        os.umask(before)
    files = [path for path in (two.secrets_dir / "a").rglob("*") if path.is_file()]
    assert {file.name for file in files} == {
        *("ca.pem", "ca.key", "n1.pem", "n1.key", "n2.example.org.pem", "n2.example.org.key")
    }
    assert {oct(file.stat().st_mode & 0o777) for file in files} == {"0o600"}
    folders = [path for path in (two.secrets_dir / "a").rglob("*") if path.is_dir()]
    assert {oct(folder.stat().st_mode & 0o777) for folder in folders} == {"0o700"}


def test_a_second_time_nothing_is_made(two: Inventory) -> None:
    before = content(two)
    assert certificates.renew(two, NOW + timedelta(days=300)) == []
    assert content(two) == before


@pytest.mark.parametrize(
    ("changed", "made"),
    [
        (replace(N1, amqp_host="192.0.2.99"), ["n1"]),
        (replace(N1, amqp_server_name="front.example.org"), ["n1"]),
        (replace(N1, amqp_port=5001, ssh_port=2222), []),
    ],
)
def test_another_address_makes_the_certificate_of_that_node_anew(
    two: Inventory, changed: Node, made: list[str]
) -> None:
    authority = content(two)["ca.pem"]
    assert certificates.renew(replace(two, nodes=(changed, N2)), NOW) == made
    assert content(two)["ca.pem"] == authority


def test_a_node_that_joins_gets_one(two: Inventory) -> None:
    assert certificates.renew(replace(two, nodes=(N1, N2, node("n3"))), NOW) == ["n3"]


def test_certificates_are_renewed_before_they_end(two: Inventory) -> None:
    later = NOW + YEAR - timedelta(days=29)
    authority = content(two)["ca.key"]
    assert certificates.renew(two, later) == ["n1", "n2.example.org"]
    assert content(two)["ca.key"] == authority
    assert certificate(two, "nodes/n1.pem").not_valid_after_utc > later + timedelta(days=364)


@pytest.mark.parametrize("shift", [10 * YEAR, -2 * YEAR])
def test_an_authority_that_ends_or_is_not_yet_valid_is_replaced(
    two: Inventory, shift: timedelta
) -> None:
    before = content(two)
    assert certificates.renew(two, NOW + shift) == ["n1", "n2.example.org"]
    assert not before.items() & content(two).items()


def lose(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def damage(name: str) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        (folder / name).write_text("-----BEGIN CERTIFICATE-----\nnone\n")

    return write


def swap(one: str, other: str) -> Callable[[Path], None]:
    def copy(folder: Path) -> None:
        (folder / one).write_bytes((folder / other).read_bytes())

    return copy


@pytest.mark.parametrize(
    ("change", "made"),
    [
        (lose("nodes/n1.key"), ["n1"]),
        (lose("nodes/n1.pem"), ["n1"]),
        (damage("nodes/n1.pem"), ["n1"]),
        (damage("nodes/n1.key"), ["n1"]),
        (swap("nodes/n1.key", "nodes/n2.example.org.key"), ["n1"]),
        (swap("nodes/n1.pem", "ca.pem"), ["n1"]),
        (lose("ca.pem"), ["n1", "n2.example.org"]),
        (lose("ca.key"), ["n1", "n2.example.org"]),
    ],
)
def test_what_is_missing_or_damaged_is_made_anew(
    two: Inventory, change: Callable[[Path], None], made: list[str]
) -> None:
    change(two.secrets_dir / "tls")
    assert certificates.renew(two, NOW) == made
    assert certificates.renew(two, NOW) == []


@pytest.mark.parametrize(
    "change", [damage("ca.pem"), damage("ca.key"), swap("ca.key", "nodes/n1.key")]
)
def test_a_damaged_authority_is_refused_and_nothing_is_written(
    two: Inventory, change: Callable[[Path], None]
) -> None:
    folder = two.secrets_dir / "tls"
    change(folder)
    lose("nodes/n1.pem")(folder)
    before = content(two)
    with pytest.raises(UsageError) as refused:
        certificates.renew(two, NOW)
    assert str(refused.value) == (
        f"{folder}/ca.pem and ca.key are not a certificate and its key; "
        f"restore them, or remove {folder} so that new ones are made"
    )
    assert content(two) == before


@pytest.mark.parametrize("address", ["fe80::1%eth0", "user@host", "n1:5671"])
def test_an_address_that_no_certificate_can_have_is_refused(tmp_path: Path, address: str) -> None:
    inventory = cluster(tmp_path, N2, replace(N1, amqp_host=address))
    with pytest.raises(UsageError, match=r"^n1: /hosts\.yml: no certificate can be made for"):
        certificates.renew(inventory, NOW)
    assert not inventory.secrets_dir.exists()


def test_a_folder_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "secrets").write_text("a file")
    with pytest.raises(UsageError, match=r"secrets.*; give yourself permission"):
        certificates.renew(cluster(tmp_path, N1), NOW)
