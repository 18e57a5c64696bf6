"""Values of an inventory that are templates or encrypted, as Ansible itself resolves them for each host."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Final

from jepsenvm.errors import UsageError

DEADLINE_S: Final = 60

OURS: Final = re.compile(
    r"ansible_(host|port|user|private_key_file|python_interpreter|ssh_\w+|become_\w+)|cluster_address|amqp_\w+"
    r"|allowed_faults|jepsenvm_\w+"
)
"""The variables that we read ourselves; all others are between the inventory and the playbooks."""

Hostvars = Mapping[str, Mapping[str, Any]]


def resolved(path: Path, hostvars: Hostvars) -> dict[str, dict[str, Any]]:
    """Return the variables with templates, and what is encrypted, resolved where we read them.

    Raises UsageError when Ansible cannot, such as without the vault's password.
    """
    found = {host: dict(variables) for host, variables in hostvars.items()}
    alike: dict[tuple[str, ...], list[str]] = {}
    for host, variables in hostvars.items():
        names = tuple(
            sorted(
                name
                for name, value in variables.items()
                if OURS.fullmatch(name) and unresolved(value)
            )
        )
        if names:
            alike.setdefault(names, []).append(host)
    for names, hosts in alike.items():
        for host, values in _asked(path, hosts, names).items():
            found[host].update(values)
    return found


def unresolved(value: object) -> bool:
    """Return whether a value, as ``ansible-inventory`` lists it, is a template, encrypted or marked as unsafe."""
    text = str(value)
    return "{{" in text or "{%" in text or "'__ansible_" in text


def program(name: str) -> str:
    """Return the Ansible program that stands beside our own Python: the one that our playbooks run under."""
    return str(Path(sys.executable).with_name(name))


def _asked(path: Path, hosts: Collection[str], names: Collection[str]) -> dict[str, dict[str, Any]]:
    """Ask ``ansible -m debug``, which connects to nobody, for these variables of these hosts."""
    arguments = json.dumps({"msg": {name: f"{{{{ {name} }}}}" for name in names}})
    # Nothing but our pipe may get the answer: it holds passwords.
    quiet = {
        "ANSIBLE_LOG_PATH": os.devnull,
        "ANSIBLE_LOAD_CALLBACK_PLUGINS": "false",
        "ANSIBLE_NOCOLOR": "true",
    }
    try:
        done = subprocess.run(
            [
                program("ansible"),
                "-i",
                str(path),
                ",".join(hosts),
                "-m",
                "ansible.builtin.debug",
                "-a",
                arguments,
            ],
            env=os.environ | quiet | {"ANSIBLE_STDOUT_CALLBACK": "minimal"},
            capture_output=True,
            text=True,
            timeout=DEADLINE_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise UsageError(
            f"{path}: its variables took longer than {DEADLINE_S} s", remedy="check its look-ups"
        ) from None
    answers = told(done.stdout)
    for host in hosts:
        if "msg" not in answers.get(host, {}) or isinstance(answers[host]["msg"], str):
            said = str(
                answers.get(host, {}).get("msg")
                or (done.stderr.strip().splitlines() or ["no answer"])[-1]
            )
            raise _refused(path, host, names, said)
    return {host: answers[host]["msg"] for host in hosts}


def told(text: str) -> dict[str, dict[str, Any]]:
    """Return what each host's task gave, of what ``ansible`` prints: ``n1 | SUCCESS => {...}``."""
    found = {}
    for line in re.finditer(r"^(\S+) \| [A-Z!]+ => (?=\{)", text, re.MULTILINE):
        found[line[1]], _ = json.JSONDecoder().raw_decode(text, line.end())
    return found


def _refused(path: Path, host: str, names: Collection[str], said: str) -> UsageError:
    reason = " ".join(said.split()).rsplit("failed: ", 1)[-1].rstrip(".")
    if "vault" in said or "decrypt" in said:
        return UsageError(
            f"{path}: what is encrypted in it cannot be read: {reason}",
            node=host,
            remedy="give the vault's password: --vault-password-file, or ANSIBLE_VAULT_PASSWORD_FILE",
        )
    return UsageError(
        f"{path}: {' or '.join(names)} cannot be resolved: {reason}", node=host, remedy="correct it"
    )
