"""The addresses on which the playbooks let RabbitMQ, its port mapper and its tools listen."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from jepsenvm.machines.ansible_vars import parse_results, program
from tests.unit.machines.ansible_here import imported, role_folder

ROLE = role_folder("rabbitmq")
CTL_SCHEDULERS = "+S 1:1 +SDio 1 +sbwt none +sbwtdcpu none +sbwtdio none"
OWN = ["10.0.0.11", "192.168.7.2", "fd77::b"]


@pytest.fixture(scope="module")
def addresses() -> ModuleType:
    return imported(ROLE / "filter_plugins/addresses.py")


@pytest.mark.parametrize(
    ("client", "ssh", "expected"),
    [
        ("10.0.0.11", "", ["10.0.0.11"]),
        ("192.168.7.2", "", ["10.0.0.11", "192.168.7.2"]),
        ("FD77:0::000b", "", ["10.0.0.11", "fd77::b"]),
        ("n1.example.org", "10.0.0.1 5000 192.168.7.2 22", ["10.0.0.11", "192.168.7.2"]),
        ("198.51.100.9", "203.0.113.1 5000 10.0.0.11 22", ["10.0.0.11"]),
        ("n1.example.org", "", ["10.0.0.11"]),
        ("n1.example.org", "10.0.0.1 5000 203.0.113.7 22", ["10.0.0.11"]),
        ("127.0.0.1", "10.0.2.2 5000 192.168.7.2 22", ["10.0.0.11", "192.168.7.2", "127.0.0.1"]),
        ("localhost", "", ["10.0.0.11", "127.0.0.1"]),
        ("::1", "", ["10.0.0.11", "::1"]),
        ("0.0.0.0", "", ["10.0.0.11"]),  # noqa: S104 - nothing is bound
        ("10.0.0.11\nlisteners.tcp.9 = 0.0.0.0:5672", "", ["10.0.0.11"]),
    ],
)
def test_clients_are_accepted_where_they_arrive(
    addresses: ModuleType, client: str, ssh: str, expected: list[str]
) -> None:
    assert addresses.client_addresses("10.0.0.11", client, OWN, ssh) == expected


def test_erlang_gets_an_address_as_numbers(addresses: ModuleType) -> None:
    assert addresses.erlang_address("10.0.0.11") == "{10,0,0,11}"
    assert addresses.erlang_address("fd77:6a65::b") == "{64887,27237,0,0,0,0,0,11}"
    with pytest.raises(ValueError, match="does not appear to be"):
        addresses.erlang_address("10.0.0.11} -eval {halt()")


@pytest.mark.parametrize(
    ("address", "problem"),
    [
        ("10.0.0.11", ""),
        ("FD77::000B", ""),
        ("198.51.100.9", "is not an address of this host"),
        ("n1", "is not an IP address"),
        ("fd77::b%eth0", "is not an IP address"),
        ("10.0.0.11\n", "is not an IP address"),
    ],
)
def test_a_cluster_address_must_be_the_hosts_own(
    addresses: ModuleType, address: str, problem: str
) -> None:
    assert addresses.address_problem(address, OWN) == problem


TEMPLATES = ("rabbitmq.conf", "rabbitmq-env.conf", "epmd.socket")


def evaluated(
    folder: Path, hostvars: dict[str, Any], extra: dict[str, Any], expressions: dict[str, str]
) -> dict[str, Any]:
    """Return the values of expressions on a host with these variables, as Ansible sees them."""
    group = {"hosts": {"n1": hostvars}}
    (folder / "hosts.yml").write_text(yaml.safe_dump({"rabbitmq": group}))
    host = {
        "package": "installed 3.10.8-1",
        "addresses": OWN,
        "ssh_connection": "10.0.0.1 5000 192.168.7.2 22",
    }
    found = {"rabbitmq_inspection": {"host": host}}
    (folder / "found.json").write_text(json.dumps(found | extra))
    files = [ROLE / "defaults/main.yml", ROLE / "vars/main.yml", folder / "found.json"]
    arguments = json.dumps(
        {"msg": {name: f"{{{{ {expression} }}}}" for name, expression in expressions.items()}}
    )
    done = subprocess.run(
        [
            program("ansible"),
            *("-i", str(folder / "hosts.yml"), "n1"),
            *(word for file in files for word in ("-e", f"@{file}")),
            *("-m", "ansible.builtin.debug", "-a", arguments),
        ],
        env=os.environ
        | {
            "ANSIBLE_FILTER_PLUGINS": str(ROLE / "filter_plugins"),
            "ANSIBLE_NOCOLOR": "true",
            "ANSIBLE_STDOUT_CALLBACK": "minimal",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    message: dict[str, Any] = parse_results(done.stdout)["n1"]["msg"]
    return message


def rendered(folder: Path, hostvars: dict[str, Any], **extra: object) -> dict[str, str]:
    """Return what the role's templates become on a host with these variables, by file name."""
    lookups = {
        name: f"lookup('ansible.builtin.template', '{ROLE}/templates/{name}.j2')"
        for name in TEMPLATES
    }
    return evaluated(folder, hostvars, extra, lookups | {"problem": "rabbitmq_address_problem"})


def lines(text: str, start: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith(start)]


def test_every_listener_has_an_address(tmp_path: Path) -> None:
    files = rendered(tmp_path, {"ansible_host": "n1.example.org", "cluster_address": "10.0.0.11"})
    conf = files["rabbitmq.conf"]
    assert lines(conf, "listeners.") == [
        "listeners.tcp.1 = 10.0.0.11:5672",
        "listeners.tcp.2 = 192.168.7.2:5672",
    ]
    assert lines(conf, "management.") == [
        "management.tcp.ip = 127.0.0.1",
        "management.tcp.port = 15672",
    ]
    environment = files["rabbitmq-env.conf"]
    interface = "-kernel inet_dist_use_interface {10,0,0,11}"
    assert f'SERVER_ADDITIONAL_ERL_ARGS="-kernel net_ticktime 15 {interface}"\n' in environment
    assert f'CTL_ERL_ARGS="{CTL_SCHEDULERS} {interface}"\n' in environment
    assert "export ERL_EPMD_ADDRESS=10.0.0.11\n" in environment
    assert lines(files["epmd.socket"], "ListenStream=") == [
        "ListenStream=",
        "ListenStream=127.0.0.1:4369",
        "ListenStream=10.0.0.11:4369",
    ]
    assert files["problem"] == ""


def test_ipv6_addresses_too(tmp_path: Path) -> None:
    files = rendered(tmp_path, {"ansible_host": "FD77::000b"}, rabbitmq_management_address="::1")
    conf = files["rabbitmq.conf"]
    assert lines(conf, "listeners.") == ["listeners.tcp.1 = fd77::b:5672"]
    assert lines(conf, "management.tcp.ip") == ["management.tcp.ip = ::1"]
    environment = files["rabbitmq-env.conf"]
    arguments = "-kernel inet_dist_use_interface {64887,0,0,0,0,0,0,11} -proto_dist inet6_tcp"
    assert f'SERVER_ADDITIONAL_ERL_ARGS="-kernel net_ticktime 15 {arguments}"\n' in environment
    assert f'CTL_ERL_ARGS="{CTL_SCHEDULERS} {arguments}"\n' in environment
    assert "export ERL_EPMD_ADDRESS=fd77::b\n" in environment
    assert lines(files["epmd.socket"], "ListenStream=")[1:] == [
        "ListenStream=127.0.0.1:4369",
        "ListenStream=[::1]:4369",
        "ListenStream=[fd77::b]:4369",
    ]


@pytest.mark.parametrize(
    ("hostvars", "extra", "problem"),
    [
        (
            {"ansible_host": "10.0.0.11", "cluster_address": "198.51.100.9"},
            {},
            "cluster_address 198.51.100.9 is not an address of this host; "
            "set it to an address that `ip address` shows there",
        ),
        (
            {"ansible_host": "10.0.0.11"},
            {"rabbitmq_amqp_addresses": ["10.0.0.11", "everywhere"]},
            "rabbitmq_amqp_addresses is not a list of IP addresses; "
            "write a list, such as [192.0.2.11]",
        ),
        (
            {"ansible_host": "10.0.0.11"},
            {"rabbitmq_management_address": "127.0.0.1\nx = y"},
            "rabbitmq_management_address is not an IP address; write one, such as 127.0.0.1",
        ),
    ],
)
def test_another_address_is_refused(
    tmp_path: Path, hostvars: dict[str, Any], extra: dict[str, Any], problem: str
) -> None:
    expressions = {"problem": "rabbitmq_address_problem"}
    assert evaluated(tmp_path, hostvars, extra, expressions) == {"problem": problem}


def test_with_tls_no_client_is_accepted_without_it(tmp_path: Path) -> None:
    files = rendered(tmp_path, {"ansible_host": "10.0.0.11"}, rabbitmq_tls="true")
    conf = files["rabbitmq.conf"]
    assert lines(conf, "listeners.") == [
        "listeners.ssl.1 = 10.0.0.11:5671",
        "listeners.tcp = none",
    ]
    assert lines(conf, "ssl_options.") == [
        "ssl_options.cacertfile = /etc/rabbitmq/tls/ca.pem",
        "ssl_options.certfile = /etc/rabbitmq/tls/certificate.pem",
        "ssl_options.keyfile = /etc/rabbitmq/tls/key.pem",
        "ssl_options.verify = verify_none",
        "ssl_options.fail_if_no_peer_cert = false",
    ]


def test_a_host_may_accept_clients_at_another_port(tmp_path: Path) -> None:
    files = rendered(tmp_path, {"ansible_host": "10.0.0.11", "amqp_listen_port": "6000"})
    conf = files["rabbitmq.conf"]
    assert lines(conf, "listeners.") == ["listeners.tcp.1 = 10.0.0.11:6000"]
    assert lines(conf, "ssl_options.") == []


TLS_FILES = {"ca.pem": "ca.pem", "certificate.pem": "nodes/n1.pem", "key.pem": "nodes/n1.key"}


@pytest.mark.parametrize(
    ("tls", "missing", "refused"),
    [(True, "key.pem", True), (True, "", False), (False, "ca.pem", False)],
)
def test_a_host_without_a_certificate_is_refused(
    tmp_path: Path, tls: bool, missing: str, refused: bool
) -> None:
    files = {name: tmp_path / "secrets/tls" / file for name, file in TLS_FILES.items()}
    for name, file in files.items():
        file.parent.mkdir(parents=True, exist_ok=True)
        if name != missing:
            file.touch()
    extra = {
        "rabbitmq_secrets_dir": str(tmp_path / "secrets"),
        "rabbitmq_source": "distribution",
        "rabbitmq_tls": tls,
    }
    expressions = {"problem": "rabbitmq_settings_problem", "files": "rabbitmq_tls_files"}
    said = evaluated(tmp_path, {"ansible_host": "10.0.0.11"}, extra, expressions)
    problem = (
        f"rabbitmq_tls is set, but {tmp_path}/secrets/tls has no certificate for this host; "
        "deploy with `jepsenvm deploy`, which makes it"
    )
    assert said["problem"] == (problem if refused else "")
    assert said["files"] == {name: str(file) for name, file in files.items()}
