"""Histories: ops, the journal that writes them, columns to read them, and other file formats."""
