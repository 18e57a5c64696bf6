"""Templates and encrypted values of an inventory, as Ansible resolves them for each host."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from jepsenvm.errors import UsageError, last_line, shorten

TIMEOUT_S: Final = 60

VAULT_REMEDY: Final = (
    "give the vault's password: --vault-password-file, or ANSIBLE_VAULT_PASSWORD_FILE"
)

READ_BY_JEPSENVM: Final = re.compile(
    r"ansible_(connection|host|port|user|password|python_interpreter"
    r"|(private_key|pkcs11|ssh|become|sudo)\w*)"
    r"|cluster_address|distribution_port|amqp_\w+|allowed_faults|rabbitmq_tls|jepsenvm_\w+"
)
"""The variables that jepsenvm reads. Only the playbooks read the others."""

Hostvars = Mapping[str, Mapping[str, Any]]


def resolve_variables(path: Path, hostvars: Hostvars) -> dict[str, dict[str, Any]]:
    """Return the variables with those that jepsenvm reads resolved.

    Raise UsageError if Ansible cannot resolve one, for example without the vault's password.
    """
    resolved = {host: dict(variables) for host, variables in hostvars.items()}
    # Hosts that need the same variables are asked together.
    hosts_by_names: dict[tuple[str, ...], list[str]] = {}
    for host, variables in hostvars.items():
        names = tuple(
            sorted(
                name
                for name, value in variables.items()
                if READ_BY_JEPSENVM.fullmatch(name) and is_unresolved(value)
            )
        )
        if names:
            hosts_by_names.setdefault(names, []).append(host)
    for names, hosts in hosts_by_names.items():
        for host, values in _ask_ansible(path, hosts, names).items():
            resolved[host].update(values)
    return resolved


def is_unresolved(value: object) -> bool:
    """Return whether a value in ``ansible-inventory``'s list is a template, encrypted or unsafe."""
    text = str(value)
    return "{{" in text or "{%" in text or "'__ansible_" in text


def program(name: str) -> str:
    """Return the path of the Ansible program that was installed with this Python."""
    return str(Path(sys.executable).with_name(name))


def _ask_ansible(
    path: Path, hosts: Collection[str], names: Collection[str]
) -> dict[str, dict[str, Any]]:
    """Ask ``ansible -m debug`` for variables of hosts. It connects to no host."""
    arguments = json.dumps({"msg": {name: f"{{{{ {name} }}}}" for name in names}})
    # The answer contains passwords. It must go nowhere but through this pipe.
    quiet = {
        "ANSIBLE_LOG_PATH": os.devnull,
        "ANSIBLE_LOAD_CALLBACK_PLUGINS": "false",
        "ANSIBLE_NOCOLOR": "true",
        "ANSIBLE_STDOUT_CALLBACK": "minimal",
    }
    module = ["-m", "ansible.builtin.debug", "-a", arguments]
    # With a comma in it, a name with a colon is not taken for two patterns.
    pattern = ",".join([*hosts, ""])
    try:
        done = subprocess.run(
            [program("ansible"), "-i", str(path), *module, "--", pattern],
            stdin=subprocess.DEVNULL,
            env=os.environ | quiet,
            capture_output=True,
            text=True,
            encoding="utf-8",
            errors="replace",
            timeout=TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise UsageError(
            f"{path}: resolving its variables took longer than {TIMEOUT_S} s",
            remedy="check its look-ups",
        ) from None
    results = parse_results(done.stdout)
    values = {}
    for host in hosts:
        message = results.get(host, {}).get("msg")
        if not isinstance(message, dict):
            reason = message or last_line(done.stderr, "no answer")
            raise _unresolvable(path, host, names, str(reason))
        values[host] = message
    return values


def parse_results(text: str) -> dict[str, dict[str, Any]]:
    """Return the result of each host from the output of ``ansible``: ``n1 | SUCCESS => {...}``.

    A host whose result is not JSON has none.
    """
    results = {}
    for line in re.finditer(r"^(\S+) \| [A-Z!]+ => (?=\{)", text, re.MULTILINE):
        with suppress(ValueError, RecursionError):
            results[line[1]], _ = json.JSONDecoder().raw_decode(text, line.end())
    return results


def _unresolvable(path: Path, host: str, names: Collection[str], message: str) -> UsageError:
    reason = shorten(" ".join(message.split()).rsplit("failed: ", 1)[-1].rstrip("."), limit=300)
    if "vault" in message or "decrypt" in message:
        return UsageError(
            f"{path}: its encrypted values cannot be read: {reason}",
            node=host,
            remedy=VAULT_REMEDY,
        )
    return UsageError(
        f"{path}: {' or '.join(names)} cannot be resolved: {reason}",
        node=host,
        remedy="correct it",
    )
