"""The host keys that known_hosts files list for one host, as OpenSSH reads these files.

``ssh-keygen -F`` finds them. It knows hashed names, wildcards, negations, markers and ports, and
skips lines that it does not understand. paramiko's own reader knows hashed names only, and fails on
some lines.
"""

from __future__ import annotations

import base64
import re
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import paramiko

from jepsenvm.errors import UsageError

SSH_PORT: Final = 22
TIMEOUT_S: Final = 10

_FOUND: Final = re.compile(rb"# Host .* found: line \d+ ?(?P<marker>CA|REVOKED)? *")


@dataclass(frozen=True)
class HostKeys:
    """The keys that known_hosts files list for a host."""

    accepted: tuple[paramiko.PKey, ...]
    revoked: tuple[paramiko.PKey, ...]
    """Keys on lines with ``@revoked``. They are never accepted."""
    has_authority: bool
    """Whether a line with ``@cert-authority`` names the host. jepsenvm checks no certificates."""


def lookup_name(host: str, port: int) -> str:
    """Return the name under which ssh and paramiko look up a host: with its port unless 22."""
    return host if port == SSH_PORT else f"[{host}]:{port}"


def host_keys(files: Sequence[str], host: str, port: int) -> HostKeys:
    """Return the keys of a host in known_hosts files; a file that does not exist has none.

    As in ssh, keys that are listed without a port count if none is listed with the port.
    Raise UsageError if a file cannot be read.
    """
    existing = [file for file in files if _is_readable(file)]
    keys = _keys_named(existing, lookup_name(host, port))
    if port != SSH_PORT and not keys.accepted:
        others = _keys_named(existing, host)
        return HostKeys(
            others.accepted,
            keys.revoked + others.revoked,
            keys.has_authority or others.has_authority,
        )
    return keys


def _is_readable(file: str) -> bool:
    path = Path(file)
    try:
        if not path.exists():
            return False
        if path.is_file():
            path.open("rb").close()
    except (OSError, ValueError) as error:
        raise UsageError(
            f"cannot read the known_hosts file {file}: {error}", remedy="make it readable"
        ) from None
    # ssh ignores a folder, and so does /dev/null list nothing.
    return path.is_file()


def _keys_named(files: Sequence[str], name: str) -> HostKeys:
    accepted: list[paramiko.PKey] = []
    revoked: list[paramiko.PKey] = []
    has_authority = False
    for file in files:
        for marker, key in _entries(file, name):
            if marker == b"CA":
                has_authority = True
            elif key is not None:
                (revoked if marker == b"REVOKED" else accepted).append(key)
    return HostKeys(
        tuple(key for key in accepted if key not in revoked), tuple(revoked), has_authority
    )


def _entries(file: str, name: str) -> Iterator[tuple[bytes, paramiko.PKey | None]]:
    """Yield the marker and the key of each line for a name; None for a key of an unknown type."""
    done = subprocess.run(
        ["ssh-keygen", "-F", name, "-f", file],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    marker = b""
    for line in done.stdout.splitlines():
        found = _FOUND.fullmatch(line)
        if found:
            marker = found["marker"] or b""
        elif line.strip():
            yield marker, _key(line.split())


def _key(fields: Sequence[bytes]) -> paramiko.PKey | None:
    if fields and fields[0].startswith(b"@"):
        fields = fields[1:]
    try:
        _names, kind, data = fields[:3]
        return paramiko.PKey.from_type_string(kind.decode(), base64.b64decode(data))
    except Exception:  # for malformed keys, paramiko raises errors of many types
        return None
