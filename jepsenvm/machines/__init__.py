"""Machines: inventory, SSH, Ansible, programs that run on hosts, and the providers of machines."""
