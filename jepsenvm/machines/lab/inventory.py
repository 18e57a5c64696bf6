"""A lab's Ansible inventory. The rest of jepsenvm knows the lab only through it."""

from __future__ import annotations

import yaml

from jepsenvm.machines.lab.topology import USER, Lab, LabHost

LAB_VARIABLE = "jepsenvm_lab"
"""The variable with the lab's name. The inventory of the default lab has none."""


def render(hosts: list[LabHost], suite: str) -> str:
    """Return the text of the inventory of hosts, all of one lab."""
    lab = hosts[0].lab
    machines = {h.name: {"ansible_host": h.address, "cluster_address": h.address} for h in hosts}
    variables = {
        "ansible_user": USER,
        "ansible_ssh_private_key_file": str(lab.key),
        "ansible_python_interpreter": "/usr/bin/python3",
        "jepsenvm_known_hosts": str(lab.known_hosts),
        "ansible_ssh_common_args": f"-o UserKnownHostsFile={lab.known_hosts} "
        "-o StrictHostKeyChecking=yes",
        "jepsenvm_machines": "lab",
        **({} if lab.is_default else {LAB_VARIABLE: lab.name}),
        "jepsenvm_suite": suite,
        # The hosts have RabbitMQ's packages in their apt cache. They cannot reach a package mirror.
        "rabbitmq_apt_update": False,
    }
    inventory = {"all": {"children": {"rabbitmq": {"hosts": machines, "vars": variables}}}}
    return str(yaml.safe_dump(inventory, sort_keys=False, width=200))


def write(lab: Lab, hosts: list[LabHost], suite: str) -> None:
    """Write the inventory of a lab. Only root can read it."""
    lab.inventory.touch(mode=0o600)
    lab.inventory.write_text(render(hosts, suite))
