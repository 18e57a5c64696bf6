"""The hosts of an inventory and their variables, as ``ansible-inventory`` lists them."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from jepsenvm.errors import UsageError, last_line, shorten, shown
from jepsenvm.machines.ansible_vars import VAULT_REMEDY, program, resolve_variables

TIMEOUT_S: Final = 60

_HOST_NAME: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?")


def read_hostvars(path: Path, group: str) -> dict[str, dict[str, Any]]:
    """Return the variables of each host of a group; of every host if there is no such group.

    Raise UsageError if the inventory cannot be read, or if it names no host.
    """
    _require_readable(path)
    listing = json.loads(_list(path))
    hostvars: dict[str, dict[str, Any]] = listing["_meta"]["hostvars"]
    # A host without variables is in its groups only. `all` includes every host of every group.
    names = _members(listing, group)
    if group not in listing:
        names = _members(listing, "all") | set(hostvars)
    if not names:
        raise UsageError(f"{path} names no hosts", remedy=f"list them in its group `{group}`")
    for name in sorted(names):
        if not _HOST_NAME.fullmatch(name):
            raise UsageError(
                f"{path}: {shown(name)} is not a host name",
                remedy="use letters, digits, hyphens and dots only",
            )
    return resolve_variables(path, {name: hostvars.get(name, {}) for name in names})


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


def _members(listing: Mapping[str, Any], group: str) -> set[str]:
    entry = listing.get(group, {})
    children = (_members(listing, child) for child in entry.get("children", ()))
    return set(entry.get("hosts", ())).union(*children)


def _list(path: Path) -> str:
    command = program("ansible-inventory")
    # Otherwise Ansible only warns about a file that it cannot parse, and continues without hosts.
    strict = {"ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED": "true", "ANSIBLE_NOCOLOR": "true"}
    try:
        done = subprocess.run(
            [command, "--list", "-i", str(path)],
            env=os.environ | strict,
            capture_output=True,
            text=True,
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
    if "Plugin configuration YAML file" in stderr:
        plugin = "auto"
    complaint = re.search(rf"with '{plugin}' plugin: (.*)", stderr)
    line = re.search(rf"Origin: {re.escape(str(path))}:(\d+)", stderr)
    text = complaint[1] if complaint else last_line(stderr, "ansible-inventory failed")
    reason = shorten(text.rstrip("."), limit=300)
    return reason + (f" (line {line[1]})" if line else "")
