"""The package of a rolling upgrade: a file on the controller, or a version that apt has."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from jepsenvm.errors import UsageError, shorten
from jepsenvm.machines.ssh import Fleet
from jepsenvm.machines.upload import upload
from jepsenvm.plan.field_types import PACKAGE_SUFFIX
from jepsenvm.rabbitmq.names import UPGRADE_DIR

KEY: Final = "upgrade-to"
"""The plan key that names the target."""

PACKAGE: Final = "rabbitmq-server"

APT_S: Final = 180.0
"""Seconds that apt may take on a node to simulate an installation, or to download it."""

_DEB: Final = f"{UPGRADE_DIR}/{PACKAGE}{PACKAGE_SUFFIX}"
_DEB_MAGIC: Final = b"!<arch>\n"


def package_file(target: str) -> Path | None:
    """Return the package that a target names; None if it is a version.

    Raise UsageError if it is not a Debian package on this machine.
    """
    if not target.endswith(PACKAGE_SUFFIX):
        return None
    try:
        path = Path(target).expanduser().absolute()
        with path.open("rb") as file:
            is_package = file.read(len(_DEB_MAGIC)) == _DEB_MAGIC
    except (OSError, RuntimeError) as problem:
        reason = getattr(problem, "strerror", None) or "there is no such user"
        raise UsageError(
            f"{KEY}: {shorten(target, 200)}: {reason}",
            remedy="give the path of a .deb file on this machine",
        ) from None
    if not is_package:
        raise UsageError(
            f"{KEY}: {shorten(target, 200)} is not a Debian package",
            remedy=f"give the .deb file of {PACKAGE}",
        )
    return path


def looked_at(fleet: Fleet, nodes: Sequence[str], target: str) -> dict[str, Mapping[str, Any]]:
    """Return what each node says of the target; raise UsageError if one cannot install it."""
    file = package_file(target)
    if file is not None:
        content = file.read_bytes()
        fleet.each(lambda node: upload(fleet, node, content, _DEB), nodes)
    order = {**_order(target), "act": "look"}
    found = fleet.each(
        lambda node: fleet.python(node, "upgrade_target", order, timeout=APT_S), nodes
    )
    for node, answer in found.items():
        _require_installable(node, target, answer)
    versions = {answer["found"] for answer in found.values()}
    if len(versions) > 1:
        raise UsageError(
            f"{KEY}: the nodes would get different packages: {', '.join(sorted(versions))}",
            remedy="give the whole version of the package, or a .deb file",
        )
    return found


def _order(target: str) -> dict[str, Any]:
    file = package_file(target)
    if file is None:
        return {"deb": None, "wanted": target, "source": None}
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    return {"deb": _DEB, "wanted": None, "source": {"file": str(file), "sha256": digest}}


def _require_installable(node: str, target: str, answer: Mapping[str, Any]) -> None:
    if not answer["installed"]:
        raise UsageError(
            "upgrade is not possible here: RabbitMQ was not installed from a package",
            node=node,
            remedy="deploy it from another source than archive",
        )
    if not answer["found"] and not target.endswith(PACKAGE_SUFFIX):
        raise UsageError(
            f"{KEY}: the apt sources of the node have no {PACKAGE} {target}",
            node=node,
            remedy=f"use a version that `apt-cache madison {PACKAGE}` lists there, or a .deb file",
        )
    if answer["name"] != PACKAGE or not answer["found"]:
        raise UsageError(
            f"{KEY}: {shorten(target, 200)} is not a package of {PACKAGE}",
            remedy=f"give the .deb file of {PACKAGE}",
        )
    if not answer["newer"]:
        raise UsageError(
            f"{KEY}: {answer['found']} is not newer than {answer['installed']}, which is installed",
            node=node,
            remedy="give a newer version; RabbitMQ does not support downgrades",
        )
    if answer["problem"]:
        raise UsageError(
            f"{KEY}: apt cannot install {answer['found']}: {shorten(answer['problem'], 200)}",
            node=node,
            remedy="repair that, or give another version",
        )


def fetch(fleet: Fleet, nodes: Sequence[str], target: str) -> None:
    """Let the nodes download what the installation needs; raise UsageError if one cannot."""
    order = {**_order(target), "act": "fetch"}
    answers = fleet.each(
        lambda node: fleet.python(node, "upgrade_target", order, timeout=APT_S), nodes
    )
    for node, answer in answers.items():
        if answer["problem"]:
            raise UsageError(
                f"{KEY}: the package cannot be downloaded: {shorten(answer['problem'], 200)}",
                node=node,
                remedy="check the apt sources of the node",
            )
