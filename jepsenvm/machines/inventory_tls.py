"""Whether the brokers of an inventory use TLS, and which authorities clients trust."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from jepsenvm.errors import UsageError, shown

TLS: Final = "rabbitmq_tls"
CA: Final = "jepsenvm_broker_ca"

TLS_DIR: Final = "tls"
"""The folder of a cluster's secrets with its authority and its certificates."""
CA_FILE: Final = "ca.pem"

BOOLEANS: Final[Mapping[str, bool]] = {
    **dict.fromkeys(("true", "yes", "1"), True),
    **dict.fromkeys(("false", "no", "0"), False),
}

Hostvars = Mapping[str, Mapping[str, Any]]


def broker_ca(path: Path, hostvars: Hostvars, secrets_dir: Path, *, existing: bool) -> Path | None:
    """Return the file with the authorities that clients trust; None for brokers without TLS.

    ``path`` is the inventory, for error messages. Raise UsageError for settings that contradict
    each other, that only some nodes have, or that would leave certificates unverified.
    """
    tls, file = _same(path, hostvars, TLS), _same(path, hostvars, CA)
    if tls is not None and str(tls).lower() not in BOOLEANS:
        raise UsageError(f"{path}: {TLS} is {shown(tls)}", remedy="write true or false")
    on = None if tls is None else BOOLEANS[str(tls).lower()]
    if existing:
        return _given(path, on, file)
    if file is not None:
        raise UsageError(
            f"{path}: {CA} is set, but `jepsenvm deploy` makes an authority of its own",
            remedy=f"remove {CA}; {TLS}: true is enough",
        )
    return secrets_dir / TLS_DIR / CA_FILE if on else None


def _given(path: Path, on: bool | None, file: object) -> Path | None:
    """Return the file of an existing cluster's authorities; None for a cluster without TLS."""
    if file is None:
        if not on:
            return None
        raise UsageError(
            f"{path}: {TLS} is set, but not {CA}, and certificates are always verified",
            remedy=f"set {CA} to the file with the certificate of the brokers' authority",
        )
    if on is False:
        raise UsageError(
            f"{path}: {CA} is set, but {TLS} is false", remedy="remove one of the two lines"
        )
    absolute = _absolute(file)
    if absolute is None:
        raise UsageError(
            f"{path}: {CA} is {shown(file)}",
            remedy="write the path of a file, and an existing user after ~",
        )
    return absolute


def _absolute(file: object) -> Path | None:
    """Return the absolute path of a file; None for a value that is no path."""
    if not isinstance(file, str) or not file.strip() or "\0" in file:
        return None
    try:
        os.fsencode(file)
        return Path(file).expanduser().absolute()
    except (ValueError, RuntimeError):
        return None


def _same(path: Path, hostvars: Hostvars, variable: str) -> Any:
    """Return the value that all nodes have; None if no node has one."""
    values = [variables.get(variable) for variables in hostvars.values()]
    if any(value != values[0] for value in values):
        raise UsageError(
            f"{path}: {variable} is not the same on all nodes",
            remedy="set it once, for all nodes",
        )
    return values[0]
