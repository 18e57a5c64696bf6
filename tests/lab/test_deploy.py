"""Run the playbooks on real hosts: the state after a deployment, and the errors."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from jepsenvm.errors import JepsenvmError, UsageError
from jepsenvm.machines import ansible, lab
from jepsenvm.machines.inventory import Inventory, load
from jepsenvm.rabbitmq import certificates
from jepsenvm.rabbitmq import credentials as secrets
from jepsenvm.rabbitmq.amqp import Address, SessionLost
from jepsenvm.rabbitmq.connections import session
from jepsenvm.rabbitmq.names import GROUP
from tests.lab.conftest import jepsenvm
from tests.lab.whole import NET_TICKTIME

MARKER = "/etc/rabbitmq/.jepsenvm"
TOLD: dict[str, object] = {"rabbitmq_net_ticktime": NET_TICKTIME}
"""The settings of the tests that follow, which need no other deployment."""
PAUSE = {**TOLD, "rabbitmq_partition_handling": "pause_minority"}


def on(node: str, command: str, stdin: str | None = None) -> str:
    done = subprocess.run(
        lab.ssh_argv(node, [command]),
        input=stdin,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def status(node: str) -> dict[str, list[str]]:
    answer: dict[str, list[str]] = json.loads(
        on(node, "sudo rabbitmqctl -q cluster_status --formatter json")
    )
    return answer


def whole(inventory: Inventory) -> bool:
    everyone = {f"rabbit@{node.name}" for node in inventory.nodes}
    views = [status(node.name) for node in inventory.nodes]
    return all(set(view["running_nodes"]) == everyone and not view["partitions"] for view in views)


def partition_handling(node: str) -> str:
    return on(
        node, "sudo rabbitmqctl eval 'application:get_env(rabbit, cluster_partition_handling).'"
    ).strip()


def started(node: str) -> str:
    """Return the main PID of the broker, which changes with every start."""
    return on(node, "systemctl show --property=MainPID rabbitmq-server")


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("deploy") / "ansible.log"


@pytest.fixture(scope="module")
def deployed(lab_inventory: Path, log: Path) -> Inventory:
    inventory = load(lab_inventory, GROUP)
    ansible.play("site.yml", inventory, TOLD, log)
    return inventory


@pytest.fixture
def nosudo(deployed: Inventory) -> Iterator[str]:
    """Create a user on the first node that can log in but cannot use sudo."""
    node, name = deployed.nodes[0].name, "nosudo"
    on(node, f"sudo useradd --create-home --password '*' {name}")
    on(node, f"sudo cp -r ~/.ssh /home/{name}/ && sudo chown -R {name} /home/{name}/.ssh")
    yield name
    on(node, f"sudo userdel --remove {name} 2>&1")


def variant(inventory: Inventory, tmp_path: Path, **changes: object) -> Inventory:
    """Load the same hosts with changed variables for the first host."""
    content = yaml.safe_load(inventory.path.read_text())
    group = content["all"]["children"]["rabbitmq"]
    group["hosts"][inventory.nodes[0].name].update(changes)
    group["vars"]["jepsenvm_secrets_dir"] = str(inventory.secrets_dir)
    file = tmp_path / "variant.yml"
    file.write_text(yaml.safe_dump(content))
    return load(file, GROUP)


def test_a_second_deployment_changes_nothing(
    deployed: Inventory, log: Path, caplog: pytest.LogCaptureFixture
) -> None:
    recap = ansible.play("site.yml", deployed, TOLD, log)
    assert {node: counts.changed for node, counts in recap.nodes.items()} == {
        n.name: 0 for n in deployed.nodes
    }
    assert not [line for line in caplog.messages if "changed" in line]
    assert recap.stats["rabbitmq_version"].count(".") == 2


def test_every_node_sees_all_the_others(deployed: Inventory) -> None:
    assert whole(deployed)


def test_there_is_our_user_and_no_guest(deployed: Inventory) -> None:
    users = json.loads(
        on(deployed.nodes[-1].name, "sudo rabbitmqctl -q list_users --formatter json")
    )
    assert [user["user"] for user in users] == [secrets.USER]


def test_the_nodes_count_ticks_as_told(deployed: Inventory) -> None:
    ticktime = on(deployed.nodes[0].name, "sudo rabbitmqctl eval 'net_kernel:get_net_ticktime().'")
    assert int(ticktime) == NET_TICKTIME


def test_secrets_are_for_their_owners_only(deployed: Inventory) -> None:
    files = {file.name: oct(file.stat().st_mode & 0o777) for file in deployed.secrets_dir.iterdir()}
    assert files == {"erlang_cookie": "0o600", "rabbitmq_password": "0o600"}
    assert deployed.secrets_dir.stat().st_mode & 0o777 == 0o700
    for node in deployed.nodes:
        modes = (
            "sudo stat -c '%a %U' /var/lib/rabbitmq/.erlang.cookie /etc/rabbitmq/definitions.json"
        )
        assert on(node.name, modes).splitlines() == ["400 rabbitmq", "640 root"]


def test_secrets_occur_nowhere_else(deployed: Inventory, log: Path) -> None:
    hidden = [file.read_text().strip() for file in deployed.secrets_dir.iterdir()]
    assert not [secret for secret in hidden if secret in log.read_text()]
    # grep reads the patterns from standard input because sudo logs its arguments to the journal.
    search = (
        "sudo grep --recursive --files-with-matches --fixed-strings --file=-"
        " --exclude=erl_crash.dump"
    )
    for node in deployed.nodes:
        files = on(
            node.name, f"{search} /etc /run /var/log || true", "\n".join(hidden)
        ).splitlines()
        assert files == ["/etc/rabbitmq/definitions.json"]
        # RabbitMQ 3.10.8 sometimes crashes while nodes start together (feature flags). Erlang then
        # dumps its memory, which contains the secrets; other users must not be able to read it.
        assert not on(node.name, "sudo find /var/log/rabbitmq -name erl_crash.dump -perm /o=rwx")
        arguments = on(node.name, "sudo ps axww -o args")
        assert not [secret for secret in hidden if secret in arguments]


def test_other_partition_handling_leaves_the_cluster_whole(deployed: Inventory) -> None:
    first = deployed.nodes[0].name
    ansible.play("site.yml", deployed, PAUSE)
    assert partition_handling(first) == "{ok,pause_minority}"
    assert whole(deployed)


def test_a_deployment_that_was_cut_short_is_made_good(deployed: Inventory) -> None:
    """The configuration file is newer than the broker process, which has not read it."""
    first = deployed.nodes[0].name
    since = started(first)
    on(first, "sudo touch /etc/rabbitmq/rabbitmq.conf")
    ansible.play("site.yml", deployed, PAUSE)
    assert started(first) != since
    assert partition_handling(first) == "{ok,pause_minority}"


def current_settings(node: str) -> dict[str, object]:
    """Return the settings with which a deployment restarts nothing."""
    return PAUSE if partition_handling(node) == "{ok,pause_minority}" else TOLD


def test_other_policies_need_no_restart(deployed: Inventory) -> None:
    first = deployed.nodes[0].name
    since, settings = started(first), current_settings(first)
    assert '"ha-params":3' in on(first, "sudo rabbitmqctl -q list_policies")
    ansible.play("site.yml", deployed, {**settings, "rabbitmq_mirror_count": 2})
    assert '"ha-params":2' in on(first, "sudo rabbitmqctl -q list_policies")
    assert started(first) == since
    # Back again, with a restart, in which RabbitMQ skips the definitions that it had before.
    ansible.play("site.yml", deployed, TOLD if settings == PAUSE else PAUSE)
    assert '"ha-params":3' in on(first, "sudo rabbitmqctl -q list_policies")
    assert started(first) != since


def test_a_node_that_comes_back_bare_forms_the_cluster_anew(deployed: Inventory) -> None:
    last = deployed.nodes[-1].name
    on(
        last,
        f"sudo systemctl stop rabbitmq-server && sudo rm -rf /var/lib/rabbitmq/mnesia {MARKER}",
    )
    ansible.play("site.yml", deployed, TOLD)
    assert whole(deployed)
    assert partition_handling(last) == "{ok,autoheal}"


def test_an_unreachable_host_is_refused(deployed: Inventory, tmp_path: Path) -> None:
    nowhere = variant(deployed, tmp_path, ansible_port=9)
    with pytest.raises(
        UsageError, match=r"^n1: ssh: connect to host \S+ port 9: Connection refused .*; check that"
    ):
        ansible.play("site.yml", nowhere, {})


def test_a_wrong_key_is_refused(deployed: Inventory, tmp_path: Path) -> None:
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    wrong = variant(deployed, tmp_path, ansible_ssh_private_key_file=str(key))
    with pytest.raises(
        UsageError,
        match=r"^n1: .*Permission denied .*; check ansible_user and ansible_ssh_private_key",
    ):
        ansible.play("site.yml", wrong, {})


def test_a_host_without_sudo_is_refused(deployed: Inventory, tmp_path: Path, nosudo: str) -> None:
    with pytest.raises(
        UsageError, match=r"^n1: Missing sudo password .*; let the user sudo without a password"
    ):
        ansible.play("site.yml", variant(deployed, tmp_path, ansible_user=nosudo), {})


def test_somebody_elses_rabbitmq_is_refused(deployed: Inventory) -> None:
    first = deployed.nodes[0].name
    on(first, f"sudo mv {MARKER} {MARKER}.away")
    try:
        with pytest.raises(
            UsageError, match=r"^n1: has a RabbitMQ that jepsenvm did not install; use another host"
        ):
            ansible.play("site.yml", deployed, {})
    finally:
        on(first, f"sudo mv {MARKER}.away {MARKER}")


def test_a_wrong_setting_is_refused(deployed: Inventory) -> None:
    with pytest.raises(
        UsageError,
        match="rabbitmq_partition_handling must be one of: ignore, autoheal, pause_minority",
    ):
        ansible.play("site.yml", deployed, {"rabbitmq_partition_handling": "sometimes"})


TAKE_VHOST_DOWN = (
    "[{vhost_sup, _, _, Pid, _}] = ets:tab2list(rabbit_vhost_sup_sup), "
    "supervisor:terminate_child(rabbit_vhost_sup_sup, Pid)."
)
"""Erlang code that stops the only virtual host of a node, as a partition may do."""


def test_a_stuck_node_is_restarted_and_a_missing_policy_imported(deployed: Inventory) -> None:
    last = deployed.nodes[-1].name
    settings = current_settings(last)
    # As a deployment leaves it that was cut short before it imported the definitions.
    on(last, "sudo rabbitmqctl -q clear_policy jepsenvm-mirrored")
    on(last, "sudo rabbitmqctl -q stop_app")
    # As a partition may leave a node: its broker runs, and refuses every client.
    first = deployed.nodes[0].name
    on(first, f"sudo rabbitmqctl -q eval '{TAKE_VHOST_DOWN}'")
    on(first, "! sudo rabbitmq-diagnostics -q check_virtual_hosts")
    ansible.play("site.yml", deployed, {**settings, "cluster_polls": 3})
    assert whole(deployed)
    on(first, "sudo rabbitmq-diagnostics -q check_virtual_hosts")
    assert '"ha-params":3' in on(last, "sudo rabbitmqctl -q list_policies")


def test_a_cluster_that_no_restart_makes_whole_is_refused(deployed: Inventory) -> None:
    """A disk alarm returns after every restart."""
    last = deployed.nodes[-1].name
    settings = current_settings(last)
    too_much = "[{rabbit, [{disk_free_limit, 999999999999999}]}]."
    on(last, "sudo tee /etc/rabbitmq/advanced.config", too_much)
    on(last, "sudo rabbitmqctl -q set_disk_free_limit 999GB")
    try:
        with pytest.raises(
            JepsenvmError, match=rf"^{last}: reports an alarm; .*jepsenvm deploy --reset"
        ) as error:
            ansible.play("site.yml", deployed, {**settings, "cluster_polls": 2})
        assert "\n" not in str(error.value)
    finally:
        on(last, "sudo rm /etc/rabbitmq/advanced.config && sudo systemctl restart rabbitmq-server")


@pytest.fixture(scope="module")
def with_tls(deployed: Inventory, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Inventory]:
    """The cluster with TLS, deployed with a copy of its secrets, and without TLS at the end."""
    folder = tmp_path_factory.mktemp("tls")
    shutil.copytree(deployed.secrets_dir, folder / "secrets")
    content = yaml.safe_load(deployed.path.read_text())
    content["all"]["children"]["rabbitmq"]["vars"] |= {
        "jepsenvm_secrets_dir": str(folder / "secrets"),
        "rabbitmq_tls": True,
    }
    file = folder / "tls.yml"
    file.write_text(yaml.safe_dump(content))
    log = folder / "ansible.log"
    try:
        jepsenvm("deploy", "-i", str(file), "--log", str(log), expect=0)
        assert "PRIVATE KEY" not in log.read_text()
        yield load(file, GROUP)
    finally:
        jepsenvm("deploy", "-i", str(deployed.path), expect=0)
    for node in deployed.nodes:
        assert on(node.name, "sudo ls /etc/rabbitmq").split().count("tls") == 0
        assert client_ports(node.name) == {5672}


def client_ports(node: str) -> set[int]:
    """Return the ports for clients at which a node listens."""
    ports = {int(row.split()[3].rsplit(":", 1)[1]) for row in on(node, "ss -Hltn").splitlines()}
    return ports & {5671, 5672}


def refusal(address: Address) -> str:
    """Return why a client cannot log in; an empty text if it can."""

    async def log_in() -> None:
        async with session(address, 20):
            pass

    try:
        asyncio.run(log_in())
    except (SessionLost, TimeoutError) as error:
        return str(error) or "no answer in time"
    return ""


def test_clients_connect_with_tls_and_not_without_it(with_tls: Inventory, tmp_path: Path) -> None:
    assert ansible.play("site.yml", with_tls, {}).changed == 0
    for node in with_tls.nodes:
        assert client_ports(node.name) == {5671}
        modes = "sudo stat -c '%n %a %U' /etc/rabbitmq/tls/*"
        assert on(node.name, f'sudo sh -c "{modes}"').splitlines() == [
            "/etc/rabbitmq/tls/ca.pem 600 rabbitmq",
            "/etc/rabbitmq/tls/certificate.pem 600 rabbitmq",
            "/etc/rabbitmq/tls/key.pem 600 rabbitmq",
        ]
    where = ["-i", str(with_tls.path)]
    findings = jepsenvm("doctor", *where, expect=0).stdout
    assert findings.count("TLS with a certificate that verifies") == len(with_tls.nodes)
    login = secrets.credentials(with_tls)
    address = login.at(with_tls.nodes[0])
    assert refusal(address) == ""
    assert refusal(replace(address, tls=None)) != ""
    assert address.tls is not None
    assert "Hostname mismatch" in refusal(
        replace(address, tls=replace(address.tls, name="n2.example.org"))
    )
    times = ["--time-limit", "30", "--quiet-before", "5", "--fault-duration", "15", "--seed", "1"]
    run = ["run", *where, *times, "--nemesis", "clients-reject", "--store", str(tmp_path)]
    assert "with TLS" in jepsenvm(*run, "--no-deploy", expect=0).stdout


def test_an_existing_cluster_with_tls_is_verified_by_the_authority_that_is_named(
    with_tls: Inventory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JEPSENVM_BROKER_USER", secrets.USER)
    monkeypatch.setenv("JEPSENVM_BROKER_PASSWORD", secrets.credentials(with_tls).password)
    other = replace(with_tls, secrets_dir=tmp_path / "other")
    certificates.renew(other, datetime.now(UTC))
    content = yaml.safe_load(with_tls.path.read_text())
    file = tmp_path / "theirs.yml"

    def hello(ca: Path, expect: int) -> str:
        content["all"]["children"]["rabbitmq"]["vars"]["jepsenvm_broker_ca"] = str(ca)
        file.write_text(yaml.safe_dump(content))
        done = jepsenvm("hello", "-i", str(file), "--existing", expect=expect)
        return done.stdout + done.stderr

    refused = hello(tmp_path / "other/tls/ca.pem", 254)
    assert "its certificate is not accepted: " in refused
    assert "virtual host" not in refused
    assert with_tls.broker_ca is not None
    assert "virtual host jepsenvm: deleted" in hello(with_tls.broker_ca, 0)
