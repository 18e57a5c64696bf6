"""SSH keys: one for a lab's user and one per host.

They are generated here, so that known_hosts is complete before a host boots for the first time.
"""

from __future__ import annotations

import os
from pathlib import Path

from jepsenvm.machines.lab.command import run
from jepsenvm.machines.lab.topology import USER, USER_ID, Lab, LabHost

HOST_KEY = Path("etc/ssh/ssh_host_ed25519_key")


def make_keys(lab: Lab, hosts: list[LabHost]) -> None:
    """Generate all keys, authorise the lab's key on every host, and write known_hosts."""
    _generate(lab.key, "jepsenvm lab")
    for host in hosts:
        key = host.upper / HOST_KEY
        # These two replace folders of the base, so they need the base's modes.
        key.parent.mkdir(parents=True, mode=0o755)
        (host.upper / "etc").chmod(0o755)
        _generate(key, host.machine)
        _let_in(host, _public(lab.key))
    lines = (known_hosts_line(h, _public(h.upper / HOST_KEY)) for h in hosts)
    lab.known_hosts.write_text("".join(lines))
    lab.known_hosts.chmod(0o600)


def known_hosts_line(host: LabHost, public_key: str) -> str:
    """Return the line of known_hosts for a host, with all its addresses and names."""
    kind, material = public_key.split()[:2]
    return f"{host.address},{host.address6},{host.name} {kind} {material}\n"


def ssh_argv(node: LabHost, command: list[str]) -> list[str]:
    """Return the ssh command line for a host. It checks the host key and never prompts."""
    options = {
        "UserKnownHostsFile": str(node.lab.known_hosts),
        "StrictHostKeyChecking": "yes",
        "IdentitiesOnly": "yes",
        "BatchMode": "yes",
        "ConnectTimeout": "10",
        "LogLevel": "ERROR",
    }
    # -F none: the user's own configuration must not change the route to the lab.
    argv = ["ssh", "-F", "none", "-i", str(node.lab.key)]
    for name, value in options.items():
        argv += ["-o", f"{name}={value}"]
    return [*argv, f"{USER}@{node.address}", *(["--", *command] if command else [])]


def _generate(path: Path, comment: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", str(path)])


def _public(key: Path) -> str:
    return key.with_name(f"{key.name}.pub").read_text()


def _let_in(host: LabHost, public_key: str) -> None:
    folder = host.upper / "home" / USER / ".ssh"
    folder.mkdir(parents=True, mode=0o700)
    authorized = folder / "authorized_keys"
    authorized.write_text(public_key)
    authorized.chmod(0o600)
    for place in (folder.parent, folder, authorized):
        os.chown(place, USER_ID, USER_ID)
    folder.parent.parent.chmod(0o755)
