"""What breaks a node, what heals it and what proves both, rendered as data: nothing is run in this room."""
