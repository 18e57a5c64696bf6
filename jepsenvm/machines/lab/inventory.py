"""The lab's Ansible inventory, the one thing that the rest of jepsenvm reads about the lab."""

from __future__ import annotations

import yaml

from jepsenvm.machines.lab.topology import INVENTORY, KEY, KNOWN_HOSTS, USER, LabHost


def render(hosts: list[LabHost], suite: str) -> str:
    """The inventory's text."""
    machines = {h.name: {"ansible_host": h.address, "cluster_address": h.address} for h in hosts}
    variables = {
        "ansible_user": USER,
        "ansible_ssh_private_key_file": str(KEY),
        "ansible_python_interpreter": "/usr/bin/python3",
        "jepsenvm_known_hosts": str(KNOWN_HOSTS),
        "ansible_ssh_common_args": f"-o UserKnownHostsFile={KNOWN_HOSTS} -o StrictHostKeyChecking=yes",
        "jepsenvm_machines": "lab",
        "jepsenvm_suite": suite,
        # RabbitMQ's packages wait in every host's apt cache: the lab has no way to the outside
        "rabbitmq_apt_update": False,
    }
    inventory = {"all": {"children": {"rabbitmq": {"hosts": machines, "vars": variables}}}}
    return str(yaml.safe_dump(inventory, sort_keys=False, width=200))


def write(hosts: list[LabHost], suite: str) -> None:
    """Write the inventory, readable by root alone."""
    INVENTORY.touch(mode=0o600)
    INVENTORY.write_text(render(hosts, suite))
