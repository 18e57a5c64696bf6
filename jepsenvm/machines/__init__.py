"""The machines: inventory, SSH, Ansible, and the broker's own word."""
