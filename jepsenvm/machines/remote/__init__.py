"""Scripts that are sent to the nodes and run there by the python3 that Ansible needs as well: standard library only."""
