"""Checkers: pure functions from a history to a result, one checker per file."""
