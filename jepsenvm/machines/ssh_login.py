"""Why a node refused the SSH login, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import fabric
import paramiko

from jepsenvm.errors import shorten
from jepsenvm.machines.ssh_route import SshRoute

_KEY_TYPES: Final = (paramiko.RSAKey, paramiko.ECDSAKey, paramiko.Ed25519Key)
"""The types that paramiko's login tries for a key file."""

Refusal = tuple[str, str]
"""The message and the remedy."""

_TOO_MANY: Final = "Too many authentication failures"

_OFFER: Final = (
    "set ansible_ssh_private_key_file or ansible_password, or add a key to the SSH agent"
)


def login_refusal(
    connection: fabric.Connection,
    route: SshRoute,
    problem: Exception,
    reason: str,
    *,
    refused: bool,
) -> Refusal | None:
    """Return why a login failed; None if the node did not get as far as to refuse it.

    ``problem`` is paramiko's error, and ``reason`` the one with which sshd closed the connection.
    ``refused`` says whether the node refused a key or the password.
    """
    transport = connection.client.get_transport()
    # paramiko raises the error of the last key, which may hide that the node refused another one.
    greeted = transport is not None and transport.initial_kex_done
    if not greeted:
        return None
    if _TOO_MANY in reason:
        return (
            f"{route} refused the SSH login: {_TOO_MANY.lower()}",
            "offer fewer keys: set ansible_ssh_private_key_file, or IdentitiesOnly=yes",
        )
    if isinstance(problem, EOFError) or _is_silence(problem, transport):
        return None
    unusable = dict(_unusable_keys(route))
    if isinstance(problem, OSError) and problem.filename and not unusable:
        unusable = {str(problem.filename): (str(problem.strerror), _OFFER)}
    for file, (fault, remedy) in unusable.items():
        return f"the key file {shorten(file, 200)} {fault}", remedy
    offered = _offered(route)
    if not offered:
        return f"there is no key and no password to log in to {route}", _OFFER
    refusal = (
        f"{route} refused the SSH login with {offered}",
        "check ansible_user, ansible_password and the key file",
    )
    # paramiko tries a key file as a key of each type, and raises the error of the last type. It
    # hides that the node did not answer the right one.
    return refusal if refused else None


def _is_silence(problem: Exception, transport: paramiko.Transport) -> bool:
    """Return whether the node stopped answering, which says nothing about the login.

    The texts are those of paramiko's ``auth_handler.wait_for_response``.
    """
    text = str(problem)
    stopped = "timeout" in text.lower() or "transport shut down" in text
    return stopped or ("saw EOF" in text and not transport.is_active())


def _offered(route: SshRoute) -> str:
    agent_keys = len(paramiko.Agent().get_keys()) if route.agent else 0
    offers = [
        *([f"the key {', '.join(route.keys)}"] if route.keys else []),
        *([f"{agent_keys} keys of the SSH agent"] if agent_keys else []),
        *(["the password"] if route.password is not None else []),
    ]
    return shorten(" and ".join(offers), 200)


def _unusable_keys(route: SshRoute) -> Iterator[tuple[str, Refusal]]:
    """Yield each key file that cannot be read, why, and the remedy."""
    for file in route.keys:
        try:
            Path(file).read_bytes()
        except OSError as error:
            yield (
                file,
                (f"cannot be read: {error.strerror}", "correct ansible_ssh_private_key_file"),
            )
            continue
        if problem := _problem_of_key(file, route.passphrase):
            yield file, problem


def _problem_of_key(file: str, passphrase: str | None) -> Refusal | None:
    if _can_be_read(file, passphrase):
        return None
    if not _is_encrypted(file):
        return "is not a private key that can be read", "correct ansible_ssh_private_key_file"
    state = "needs a passphrase" if passphrase is None else "has another passphrase"
    return state, "add the key to the SSH agent, or set ansible_private_key_passphrase"


def _can_be_read(file: str, passphrase: str | None) -> bool:
    return any(_error_of(kind, file, passphrase) is None for kind in _KEY_TYPES)


def _is_encrypted(file: str) -> bool:
    errors = [_error_of(kind, file, None) for kind in _KEY_TYPES]
    return any(isinstance(error, paramiko.PasswordRequiredException) for error in errors)


def _error_of(kind: type[paramiko.PKey], file: str, passphrase: str | None) -> Exception | None:
    try:
        kind.from_private_key_file(file, passphrase)
    except Exception as error:  # cryptography and paramiko raise errors of many types
        return error
    return None
