"""Shrinking: a search for a smaller plan that still fails in the same way."""
