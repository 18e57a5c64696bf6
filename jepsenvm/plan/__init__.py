"""The plan of a run: its keys, their defaults and descriptions, validation and the plan file."""
