"""The lab's Ansible inventory. The rest of jepsenvm knows the lab only through it."""

from __future__ import annotations

import yaml

from jepsenvm.machines.lab.topology import INVENTORY, KEY, KNOWN_HOSTS, USER, LabHost


def render(hosts: list[LabHost], suite: str) -> str:
    """Return the text of the inventory."""
    machines = {h.name: {"ansible_host": h.address, "cluster_address": h.address} for h in hosts}
    variables = {
        "ansible_user": USER,
        "ansible_ssh_private_key_file": str(KEY),
        "ansible_python_interpreter": "/usr/bin/python3",
        "jepsenvm_known_hosts": str(KNOWN_HOSTS),
        "ansible_ssh_common_args": f"-o UserKnownHostsFile={KNOWN_HOSTS} "
        "-o StrictHostKeyChecking=yes",
        "jepsenvm_machines": "lab",
        "jepsenvm_suite": suite,
        # The hosts have RabbitMQ's packages in their apt cache. They cannot reach a package mirror.
        "rabbitmq_apt_update": False,
    }
    inventory = {"all": {"children": {"rabbitmq": {"hosts": machines, "vars": variables}}}}
    return str(yaml.safe_dump(inventory, sort_keys=False, width=200))


def write(hosts: list[LabHost], suite: str) -> None:
    """Write the inventory. Only root can read it."""
    INVENTORY.touch(mode=0o600)
    INVENTORY.write_text(render(hosts, suite))
