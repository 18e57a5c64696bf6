"""Listens for browsers and serves a catalogue until a signal ends it."""

from __future__ import annotations

import ipaddress
import os
import secrets
import socket
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Final

import uvicorn

from jepsenvm.errors import UsageError, shorten
from jepsenvm.serve.access import PARAMETER, Key
from jepsenvm.serve.app import application
from jepsenvm.serve.catalogue import Catalogue

SHORTEST_TOKEN: Final = 16
"""Characters of a token in a file, at least."""

NICENESS: Final = 10
"""A run on the same machine has precedence over those who look at it."""

_SHUTDOWN_S: Final = 2
"""Connections that are still open after this time, such as slow downloads, are closed."""


def serve(
    catalogue: Catalogue,
    host: str,
    port: int,
    token_file: Path | None,
    announce: Callable[[str], None],
) -> None:
    """Serve a catalogue until a signal ends this process; announce the address in one line.

    ``port``        0 for any free port.
    ``token_file``  the file of the token. Without it, a token is drawn, and only if the address is
                    not a loopback address.

    Raises UsageError if the address or the token cannot be used.
    """
    with _listening(host, port) as listener:
        address, port = listener.getsockname()[:2]
        is_local = ipaddress.ip_address(address).is_loopback
        token = _token(token_file, is_local=is_local)
        key = None if token is None else Key(token, f"jepsenvm-{port}")
        names = ["localhost", "127.0.0.1", "[::1]", host.lower()] if is_local else ["*"]
        announce(_announced(address, port, token, token_file))
        os.nice(NICENESS)
        config = uvicorn.Config(
            application(catalogue, hosts=names, key=key, stopping=lambda: server.should_exit),
            log_config=None,
            access_log=False,  # it would have the token
            server_header=False,
            proxy_headers=False,
            lifespan="off",
            timeout_graceful_shutdown=_SHUTDOWN_S,
        )
        server = uvicorn.Server(config)
        server.run(sockets=[listener])


def _listening(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _name, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen()  # from here on, browsers wait for the application
    except OSError as error:
        raise UsageError(
            f"--host {shorten(host)} --port {port}: cannot listen: {error.strerror}",
            remedy="choose another address or port",
        ) from None
    return listener


def _token(file: Path | None, *, is_local: bool) -> str | None:
    if file is None:
        return None if is_local else secrets.token_urlsafe()
    try:
        mode = file.stat().st_mode
        token = file.read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        raise UsageError(f"--token-file {file}: cannot be read: {shorten(error)}") from None
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise UsageError(
            f"--token-file {file}: others may read or write it", remedy=f"chmod 600 {file}"
        )
    if len(token) < SHORTEST_TOKEN or not (token.isascii() and token.isprintable()):
        raise UsageError(
            f"--token-file {file}: needs one line of at least {SHORTEST_TOKEN} ASCII characters",
            remedy="write a random text to it, such as the output of `openssl rand -hex 32`",
        )
    return token


def _announced(address: str, port: int, token: str | None, token_file: Path | None) -> str:
    ip = ipaddress.ip_address(address)
    name = socket.gethostname() if ip.is_unspecified else address
    url = f"http://{f'[{name}]' if ':' in name else name}:{port}/"
    if token is None:
        return url
    if token_file is not None:
        return f"{url}?{PARAMETER}=... with the token in {token_file}"
    return f"{url}?{PARAMETER}={token}"
