"""Scenarios: plans with their story, their source, and the verdict that is expected by version.

The library is the YAML files of this folder.
"""
