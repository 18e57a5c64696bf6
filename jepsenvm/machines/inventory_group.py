"""The group of an inventory that lists the nodes of the cluster."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from jepsenvm.errors import UsageError, shorten, shown

VARIABLE: Final = "jepsenvm_group"
"""The inventory variable that names the group."""

ALL: Final = "all"
UNGROUPED: Final = "ungrouped"

Listing = Mapping[str, Any]
"""The output of ``ansible-inventory --list``."""


def group_of_nodes(
    path: Path, listing: Listing, default: str, chosen: str | None, named: str | None
) -> str:
    """Return the name of the group whose hosts are the nodes; raise UsageError in doubt.

    ``chosen`` is the group that the command line names, ``named`` the one that the inventory
    names, and ``default`` counts if neither names one and the group exists. Without all three, the
    inventory must have at most one group, and no host outside of it.
    """
    groups = _groups_with_hosts(listing)
    wanted, origin = (chosen, "--group") if chosen is not None else (named, VARIABLE)
    if wanted is not None:
        if wanted not in _group_names(listing):
            raise UsageError(
                f"{path}: {origin} is {shown(wanted)}, and there is no such group",
                remedy=f"{_listed(groups)}; use one of them",
            )
        return wanted
    if default in _group_names(listing):
        return default
    everything = members(listing, ALL)
    if not groups:
        return ALL
    if len(groups) == 1 and members(listing, groups[0]) == everything:
        return groups[0]
    raise UsageError(
        f"{path} has no group `{default}`; {_listed(groups)}",
        remedy=f"name the cluster's group with --group, or set {VARIABLE} in the inventory",
    )


def members(listing: Listing, group: str) -> set[str]:
    """Return the hosts of a group and of the groups within it."""
    hosts: set[str] = set()
    seen, waiting = {group}, [group]
    while waiting:
        entry = listing.get(waiting.pop(), {})
        hosts.update(entry.get("hosts", ()))
        children = set(entry.get("children", ())) - seen
        seen |= children
        waiting += children
    # A host without variables is in its groups only, and `all` has every host of every group.
    if group == ALL:
        hosts.update(listing["_meta"]["hostvars"])
    return hosts


def _group_names(listing: Listing) -> set[str]:
    # A group without hosts and children is listed as a child of `all` only.
    return {*listing, *listing.get(ALL, {}).get("children", ()), ALL, UNGROUPED} - {"_meta"}


def _groups_with_hosts(listing: Listing) -> list[str]:
    names = _group_names(listing) - {ALL, UNGROUPED}
    return sorted(name for name in names if members(listing, name))


def _listed(groups: list[str]) -> str:
    return f"its groups are {shorten(', '.join(groups), 200)}" if groups else "it has no groups"
