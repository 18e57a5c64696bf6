"""Hosts that exist already, such as cloud instances: the inventory is all that jepsenvm knows."""
