"""A run: its phases, from a plan and a cluster to a history, and where all of it is kept."""
