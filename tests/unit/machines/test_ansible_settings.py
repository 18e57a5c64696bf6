"""The settings with which Ansible reaches a host, read through Ansible's own resolution."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from jepsenvm.errors import UsageError
from jepsenvm.machines import inventory
from jepsenvm.machines.ansible_options import BECOME_OPTIONS, CONNECTION_OPTIONS
from jepsenvm.machines.ansible_settings import Settings, ansible_settings, settings_program
from jepsenvm.machines.ansible_vars import READ_BY_JEPSENVM, program
from jepsenvm.machines.inventory_node import Node, node_from_hostvars
from jepsenvm.rabbitmq.names import GROUP

PATH = Path("hosts.ini")

FIELDS = {
    "host": "ssh_host",
    "port": "ssh_port",
    "remote_user": "ssh_user",
    "password": "ssh_password",
    "private_key_file": "ssh_key",
    "private_key_passphrase": "key_passphrase",
    "ssh_args": "ssh_args",
    "ssh_common_args": "ssh_args",
    "ssh_extra_args": "ssh_args",
    "ssh_executable": "ssh_program",
    "become_exe": "sudo",
    "become_flags": "sudo",
    "become_pass": "become_password",
}
"""Ansible's option -> the field of a node that has its value."""

REFUSED = {"private_key", "pkcs11_provider", "become_user"}
"""Options that jepsenvm cannot follow; only ``become_user: root`` is harmless."""

VALUES = {
    "host": "192.0.2.77",
    "port": "2277",
    "ssh_args": "-o Compression=yes",
    "ssh_common_args": "-o Compression=yes",
    "ssh_extra_args": "-o Compression=yes",
    "become_flags": "-E -n",
    "become_user": "postgres",
}
"""The value that the tests give to an option; its own name otherwise."""

SEEN = {
    "port": 2277,
    "ssh_args": ("-o", "Compression=yes"),
    "ssh_common_args": ("-o", "Compression=yes"),
    "ssh_extra_args": ("-o", "Compression=yes"),
    "become_flags": ("sudo", "-E"),
    "become_exe": ("become_exe",),
}
"""What a node has for that value; the value itself otherwise."""


def documented(kind: str, plugin: str) -> dict[str, Any]:
    """Return the options of a plug-in as Ansible documents them."""
    words = [program("ansible-doc"), "-t", kind, "--json", plugin]
    text = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    options: dict[str, Any] = json.loads(text)[plugin]["doc"]["options"]
    return options


@pytest.fixture(scope="module")
def options() -> dict[str, Any]:
    """The documentation of every option that jepsenvm reads, as far as this Ansible has it."""
    ssh, sudo = documented("connection", "ssh"), documented("become", "sudo")
    return {
        **{name: ssh[name] for name in CONNECTION_OPTIONS if name in ssh},
        **{name: sudo[name] for name in BECOME_OPTIONS if name in sudo},
    }


def names(option: dict[str, Any], source: str) -> list[str]:
    return [entry["name"] for entry in option.get(source, ())]


def variables(option: dict[str, Any]) -> list[str]:
    """Return the inventory variables that set an option."""
    others = ("inventory_hostname", "delegated_vars")
    return [name for name in names(option, "vars") if not name.startswith(others)]


def asked(hostvars: Mapping[str, Mapping[str, Any]]) -> dict[str, Settings]:
    """Return the settings that Ansible itself resolves."""
    with settings_program() as started:
        return ansible_settings(started, PATH, hostvars)


def resolved(variables: dict[str, Any]) -> Node:
    """Return the node that these variables, the environment and ansible.cfg give."""
    settings = asked({"n1": variables})["n1"]
    variables = {"cluster_address": "192.0.2.1", **variables}
    return node_from_hostvars(PATH, "n1", variables, settings, broker=None, vhost="/")


def value_of(option: str) -> str:
    return VALUES.get(option, option)


def seen(node: Node, option: str) -> object:
    return getattr(node, FIELDS[option])


def test_every_option_has_its_field(options: dict[str, Any]) -> None:
    assert set(options) <= FIELDS.keys() | REFUSED


def test_each_variable_that_sets_an_option_is_resolved_and_read(
    tmp_path: Path, options: dict[str, Any]
) -> None:
    cases = [
        (option, variable)
        for option in FIELDS
        if option in options
        for variable in variables(options[option])
    ]
    assert len(cases) > 20
    lines = [
        f"n{number} ansible_host=192.0.2.{number} cluster_address=192.0.2.{number}"
        f" amqp_address=192.0.2.{number} {variable}='{value_of(option)}'"
        if option != "host"
        # Two hosts must not have the same address.
        else f"n{number} cluster_address=192.0.2.{number} {variable}=192.0.3.{number}"
        for number, (option, variable) in enumerate(cases, 1)
    ]
    file = tmp_path / "hosts.ini"
    file.write_text("\n".join(["[rabbitmq]", *lines, ""]))
    nodes = {node.name: node for node in inventory.load(file, GROUP).nodes}
    for number, (option, variable) in enumerate(cases, 1):
        expected = f"192.0.3.{number}" if option == "host" else SEEN.get(option, value_of(option))
        assert seen(nodes[f"n{number}"], option) == expected, variable
        # A value that is a template or encrypted must be resolved first.
        assert READ_BY_JEPSENVM.fullmatch(variable), variable


def test_the_environment_sets_options(
    monkeypatch: pytest.MonkeyPatch, options: dict[str, Any]
) -> None:
    first = [
        option
        for option in FIELDS
        if option in options
        and names(options[option], "env")
        and option not in ("ssh_args", "ssh_extra_args", "become_exe")
    ]
    for option in first:
        monkeypatch.setenv(names(options[option], "env")[-1], value_of(option))
    node = resolved({})
    assert {option: seen(node, option) for option in first} == {
        option: SEEN.get(option, value_of(option)) for option in first
    }


CFG = """[defaults]
remote_user = admin
private_key_file = ~/keys/id
remote_port = 2277
interpreter_python = /opt/python3
[ssh_connection]
ssh_args = -o Compression=yes
[privilege_escalation]
become_flags = -H -S -n -E
"""


def test_ansible_cfg_sets_options_and_variables_take_precedence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ansible.cfg").write_text(CFG)
    node = resolved({})
    assert (node.ssh_user, node.ssh_port) == ("admin", 2277)
    assert node.ssh_key == str(Path("~/keys/id").expanduser())
    assert node.ssh_args == ("-o", "Compression=yes")
    assert node.sudo == ("sudo", "-H", "-E")
    assert node.python == ("/opt/python3",)
    variables = {"ansible_user": "other", "ansible_ssh_user": "last", "ansible_port": 22}
    node = resolved(variables)
    # Ansible takes the last of the names that are set.
    assert (node.ssh_user, node.ssh_port) == ("last", 22)


REFUSALS: list[tuple[dict[str, Any], str]] = [
    ({"ansible_connection": "local"}, "ansible_connection is 'local'"),
    ({"ansible_connection": "winrm"}, "ansible_connection is 'winrm'"),
    ({"ansible_connection": "paramiko"}, "ansible_connection is 'paramiko'"),
    ({"ansible_connection": "community.docker.docker"}, "'community.docker.docker'"),
    ({"ansible_connection": ["ssh"]}, "ansible_connection is "),
    ({"ansible_become_user": "postgres"}, "ansible_become_user is 'postgres'"),
    ({"ansible_sudo_user": "postgres"}, "ansible_sudo_user is 'postgres'"),
    ({"ansible_become_method": "su"}, "ansible_become_method is 'su'"),
    ({"ansible_become": False}, "ansible_become is 'False'"),
    ({"ansible_become": "no"}, "ansible_become is 'no'"),
    ({"ansible_become_flags": "-u postgres"}, "ansible_become_flags is '-u postgres'"),
    ({"ansible_become_flags": "--user=postgres"}, "ansible_become_flags is"),
    ({"ansible_ssh_pkcs11_provider": "/lib/x.so"}, "ansible_ssh_pkcs11_provider is not supported"),
    ({"ansible_port": "abc"}, "ansible_port is 'abc'"),
    ({"ansible_ssh_port": 0}, "ansible_ssh_port is '0'"),
    ({"ansible_port": 99999}, "ansible_port is '99999'"),
    ({"ansible_port": [1]}, "ansible_port is '[1]'"),
    ({"ansible_user": "-oProxyCommand=x"}, "ansible_user is '-oProxyCommand=x'"),
    ({"ansible_user": "a\0b"}, "ansible_user has a control character"),
    ({"ansible_password": "a\nb"}, "ansible_password has a control character"),
    ({"ansible_ssh_private_key_file": "~no-such-user/key"}, "name an existing user after ~"),
    ({"ansible_ssh_extra_args": "-o 'A"}, "ansible_ssh_extra_args: No closing quotation"),
    ({"distribution_port": "25672x"}, "distribution_port is '25672x'"),
]


@pytest.fixture(scope="module")
def refusals() -> dict[str, Settings]:
    """The settings of a host for each refused variable, resolved all at once."""
    return asked({f"n{i}": case for i, (case, _) in enumerate(REFUSALS)})


@pytest.mark.parametrize("number", range(len(REFUSALS)))
def test_what_cannot_be_followed_is_refused_with_its_name(
    number: int, refusals: dict[str, Settings]
) -> None:
    variables, says = REFUSALS[number]
    with pytest.raises(UsageError) as refused:
        node_from_hostvars(
            PATH,
            "192.0.2.1",
            {"cluster_address": "192.0.2.1", **variables},
            refusals[f"n{number}"],
            broker=None,
            vhost="/",
        )
    assert says in str(refused.value)
    assert "hosts.ini" in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("ANSIBLE_TRANSPORT", "local", "ANSIBLE_TRANSPORT is 'local'"),
        ("ANSIBLE_BECOME_METHOD", "su", "ANSIBLE_BECOME_METHOD is 'su'"),
        ("ANSIBLE_BECOME_USER", "nobody", "ANSIBLE_BECOME_USER is 'nobody'"),
        ("ANSIBLE_REMOTE_PORT", "ssh", "Ansible cannot read its settings: "),
    ],
)
def test_the_environment_is_checked_too(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, says: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(UsageError) as refused:
        resolved({})
    assert says in str(refused.value)


def test_root_needs_no_sudo() -> None:
    assert resolved({"ansible_become": "no", "ansible_user": "root"}).ssh_user == "root"


@pytest.mark.parametrize(
    "answer",
    ["", "{", "[]", "{}", '{"n1": 3}', '{"n1": {"host": ["a"]}}', '{"n1": {"host": [1, 2]}}'],
)
def test_an_answer_of_ansible_that_is_not_understood_is_refused(answer: str) -> None:
    answering: Any = SimpleNamespace(returncode=0, communicate=lambda *_, **_more: (answer, ""))
    with pytest.raises(UsageError, match=r"answer about its settings is not understood: "):
        ansible_settings(answering, Path("hosts.yml"), {"n1": {}})


def test_the_program_ends_although_nobody_asks_it() -> None:
    with pytest.raises(UsageError, match="no such file"), settings_program() as started:
        raise UsageError("no such file")
    assert started.returncode == -signal.SIGKILL
