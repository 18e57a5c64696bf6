"""The hosts of an inventory and their variables, as ``ansible-inventory`` lists them."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from jepsenvm.errors import UsageError, last_line, shorten, shown
from jepsenvm.machines.ansible_vars import VAULT_REMEDY, program, resolve_variables
from jepsenvm.machines.inventory_group import ALL, VARIABLE, group_of_nodes, members

TIMEOUT_S: Final = 60

_HOST_NAME: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")

_INVENTORY_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:@+=-]{0,199}")
"""A name that is no pattern for Ansible, no option, and usable in a file name."""


@dataclass(frozen=True)
class Listed:
    """The hosts of the cluster as the inventory lists them."""

    group: str
    """The group of the inventory that lists the nodes; `all` if there are no groups."""
    hostvars: dict[str, dict[str, Any]]
    """host -> variable -> value, with every variable that jepsenvm reads resolved."""


def read_hosts(path: Path, default_group: str, chosen_group: str | None = None) -> Listed:
    """Return the hosts of the cluster's group and their variables.

    Raise UsageError if the inventory cannot be read, if it does not say which group is the
    cluster, or if that group has no host.
    """
    _require_readable(path)
    listing = _parsed(path, _list(path))
    hostvars: dict[str, dict[str, Any]] = listing["_meta"]["hostvars"]
    named = _named_group(path, hostvars) if chosen_group is None else None
    group = group_of_nodes(path, listing, default_group, chosen_group, named)
    names = members(listing, group)
    if not names:
        in_group = "" if group == ALL else f" in its group {shown(group)}"
        raise UsageError(
            f"{path} names no hosts{in_group}",
            remedy=f"list them in its group `{default_group if group == ALL else group}`",
        )
    for name in sorted(names):
        if not _INVENTORY_NAME.fullmatch(name):
            raise UsageError(
                f"{path}: {shown(name)} is not a host name that can be used",
                remedy="use letters, digits and the characters _ . - : @ + =",
            )
    return Listed(group, resolve_variables(path, {name: hostvars.get(name, {}) for name in names}))


def require_host_names(path: Path, names: Iterable[str]) -> None:
    """Raise UsageError for a name that cannot be a host name. Deployed nodes get these names."""
    for name in sorted(names):
        if not _HOST_NAME.fullmatch(name):
            raise UsageError(
                f"{path}: {shown(name)} is not a host name",
                remedy="use letters, digits, hyphens and dots only, "
                "or --existing for a cluster that jepsenvm did not deploy",
            )


def _named_group(path: Path, hostvars: Mapping[str, Mapping[str, Any]]) -> str | None:
    """Return the group that the variable ``jepsenvm_group`` names; None if no host has it."""
    having = {host: variables for host, variables in hostvars.items() if VARIABLE in variables}
    only = {host: {VARIABLE: variables[VARIABLE]} for host, variables in having.items()}
    values = {
        shown(resolved[VARIABLE]): resolved[VARIABLE]
        for resolved in resolve_variables(path, only).values()
    }
    if len(values) > 1:
        raise UsageError(
            f"{path}: {VARIABLE} has several values: {shorten(', '.join(sorted(values)), 200)}",
            remedy="set it once, for all hosts",
        )
    return next((str(value) for value in values.values()), None)


def _parsed(path: Path, text: str) -> dict[str, Any]:
    try:
        listing = json.loads(text)
        if all(map(_is_group, listing.values())) and all(
            isinstance(variables, dict) for variables in listing["_meta"]["hostvars"].values()
        ):
            return dict(listing)
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError):
        pass
    raise UsageError(
        f"{path}: ansible-inventory printed something that is not understood",
        remedy=f"check the output of `ansible-inventory --list -i {shorten(path, 200)}`",
    )


def _is_group(entry: Any) -> bool:
    """Return whether an entry lists names as a group does. ``_meta`` lists none."""
    return all(
        isinstance(entry.get(key, []), list)
        and all(isinstance(name, str) for name in entry.get(key, []))
        for key in ("hosts", "children")
    )


def _require_readable(path: Path) -> None:
    try:
        if path.is_dir():
            next(path.iterdir(), None)
        else:
            path.open("rb").close()
    except OSError as error:
        raise UsageError(
            f"cannot read the inventory {path}: {error.strerror}",
            remedy="name a readable file or folder with -i",
        ) from error


def _list(path: Path) -> str:
    command = program("ansible-inventory")
    # Otherwise Ansible only warns about a file that it cannot parse, and continues without hosts.
    strict = {"ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED": "true", "ANSIBLE_NOCOLOR": "true"}
    try:
        done = subprocess.run(
            [command, "--list", "-i", str(path)],
            # Ansible refuses a standard input that does not block, as some programs pass it on.
            stdin=subprocess.DEVNULL,
            env=os.environ | strict,
            capture_output=True,
            text=True,
            encoding="utf-8",
            errors="replace",
            timeout=TIMEOUT_S,
            check=False,
        )
    except FileNotFoundError as error:
        raise UsageError(
            f"{command} is missing", remedy="install jepsenvm with its dependencies"
        ) from error
    except subprocess.TimeoutExpired as error:
        raise UsageError(
            f"{path}: ansible-inventory took longer than {TIMEOUT_S} s", remedy="check its plug-ins"
        ) from error
    if done.returncode != 0:
        raise _not_an_inventory(path, done.stderr)
    return done.stdout


def _not_an_inventory(path: Path, stderr: str) -> UsageError:
    reason = _reason(path, stderr)
    remedy = "correct the file"
    if "vault" in reason or "ecrypt" in reason:
        remedy = VAULT_REMEDY
    return UsageError(f"{path} is not an inventory: {reason}", remedy=remedy)


def _reason(path: Path, stderr: str) -> str:
    """Return Ansible's complaint about the file's own format.

    Ansible tries each format in turn and complains about each.
    """
    plugin = "yaml" if path.suffix in {".yml", ".yaml", ".json"} else "ini"
    if path.is_file() and os.access(path, os.X_OK):
        plugin = "script"
    if "Plugin configuration YAML file" in stderr:
        plugin = "auto"
    complaint = re.search(rf"with '{plugin}' plugin: (.*)", stderr)
    line = re.search(rf"Origin: {re.escape(str(path))}:(\d+)", stderr)
    text = complaint[1] if complaint else last_line(stderr, "ansible-inventory failed")
    reason = shorten(text.rstrip("."), limit=300)
    return reason + (f" (line {line[1]})" if line else "")
