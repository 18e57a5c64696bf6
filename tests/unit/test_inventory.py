import json
from pathlib import Path
from typing import Any

import pytest

from jepsenvm.cluster import inventory, secrets
from jepsenvm.errors import Refused

FIVE = {f"n{i}": {"ansible_host": f"10.0.0.{i}"} for i in (10, 1, 3, 2)}


def loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hostvars: dict[str, dict[str, Any]], **groups: Any
) -> inventory.Inventory:
    """Load what Ansible would have listed, without starting Ansible."""
    listing = {"_meta": {"hostvars": hostvars}, "all": {"children": ["ungrouped", *groups]}, **groups}
    monkeypatch.setattr(inventory, "_ansible_inventory", lambda _path: json.dumps(listing))
    file = tmp_path / "five.yml"
    file.touch()
    return inventory.load(file)


def test_yaml_as_the_lab_writes_it_is_read_by_ansible(tmp_path: Path) -> None:
    file = tmp_path / "inventory.yml"
    file.write_text(
        """
all:
  children:
    rabbitmq:
      hosts:
        n10: {ansible_host: 10.0.0.10, cluster_address: 192.168.0.10, amqp_address: 10.9.9.10, amqp_port: 5673}
        n2: {ansible_host: 10.0.0.2, ansible_become_password: hush}
      vars:
        ansible_user: jepsen
        ansible_ssh_private_key_file: /keys/id
        jepsenvm_known_hosts: /keys/known_hosts
        ansible_ssh_common_args: -o ProxyJump=gate@192.0.2.1 -o StrictHostKeyChecking=yes
        jepsenvm_machines: lab
    other:
      hosts: {gate: {ansible_host: 192.0.2.1}}
"""
    )
    five = inventory.load(file)
    n2, n10 = five.nodes
    assert n10 == inventory.Node(
        name="n10",
        ssh_host="10.0.0.10",
        ssh_port=22,
        ssh_user="jepsen",
        ssh_key="/keys/id",
        known_hosts="/keys/known_hosts",
        become_password=None,
        cluster_address="192.168.0.10",
        amqp_host="10.9.9.10",
        amqp_port=5673,
    )
    assert (n2.name, n2.become_password, n2.cluster_address, n2.amqp_host) == (
        "n2",
        "hush",
        "10.0.0.2",
        "10.0.0.2",
    )
    assert "hush" not in repr(five)
    assert five.machines == "lab"
    assert five.secrets_dir == tmp_path / ".jepsenvm" / "inventory"
    assert "ProxyJump" in five.vars["ansible_ssh_common_args"]
    assert "ansible_host" not in five.vars


def test_ini_with_another_port_is_read_by_ansible(tmp_path: Path) -> None:
    file = tmp_path / "hosts.ini"
    file.write_text(
        "[rabbitmq]\nn1 ansible_host=127.0.0.1 ansible_port=2222 cluster_address=10.0.0.1 amqp_port=5001\n"
        "n2 ansible_host=127.0.0.1 ansible_port=2200 cluster_address=10.0.0.2 amqp_port=5002\n"
        "[rabbitmq:vars]\nansible_user=vagrant\njepsenvm_machines=vagrant\n"
    )
    five = inventory.load(file)
    assert [(n.name, n.ssh_port, n.ssh_user) for n in five.nodes] == [
        ("n1", 2222, "vagrant"),
        ("n2", 2200, "vagrant"),
    ]
    assert five.machines == "vagrant"


def test_malformed_yaml_is_refused_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "bad.yml"
    file.write_text("all:\n  hosts:\n    n1: [\n")
    with pytest.raises(Refused, match=r"bad\.yml is not an inventory: YAML parsing failed.*line \d+") as refused:
        inventory.load(file)
    assert "\n" not in str(refused.value)


def test_missing_file_and_directory_are_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused, match=r"nowhere\.yml: No such file"):
        inventory.load(tmp_path / "nowhere.yml")
    with pytest.raises(Refused, match="is a directory"):
        inventory.load(tmp_path)


def test_nodes_are_in_natural_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    five = loaded(tmp_path, monkeypatch, FIVE)
    assert [node.name for node in five.nodes] == ["n1", "n2", "n3", "n10"]


def test_hosts_of_groups_within_the_group_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    groups = {"rabbitmq": {"children": ["east"]}, "east": {"hosts": ["n1", "n2"]}}
    assert [node.name for node in loaded(tmp_path, monkeypatch, FIVE, **groups).nodes] == ["n1", "n2"]


@pytest.mark.parametrize(
    ("hostvars", "says"),
    [
        ({}, "names no hosts"),
        ({"n1;reboot": {}}, "'n1;reboot' is not a host name"),
        ({"-n1": {}}, "'-n1' is not a host name"),
        ({"n1": {"ansible_host": "-oProxyCommand=x"}}, "ansible_host is '-oProxyCommand=x'"),
        ({"n1": {"ansible_host": "{{ address }}"}}, "ansible_host is a template"),
        ({"n1": {"ansible_host": "n1.example.org"}}, "set cluster_address to the IP address"),
        ({"n1": {"ansible_host": "10.0.0.1", "ansible_port": "ssh"}}, "ansible_port is 'ssh'"),
        ({"n1": {"ansible_host": "10.0.0.1", "amqp_port": 70000}}, "amqp_port is '70000'"),
        (
            {"n1": {"ansible_host": "10.0.0.1"}, "n2": {"ansible_host": "10.0.0.1"}},
            "n1 and n2 have the same ansible_host",
        ),
        ({"n1": {"ansible_host": "10.0.0.1", "jepsenvm_machines": "moon"}}, "jepsenvm_machines is 'moon'"),
    ],
)  # fmt: skip - a case a line
def test_unfit_inventories_are_refused_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hostvars: dict[str, dict[str, Any]], says: str
) -> None:
    with pytest.raises(Refused) as refused:
        loaded(tmp_path, monkeypatch, hostvars)
    assert says in str(refused.value)
    assert "five.yml" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_credentials_are_read_and_never_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    five = loaded(tmp_path, monkeypatch, FIVE)
    with pytest.raises(Refused, match="jepsenvm deploy -i"):
        secrets.credentials(five)
    five.secrets_dir.mkdir(parents=True)
    (five.secrets_dir / "rabbitmq_password").write_text("hush\n")
    found = secrets.credentials(five)
    assert (found.user, found.password) == ("jepsenvm", "hush")
    assert "hush" not in repr(found)
