"""Run on hosts with a sudo password, another SSH port, a jump host and private addresses.

These tests replace the lab by one with three hosts, and restore the previous lab afterwards.
n1 is both a node and the jump host to the other nodes.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from jepsenvm.machines import lab
from jepsenvm.machines.inventory import Inventory, load
from jepsenvm.machines.lab.topology import SWITCH, LabHost
from jepsenvm.machines.ssh import Fleet
from jepsenvm.rabbitmq.names import GROUP
from tests.lab.conftest import cut, jepsenvm, on, results

USER, PORT = "admin", 2222
PASSWORD = """p$HOME'w"d `id`; {{x}} \\n ü"""
VAULT = "open sesame"
LINK = "ens7"
HOSTS = [LabHost(number) for number in (1, 2, 3)]
PRIVATE = {host.name: f"10.205.78.{10 + host.number}" for host in HOSTS}
SHORT = [
    "--queue-type",
    "quorum",
    "--time-limit",
    "30",
    "--quiet-before",
    "5",
    "--fault-duration",
    "20",
    "--seed",
    "1",
]
# RabbitMQ 3.10.8 sometimes leaves a node stuck after pause_minority.
SHORT += ["--set", "recovery-deadline=30"]
SET = ["--net-ticktime", "6", "--partition-handling", "pause_minority"]

SSH_CONFIG = """
Host gate
  HostName {gate}
  Port {port}
  StrictHostKeyChecking accept-new
Host {others}
  ProxyJump gate
Host *
  User {user}
  IdentityFile {folder}/key
  IdentitiesOnly yes
  UserKnownHostsFile {folder}/known_hosts
"""

PLAIN = """
ansible_port: {port}
ansible_ssh_common_args: >-
  -F {{{{ inventory_dir }}}}/../ssh_config -o StrictHostKeyChecking=accept-new
rabbitmq_apt_update: false
ansible_become_password: "{{{{ sudo_password }}}}"
"""


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)


def given(node: str, command: str, stdin: str) -> None:
    subprocess.run(lab.ssh_argv(node, [command]), input=stdin, text=True, check=True, timeout=60)


def private_network() -> None:
    """A second network between the hosts, to which this machine has no way, by an interface of
    another name.
    """
    ip("-n", SWITCH, "link", "add", "br1", "type", "bridge", "mcast_snooping", "0")
    ip("-n", SWITCH, "link", "set", "br1", "up")
    for host in HOSTS:
        plug = f"{host.name}-private"
        ip(
            "-n",
            SWITCH,
            "link",
            "add",
            plug,
            "type",
            "veth",
            "peer",
            "name",
            LINK,
            "netns",
            host.machine,
        )
        ip("-n", SWITCH, "link", "set", plug, "master", "br1", "up")
        ip("-n", host.machine, "address", "add", f"{PRIVATE[host.name]}/24", "dev", LINK)
        ip("-n", host.machine, "link", "set", LINK, "up")


def admin(public: str) -> None:
    """A user who may become root with a password, and an sshd that this machine reaches on one host
    only.
    """
    for host in HOSTS:
        on(host.name, f"useradd --create-home --shell /bin/bash {USER}")
        given(host.name, "sudo chpasswd", f"{USER}:{PASSWORD}\n")
        given(host.name, f"sudo tee /etc/sudoers.d/{USER}", f"{USER} ALL=(ALL:ALL) ALL\n")
        home = f"/home/{USER}/.ssh"
        given(
            host.name, f"sudo install -d -o {USER} {home}; sudo tee {home}/authorized_keys", public
        )
        given(host.name, "sudo tee /etc/ssh/sshd_config.d/ports.conf", f"Port 22\nPort {PORT}\n")
        on(host.name, "systemctl restart ssh")
        if host.number > 1:
            on(host.name, f"iptables -A INPUT -s 10.205.77.1 -p tcp --dport {PORT} -j DROP")


@pytest.fixture(scope="module")
def folder(lab_is_ours: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Write the inventory folder; its key, SSH configuration and vault password lie beside it."""
    before = lab.status()
    lab.down()
    lab.up(len(HOSTS))
    top = tmp_path_factory.mktemp("cloud")
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(top / "key")], check=True
    )
    private_network()
    admin((top / "key.pub").read_text())
    yield write_inventory(top)
    lab.down()
    if before:
        lab.up(len(before))


def write_inventory(top: Path) -> Path:
    first, *others = HOSTS
    (top / "ssh_config").write_text(
        SSH_CONFIG.format(
            gate=first.address,
            port=PORT,
            others=" ".join(h.address for h in others),
            user=USER,
            folder=top,
        )
    )
    (top / "vault").write_text(VAULT)
    inventory = top / "inventory"
    for name in ("group_vars/rabbitmq", "host_vars"):
        (inventory / name).mkdir(parents=True)
    lines = [
        f"{host.name} ansible_host={host.address} cluster_address={PRIVATE[host.name]}"
        for host in HOSTS
    ]
    (inventory / "hosts.ini").write_text("[rabbitmq]\n" + "\n".join(lines) + "\n")
    (inventory / "group_vars/rabbitmq/plain.yml").write_text(PLAIN.format(port=PORT))
    # The same route as the ProxyJump of ssh_config, written as a ProxyCommand.
    (inventory / "host_vars/n3.yml").write_text(
        f"""ansible_ssh_common_args: >-
  -o ProxyCommand="ssh -F {top}/ssh_config -W %h:%p gate" -o ProxyJump=none -o User={USER}
  -o IdentityFile={top}/key -o UserKnownHostsFile={top}/known_hosts
  -o StrictHostKeyChecking=accept-new
"""
    )
    encrypted = subprocess.run(
        [
            str(Path(sys.executable).with_name("ansible-vault")),
            "encrypt_string",
            "--stdin-name",
            "sudo_password",
        ],
        input=PASSWORD,
        env={**os.environ, "ANSIBLE_VAULT_PASSWORD_FILE": str(top / "vault")},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    (inventory / "group_vars/rabbitmq/secret.yml").write_text(encrypted)
    return inventory


@pytest.fixture(scope="module")
def cloud(folder: Path) -> list[str]:
    """Return the options that select the inventory and its vault password."""
    return ["-i", str(folder), "--vault-password-file", str(folder.parent / "vault")]


@pytest.fixture
def loaded(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Inventory:
    monkeypatch.setenv("ANSIBLE_VAULT_PASSWORD_FILE", str(folder.parent / "vault"))
    return load(folder, GROUP)


def test_an_unknown_host_key_is_refused_until_it_is_accepted_on_purpose(
    cloud: list[str], folder: Path
) -> None:
    plain = folder / "group_vars/rabbitmq/plain.yml"
    written = plain.read_text()
    plain.write_text(written.replace("accept-new", "yes"))
    refused = jepsenvm("fault", "status", *cloud, expect=254).stderr
    plain.write_text(written)
    assert "has an unknown host key; add it to known_hosts, or accept new ones" in refused


def test_every_host_is_reached_through_the_gate_and_root_by_its_password(loaded: Inventory) -> None:
    with Fleet(loaded.nodes) as fleet:
        for _ in range(2):  # sudo may cache the password and not ask again
            assert {
                node: fleet.run(node, "id -u; cat", stdin="given").stdout for node in fleet.nodes
            } == {
                "n1": "0\ngiven",
                "n2": "0\ngiven",
                "n3": "0\ngiven",
            }
        came = {
            node: fleet.plain(node, "echo $SSH_CONNECTION").stdout.split() for node in fleet.nodes
        }
    assert {node: (words[0], words[3]) for node, words in came.items()} == {
        "n1": ("10.205.77.1", str(PORT)),
        "n2": (HOSTS[0].address, str(PORT)),
        "n3": (HOSTS[0].address, str(PORT)),
    }


def test_a_foreign_rabbitmq_is_refused(cloud: list[str]) -> None:
    on("n3", "mkdir -p /var/lib/rabbitmq/mnesia/theirs")
    refused = jepsenvm("deploy", *cloud, expect=254).stderr
    on("n3", "rm -r /var/lib/rabbitmq/mnesia")
    assert refused.startswith(
        "jepsenvm: n3: has a RabbitMQ that jepsenvm did not install; use another host"
    )
    assert "rabbitmq-server" not in on("n1", "dpkg --get-selections")


def test_a_run_deploys_there_and_gives_its_verdict(cloud: list[str], tmp_path: Path) -> None:
    words = [
        "run",
        *cloud,
        "--nemesis",
        "partition-random-node",
        *SHORT,
        *SET,
        "--store",
        str(tmp_path),
    ]
    output = jepsenvm(*words, expect=0).stdout
    assert "4 of 6 links cut, 2 open" in output
    verdict = results((tmp_path / "latest").resolve())
    assert verdict["verdict"] == "valid"
    assert verdict["checkers"]["faults"]["windows"][0]["proven"]
    assert f"{PRIVATE['n2']} n2" in on("n1", "cat /etc/hosts")


def test_the_private_addresses_are_cut_and_ssh_through_a_node_is_not(cloud: list[str]) -> None:
    jepsenvm("fault", "start", "partition", "n1", "n2,n3", *cloud, expect=0)
    assert all(cut([("n1", "n2"), ("n3", "n1")], PRIVATE))
    assert not any(cut([("n2", "n3")], PRIVATE))
    status = jepsenvm("fault", "status", *cloud, expect=0).stdout
    assert status.count("CUT") == 4
    jepsenvm("heal", *cloud, expect=0)
    assert not any(cut([("n1", "n2"), ("n3", "n1")], PRIVATE))


@pytest.fixture(scope="module")
def theirs(folder: Path) -> Path:
    """The same cluster as if somebody else had made it: no marker, another user, other names for
    the hosts.
    """
    for host in HOSTS:
        on(host.name, "rm /etc/rabbitmq/.jepsenvm")
    given("n1", "sudo rabbitmqctl --quiet add_user tester", "s3cret\n")
    text = (folder / "hosts.ini").read_text()
    other = folder.parent / "theirs"
    (other / "group_vars").mkdir(parents=True)
    (other / "hosts.ini").write_text(text.replace("\nn", "\neast"))
    plain = PLAIN.format(port=PORT).replace("{{ inventory_dir }}/..", str(folder.parent))
    more = (
        "jepsenvm_existing: true\nallowed_faults: [partition, restart]\n"
        "jepsenvm_broker_user: tester\n"
    )
    (other / "group_vars/rabbitmq.yml").write_text(plain + more)
    (other / "group_vars/all.yml").write_text(
        (folder / "group_vars/rabbitmq/secret.yml").read_text()
    )
    return other


def test_a_cluster_of_others_is_tested_and_left_as_it_was(
    theirs: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = ["-i", str(theirs), "--vault-password-file", str(folder.parent / "vault")]
    run = ["run", *where, *SHORT, "--store", str(tmp_path)]
    assert "jepsenvm_broker_password is not set" in jepsenvm(*run, expect=254).stderr
    monkeypatch.setenv("JEPSENVM_BROKER_PASSWORD", "wrong")
    assert "tester cannot log in to virtual host jepsenvm" in jepsenvm(*run, expect=254).stderr
    monkeypatch.setenv("JEPSENVM_BROKER_PASSWORD", "s3cret")
    before = definitions()
    refused = jepsenvm(*run, "--nemesis", "kill", expect=254).stderr
    assert f"{theirs}: allowed_faults does not allow kill; add kill to that list" in refused
    assert "jepsenvm_existing is set" in jepsenvm("deploy", *where, expect=254).stderr
    output = jepsenvm(*run, "--nemesis", "partition-random-node", expect=0).stdout
    assert "virtual host jepsenvm: made" in output
    assert "virtual host jepsenvm: deleted" in output
    plan = (tmp_path / "latest" / "plan.yml").read_text()
    assert "net-ticktime: 6" in plan, "the plan has the cluster's value, not the default"
    assert "partition-handling: pause_minority" in plan
    assert definitions() == before
    assert "JEPSENVM" not in on("n1", "iptables -w -S; ip6tables -w -S")
    assert ".jepsenvm" not in on("n1", "ls -A /etc/rabbitmq")
    assert "nothing to heal" in jepsenvm("heal", *where, "--existing", expect=0).stdout
    assert "none" in jepsenvm("fault", "status", *where, "--existing", expect=0).stdout


def definitions() -> list[str]:
    """List the users, virtual hosts, permissions, policies and queues of the cluster."""
    kinds = ("users", "vhosts", "permissions", "policies", "queues")
    return [
        line
        for kind in kinds
        for line in sorted(on("n1", f"rabbitmqctl --quiet list_{kind}").splitlines())
    ]
