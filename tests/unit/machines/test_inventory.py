import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from jepsenvm.errors import UsageError
from jepsenvm.machines import inventory, inventory_hostvars
from jepsenvm.machines.inventory_node import Node
from jepsenvm.rabbitmq import credentials as secrets
from jepsenvm.rabbitmq.names import GROUP

FIVE = {f"n{i}": {"ansible_host": f"10.0.0.{i}"} for i in (10, 1, 3, 2)}


def loaded(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    hostvars: dict[str, dict[str, Any]],
    existing: bool = False,
    **groups: Any,
) -> inventory.Inventory:
    """Load what Ansible would have listed, without starting Ansible."""
    listing = {
        "_meta": {"hostvars": hostvars},
        "all": {"children": ["ungrouped", *groups]},
        **groups,
    }
    monkeypatch.setattr(inventory_hostvars, "_list", lambda _path: json.dumps(listing))
    file = tmp_path / "five.yml"
    file.touch()
    return inventory.load(file, GROUP, existing=existing)


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
    five = inventory.load(file, GROUP)
    n2, n10 = five.nodes
    assert n10 == Node(
        name="n10",
        ssh_host="10.0.0.10",
        ssh_port=None,
        ssh_user="jepsen",
        ssh_key="/keys/id",
        known_hosts="/keys/known_hosts",
        become_password=None,
        cluster_address="192.168.0.10",
        amqp_host="10.9.9.10",
        amqp_port=5673,
        ssh_args=("-o", "ProxyJump=gate@192.0.2.1", "-o", "StrictHostKeyChecking=yes"),
        broker="rabbit@n10",
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
    five = inventory.load(file, GROUP)
    assert [(n.name, n.ssh_port, n.ssh_user) for n in five.nodes] == [
        ("n1", 2222, "vagrant"),
        ("n2", 2200, "vagrant"),
    ]
    assert five.machines == "vagrant"


def test_malformed_yaml_is_refused_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "bad.yml"
    file.write_text("all:\n  hosts:\n    n1: [\n")
    with pytest.raises(
        UsageError, match=r"bad\.yml is not an inventory: YAML parsing failed.*line \d+"
    ) as refused:
        inventory.load(file, GROUP)
    assert "\n" not in str(refused.value)


def test_missing_file_and_empty_directory_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"nowhere\.yml: No such file"):
        inventory.load(tmp_path / "nowhere.yml", GROUP)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match=r"names no hosts|is not an inventory"):
        inventory.load(tmp_path / "empty", GROUP)


PLUGIN = """plugin: ansible.builtin.generator
hosts: {name: "10.1.0.{{ %s }}", parents: [{name: rabbitmq}]}
layers: {i: [1, 2, 3]}
"""


def test_a_plug_in_and_a_program_are_inventories(tmp_path: Path) -> None:
    plugin, program = tmp_path / "three.config.yml", tmp_path / "two.py"
    plugin.write_text(PLUGIN % "i")
    assert [node.cluster_address for node in inventory.load(plugin, GROUP).nodes] == [
        "10.1.0.1",
        "10.1.0.2",
        "10.1.0.3",
    ]
    listed = {
        "rabbitmq": {"hosts": ["n1"]},
        "_meta": {"hostvars": {"n1": {"ansible_host": "10.0.0.1"}}},
    }
    program.write_text(f"#!{sys.executable}\nprint({json.dumps(listed)!r})\n")
    program.chmod(0o755)
    assert [node.ssh_host for node in inventory.load(program, GROUP).nodes] == ["10.0.0.1"]


def test_what_is_wrong_with_a_plug_ins_configuration_is_told(tmp_path: Path) -> None:
    file = tmp_path / "three.config.yml"
    file.write_text(PLUGIN % "nonsense")
    with pytest.raises(UsageError, match="'nonsense' is undefined"):
        inventory.load(file, GROUP)


VAULTED = "a$b\"c'd !{{x}}"
"""What a password may look like; after it is decrypted it is no template."""


@pytest.fixture
def vaulted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of INI and YAML files with group_vars, host_vars, templates and a vault-encrypted
    password.
    """
    (tmp_path / "vault-password").write_text("open sesame\n")
    monkeypatch.setenv("ANSIBLE_VAULT_PASSWORD_FILE", str(tmp_path / "vault-password"))
    folder = tmp_path / "inventory"
    for name in ("group_vars/rabbitmq", "host_vars"):
        (folder / name).mkdir(parents=True)
    (folder / "hosts.ini").write_text(
        "[rabbitmq]\nn1 ansible_host=192.0.2.1\nn2 ansible_host=192.0.2.2\n"
    )
    (folder / "more.yml").write_text("rabbitmq: {hosts: {n3: {ansible_host: 192.0.2.3}}}\n")
    (folder / "group_vars/rabbitmq/plain.yml").write_text(
        "gate: jump.example.org\n"
        "net: 10.7.0\n"
        "cluster_address: '{{ net }}.{{ inventory_hostname[1:] }}'\n"
        "ansible_ssh_common_args: -o ProxyJump={{ gate }}\n"
        "ansible_python_interpreter: /opt/python/bin/python3\n"
        "allowed_faults: [partition, '{{ more }}']\n"
        "more: loss\n"
    )
    (folder / "host_vars/n2.yml").write_text("ansible_port: 2222\nansible_user: admin\n")
    encrypted = subprocess.run(
        [
            str(Path(sys.executable).with_name("ansible-vault")),
            "encrypt_string",
            "--stdin-name",
            "ansible_become_password",
        ],
        input=VAULTED,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    (folder / "group_vars/rabbitmq/secret.yml").write_text(encrypted)
    return folder


def test_a_folder_with_templates_and_a_vault_is_resolved_by_ansible(vaulted: Path) -> None:
    three = inventory.load(vaulted, GROUP)
    assert [node.cluster_address for node in three.nodes] == ["10.7.0.1", "10.7.0.2", "10.7.0.3"]
    assert {node.become_password for node in three.nodes} == {VAULTED}
    assert {node.ssh_args for node in three.nodes} == {("-o", "ProxyJump=jump.example.org")}
    assert {node.python for node in three.nodes} == {("/opt/python/bin/python3",)}
    assert [(node.ssh_port, node.ssh_user) for node in three.nodes] == [
        (None, None),
        (2222, "admin"),
        (None, None),
    ]
    assert three.allowed_faults == frozenset({"partition", "loss"})


def test_a_vault_without_its_password_is_refused_with_the_option(
    vaulted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ANSIBLE_VAULT_PASSWORD_FILE")
    with pytest.raises(
        UsageError, match=r"its encrypted values cannot be read: .*--vault-password-file"
    ) as refused:
        inventory.load(vaulted, GROUP)
    assert "\n" not in str(refused.value)


def test_a_template_that_leads_nowhere_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "hosts.yml"
    file.write_text("all: {hosts: {n1: {ansible_host: '{{ address }}'}}}\n")
    with pytest.raises(
        UsageError, match=r"^n1: .*hosts\.yml: ansible_host cannot be resolved: .*'address'"
    ):
        inventory.load(file, GROUP)


@pytest.mark.parametrize(
    ("flag", "hostvars", "existing", "allowed"),
    [
        (False, {"n1": {}, "n2": {}}, False, None),
        (False, {"n1": {"allowed_faults": ["kill"]}, "n2": {}}, False, {"kill"}),
        (True, {"n1": {}, "n2": {}}, True, set()),
        (True, {"n1": {"allowed_faults": ["kill"]}, "n2": {}}, True, set()),
        (
            False,
            {n: {"jepsenvm_existing": True, "allowed_faults": ["kill"]} for n in ("n1", "n2")},
            True,
            {"kill"},
        ),
        (
            True,
            {
                "n1": {"allowed_faults": ["kill", "loss"]},
                "n2": {"allowed_faults": ["loss", "pause"]},
            },
            True,
            {"loss"},
        ),
    ],
)
def test_whose_cluster_it_is_and_what_may_be_done_to_it(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    flag: bool,
    hostvars: dict[str, dict[str, Any]],
    existing: bool,
    allowed: set[str] | None,
) -> None:
    addressed = {
        name: {**one, "ansible_host": f"10.0.0.{name[1:]}"} for name, one in hostvars.items()
    }
    two = loaded(tmp_path, monkeypatch, addressed, existing=flag)
    assert (two.existing, two.allowed_faults) == (
        existing,
        None if allowed is None else frozenset(allowed),
    )
    assert {node.vhost for node in two.nodes} == ({"jepsenvm"} if existing else {"/"})
    assert [node.broker for node in two.nodes] == (
        [None, None] if existing else ["rabbit@n1", "rabbit@n2"]
    )


def test_the_user_of_a_cluster_that_is_not_ours_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hostvars = {
        "n1": {
            "ansible_host": "10.0.0.1",
            "jepsenvm_broker_user": "tester",
            "jepsenvm_vhost": "trial",
        }
    }
    one = loaded(tmp_path, monkeypatch, hostvars, existing=True)
    with pytest.raises(
        UsageError, match=r"jepsenvm_broker_password is not set.*JEPSENVM_BROKER_PASSWORD"
    ):
        secrets.credentials(one)
    monkeypatch.setenv("JEPSENVM_BROKER_PASSWORD", "hush")
    address = secrets.credentials(one).at(one.nodes[0])
    assert (address.user, address.password, address.vhost) == ("tester", "hush", "trial")


def test_nodes_are_in_natural_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    five = loaded(tmp_path, monkeypatch, FIVE)
    assert [node.name for node in five.nodes] == ["n1", "n2", "n3", "n10"]


def test_hosts_of_groups_within_the_group_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    groups = {"rabbitmq": {"children": ["east"]}, "east": {"hosts": ["n1", "n2"]}}
    assert [node.name for node in loaded(tmp_path, monkeypatch, FIVE, False, **groups).nodes] == [
        "n1",
        "n2",
    ]


@pytest.mark.parametrize(
    ("hostvars", "says"),
    [
        ({}, "names no hosts"),
        ({"n1;reboot": {}}, "'n1;reboot' is not a host name"),
        ({"-n1": {}}, "'-n1' is not a host name"),
        ({"n1": {"ansible_host": "-oProxyCommand=x"}}, "ansible_host is '-oProxyCommand=x'"),
        (
            {"n1": {"ansible_host": "10.0.0.1", "ansible_become_method": "su"}},
            "ansible_become_method is 'su'",
        ),
        (
            {"n1": {"ansible_host": "10.0.0.1", "ansible_ssh_common_args": "-o 'A=b"}},
            "ansible_ssh_common_args",
        ),
        (
            {"n1": {"ansible_host": "10.0.0.1", "allowed_faults": "kill"}},
            "allowed_faults is 'kill'",
        ),
        (
            {"n1": {"ansible_host": "10.0.0.1", "jepsenvm_existing": "maybe"}},
            "jepsenvm_existing is 'maybe'",
        ),
        (
            {
                "n1": {
                    "ansible_host": "10.0.0.1",
                    "jepsenvm_existing": True,
                    "jepsenvm_vhost": "a b",
                }
            },
            "jepsenvm_vhost is 'a b'",
        ),
        ({"n1": {"ansible_host": "n1.example.org"}}, "set cluster_address to the IP address"),
        ({"n1": {"ansible_host": "10.0.0.1", "ansible_port": "ssh"}}, "ansible_port is 'ssh'"),
        ({"n1": {"ansible_host": "10.0.0.1", "amqp_port": 70000}}, "amqp_port is '70000'"),
        (
            {"n1": {"ansible_host": "10.0.0.1"}, "n2": {"ansible_host": "10.0.0.1"}},
            "n1 and n2 have the same ansible_host",
        ),
    ],
)  # fmt: skip - a case a line
def test_unfit_inventories_are_refused_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hostvars: dict[str, dict[str, Any]], says: str
) -> None:
    with pytest.raises(UsageError) as refused:
        loaded(tmp_path, monkeypatch, hostvars)
    assert says in str(refused.value)
    assert "five.yml" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_credentials_are_read_and_never_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    five = loaded(tmp_path, monkeypatch, FIVE)
    with pytest.raises(UsageError, match="jepsenvm deploy -i"):
        secrets.credentials(five)
    five.secrets_dir.mkdir(parents=True)
    (five.secrets_dir / "rabbitmq_password").write_text("hush\n")
    found = secrets.credentials(five)
    assert (found.user, found.password) == ("jepsenvm", "hush")
    assert "hush" not in repr(found)


@pytest.mark.parametrize("user", ["a$(id)", "a`id`", "a\\b", "-p", "a\nb", "\x1b[2J"])
def test_a_broker_user_is_no_shell_text(
    user: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JEPSENVM_BROKER_USER", user)
    monkeypatch.setenv("JEPSENVM_BROKER_PASSWORD", "x")
    theirs = loaded(tmp_path, monkeypatch, FIVE, existing=True)
    with pytest.raises(UsageError, match="jepsenvm_broker_user is "):
        secrets.credentials(theirs)


def test_a_cluster_without_tls_has_the_ports_of_amqp(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hostvars: dict[str, dict[str, Any]] = {
        "n1": {"ansible_host": "10.0.0.1", "amqp_port": 15001, "rabbitmq_tls": False}
    }
    deployed = loaded(tmp_path, monkeypatch, hostvars)
    assert deployed.broker_ca is None
    (n1,) = deployed.nodes
    assert (n1.amqp_port, n1.amqp_listen_port, n1.tls_name) == (15001, 5672, "10.0.0.1")
    # The port of a cluster that jepsenvm did not deploy can be any.
    (n1,) = loaded(tmp_path, monkeypatch, hostvars, existing=True).nodes
    assert (n1.amqp_port, n1.amqp_listen_port) == (15001, 15001)


def test_tls_has_a_port_and_an_authority_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hostvars: dict[str, dict[str, Any]] = {
        "n1": {"ansible_host": "10.0.0.1", "rabbitmq_tls": "yes"},
        "n2": {"ansible_host": "10.0.0.2", "rabbitmq_tls": "yes", "amqp_port": 15002},
    }
    deployed = loaded(tmp_path, monkeypatch, hostvars)
    assert deployed.broker_ca == deployed.secrets_dir / "tls/ca.pem"
    assert [(n.amqp_port, n.amqp_listen_port) for n in deployed.nodes] == [
        (5671, 5671),
        (15002, 5671),
    ]


def test_an_existing_cluster_with_tls_names_its_authority(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hostvars = {
        "n1": {
            "ansible_host": "10.0.0.1",
            "jepsenvm_broker_ca": "~/ca.pem",
            "amqp_address": "127.0.0.1",
            "amqp_port": 15001,
            "amqp_listen_port": 5679,
            "amqp_server_name": "broker.example.org",
        }
    }
    theirs = loaded(tmp_path, monkeypatch, hostvars, existing=True)
    assert theirs.broker_ca == Path("~/ca.pem").expanduser()
    (n1,) = theirs.nodes
    assert (n1.amqp_port, n1.amqp_listen_port, n1.tls_name) == (15001, 5679, "broker.example.org")


@pytest.mark.parametrize(
    ("existing", "first", "second", "says"),
    [
        (False, {"rabbitmq_tls": "maybe"}, {}, "rabbitmq_tls is 'maybe'; write true or false"),
        (
            False,
            {"rabbitmq_tls": True},
            {"rabbitmq_tls": False},
            "rabbitmq_tls is not the same on all nodes; set it once, for all nodes",
        ),
        (
            False,
            {"jepsenvm_broker_ca": "/ca.pem"},
            {},
            "jepsenvm_broker_ca is set, but `jepsenvm deploy` makes an authority of its own",
        ),
        (
            True,
            {"rabbitmq_tls": True},
            {},
            "rabbitmq_tls is set, but not jepsenvm_broker_ca, and certificates are always verified",
        ),
        (
            True,
            {"rabbitmq_tls": False, "jepsenvm_broker_ca": "/ca.pem"},
            {},
            "jepsenvm_broker_ca is set, but rabbitmq_tls is false; remove one of the two lines",
        ),
        (True, {"jepsenvm_broker_ca": ["/ca.pem"]}, {}, "jepsenvm_broker_ca is ['/ca.pem']"),
        (True, {"jepsenvm_broker_ca": " "}, {}, "jepsenvm_broker_ca is ' '"),
        (True, {"jepsenvm_broker_ca": "a\0b"}, {}, "jepsenvm_broker_ca is 'a"),
        (True, {"jepsenvm_broker_ca": "~nobody-here/ca.pem"}, {}, "an existing user after ~"),
        (True, {"amqp_listen_port": 0}, {}, "amqp_listen_port is '0'"),
        (True, {"amqp_server_name": "-x"}, {}, "amqp_server_name is '-x'"),
    ],
)
def test_settings_of_tls_that_do_not_fit_are_refused_in_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    existing: bool,
    first: dict[str, Any],
    second: dict[str, Any],
    says: str,
) -> None:
    hostvars = {
        "n1": {"ansible_host": "10.0.0.1", **first},
        "n2": {"ansible_host": "10.0.0.2", **(second or first)},
    }
    with pytest.raises(UsageError) as refused:
        loaded(tmp_path, monkeypatch, hostvars, existing=existing)
    assert says in str(refused.value)
    assert "five.yml" in str(refused.value)
    assert "\n" not in str(refused.value)
