"""The command line: one file per command, which parses options, prints and sets the exit status."""
