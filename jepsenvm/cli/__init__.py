"""The command line: one file a command group; the only room that wires the others, prints and exits."""
