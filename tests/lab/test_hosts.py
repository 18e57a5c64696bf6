"""The state of each host after a deployment: packages, service, files and ports."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import testinfra

from jepsenvm.machines import ansible
from jepsenvm.machines.inventory import Inventory
from tests.lab.conftest import jepsenvm, on

ANY_ADDRESS = ("0.0.0.0", "*", "[::]")  # noqa: S104 - compared, not bound


@pytest.fixture(scope="module", params=["n1", "n5"])
def host(request: pytest.FixtureRequest, cluster: Inventory) -> Any:
    return testinfra.get_host(
        f"ansible://{request.param}?ansible_inventory={cluster.path}", sudo=True
    )


def test_rabbitmq_is_installed_enabled_and_running(host: Any) -> None:
    assert host.package("rabbitmq-server").is_installed
    service = host.service("rabbitmq-server")
    assert service.is_enabled
    assert service.is_running


@pytest.mark.parametrize("package", ["iptables", "iproute2", "procps", "python3", "stress-ng"])
def test_what_the_faults_need_is_installed(host: Any, package: str) -> None:
    assert host.package(package).is_installed


@pytest.mark.parametrize(
    ("name", "owner"),
    [
        ("rabbitmq.conf", "root"),
        ("rabbitmq-env.conf", "root"),
        ("enabled_plugins", "rabbitmq"),  # as the package does
        ("definitions.json", "root"),
    ],
)
def test_its_configuration_is_for_it_alone(host: Any, name: str, owner: str) -> None:
    file = host.file(f"/etc/rabbitmq/{name}")
    assert (file.user, file.group, file.mode) == (owner, "rabbitmq", 0o640)


def test_its_cookie_is_its_own(host: Any) -> None:
    cookie = host.file("/var/lib/rabbitmq/.erlang.cookie")
    assert (cookie.user, cookie.group, cookie.mode) == ("rabbitmq", "rabbitmq", 0o400)


def listeners(host: Any) -> set[tuple[str, int]]:
    """Return the address and port of each TCP socket that listens."""
    rows = host.check_output("ss -Hltn").splitlines()
    pairs = (row.split()[3].rsplit(":", 1) for row in rows)
    return {(address, int(port)) for address, port in pairs}


def test_only_ssh_listens_on_every_address(host: Any) -> None:
    assert {port for address, port in listeners(host) if address in ANY_ADDRESS} == {22}


def test_the_broker_listens_on_the_address_of_the_cluster(host: Any, cluster: Inventory) -> None:
    name = host.check_output("hostname")
    address = next(node.cluster_address for node in cluster.nodes if node.name == name)
    loopback = ("127.0.0.1", "[::1]")
    of_broker = {pair for pair in listeners(host) if pair[1] in (4369, 5672, 15672, 25672)}
    assert {pair for pair in of_broker if pair[0] not in loopback} == {
        (address, 4369),
        (address, 5672),
        (address, 25672),
    }
    assert {port for at, port in of_broker if at in loopback} == {4369, 15672}


def test_the_port_mapper_has_its_addresses_after_a_restart_too(
    host: Any, cluster: Inventory
) -> None:
    before = {pair for pair in listeners(host) if pair[1] == 4369}
    host.check_output("systemctl restart rabbitmq-server")
    assert {pair for pair in listeners(host) if pair[1] == 4369} == before
    assert host.check_output("rabbitmqctl --quiet eval 'node().'").startswith("rabbit@n")


def test_every_node_has_a_name(host: Any, cluster: Inventory) -> None:
    hosts = host.file("/etc/hosts").content_string
    assert hosts.startswith("# BEGIN jepsenvm: the nodes of the cluster\n")
    for node in cluster.nodes:
        assert f"\n{node.cluster_address} {node.name}\n" in hosts


def test_only_the_management_plugin_was_asked_for(host: Any) -> None:
    plugins = host.check_output("rabbitmq-plugins --quiet list -E -m")
    assert plugins.split() == ["rabbitmq_management"]


def test_there_is_no_guest(host: Any) -> None:
    users = json.loads(host.check_output("rabbitmqctl --quiet list_users --formatter json"))
    assert [user["user"] for user in users] == ["jepsenvm"]


def test_it_is_marked_as_ours(host: Any) -> None:
    marker = host.file("/etc/rabbitmq/.jepsenvm")
    assert (marker.user, marker.mode) == ("root", 0o600)
    assert json.loads(marker.content_string)["nodes"] == ["n1", "n2", "n3", "n4", "n5"]
    record = json.loads(host.file("/opt/jepsenvm/rabbitmq.json").content_string)
    assert (record["source"], record["adopted"]) == ("distribution", False)


def test_the_playbook_heals_what_was_broken(cluster: Inventory) -> None:
    jepsenvm("fault", "start", "loss", "n5", "--percent", "10", "-i", str(cluster.path), expect=0)
    healed = ansible.play("heal.yml", cluster, {})
    assert healed.nodes["n5"].changed == 1
    assert "JEPSENVM" not in on("n5", "iptables -S")
    assert ansible.play("heal.yml", cluster, {}).changed == 0


def test_the_playbook_collects_logs_and_answers(cluster: Inventory, tmp_path: Path) -> None:
    ansible.play("collect.yml", cluster, {"collect_folder": str(tmp_path)})
    assert sorted(folder.name for folder in tmp_path.iterdir()) == [
        node.name for node in cluster.nodes
    ]
    assert "Starting RabbitMQ" in (tmp_path / "n1/rabbit@n1.log").read_text()
    assert "rabbit@n5" in (tmp_path / "n1/cluster_status.txt").read_text()
    assert "active (running)" in (tmp_path / "n5/unit.txt").read_text()
