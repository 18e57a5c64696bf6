"""The labs that exist on this machine, and the subnets that they have reserved.

A named lab writes its number into its folder before it has anything else. A killed `up` keeps it
until the `down` of the same lab, so another lab never gets these addresses.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection

from jepsenvm.errors import MALFORMED, UsageError
from jepsenvm.machines.lab import locks, machine
from jepsenvm.machines.lab.names import DEFAULT_NAME, FOLDER_PREFIX, is_name
from jepsenvm.machines.lab.topology import DEFAULT, Lab, candidates, preferred
from jepsenvm.private_files import replace_private


def lab_names() -> list[str]:
    """Return the names of all labs, also of incomplete ones: the default lab, then by name."""
    folders = DEFAULT.folder.parent.glob(f"{FOLDER_PREFIX}*")
    named = {folder.name.removeprefix(FOLDER_PREFIX) for folder in folders} - {DEFAULT_NAME}
    default = [DEFAULT_NAME] if DEFAULT.folder.exists() else []
    return default + sorted(filter(is_name, named))


def lab_named(name: str) -> Lab:
    """Return the lab with a name. Before it has reserved a number, it has the preferred one.

    Raise UsageError for a name that no lab can have. Only root can read the number.
    """
    lab = preferred(name)
    try:
        return Lab(name, json.loads(lab.reservation.read_text())["number"])
    except (FileNotFoundError, *MALFORMED):
        return lab


def require_subnet(name: str) -> Lab:
    """Return the lab with the number that ``reserve`` would give it now.

    Raise UsageError if this machine or another lab uses every subnet that the lab may have.
    """
    if name == DEFAULT_NAME:
        machine.require_free_subnet()
        return DEFAULT
    taken = {lab_named(other).number for other in lab_names() if other != name}
    found = machine.networks()
    return first_free(name, taken, lambda lab: machine.used_subnet(lab, found) is not None)


def first_free(name: str, taken: Collection[int], is_used: Callable[[Lab], bool]) -> Lab:
    """Return a lab with the first number that is not taken and whose subnets are not used."""
    for lab in candidates(name):
        if lab.number not in taken and not is_used(lab):
            return lab
    raise UsageError(
        f"lab {name} gets no subnet: all of 10.205.78.0 to 10.205.255.0 are in use on this machine",
        remedy="take another lab down; `jepsenvm lab list` shows them",
    )


def reserve(name: str) -> Lab:
    """Create the folder of a lab, with the number of its subnets; return the lab."""
    with locks.list_of_labs():
        lab = require_subnet(name)
        lab.folder.mkdir(parents=True, mode=0o700)
        if not lab.is_default:
            replace_private(lab.reservation, json.dumps({"number": lab.number}))
    return lab


def remove_empty_parent() -> None:
    """Remove the folder above all labs if it is empty. A disk that the user mounted there stays."""
    with locks.list_of_labs():
        above = DEFAULT.folder.parent
        if above.exists() and not above.is_mount() and not any(above.iterdir()):
            above.rmdir()
