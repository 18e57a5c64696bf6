"""Fuzzing: changed plans, inventories, histories, stored runs and answers of nodes.

`script/fuzz` runs it. Each input is drawn from the seed, its kind and its number, so any of them
can be repeated alone. What an input may give is decided without the checkers; see ``truth.py``.
"""
