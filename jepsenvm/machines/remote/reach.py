"""Report the peers with which this host can exchange packets.

It opens one TCP connection to each address and port, all at once.

Standard input: {"peers": {name: [address, ...]}, "ports": [...], "timeout": seconds}. Standard
output: {name: bool}. A refused connection shows that packets pass. Silence, or an unreachable
network, shows that they do not.
"""

import errno
import json
import selectors
import socket
import sys
import time


def main() -> None:
    """Probe, and print this host's row of the matrix."""
    order = json.load(sys.stdin)
    selector = selectors.DefaultSelector()
    reached = {name: False for name in order["peers"]}  # noqa: C420 - reads on python3 of any age
    waiting = 0
    for name, addresses in order["peers"].items():
        for address in addresses:
            for port in order["ports"]:
                waiting += _connect(selector, reached, name, address, port)
    deadline = time.monotonic() + order["timeout"]
    while waiting and time.monotonic() < deadline:
        for key, _ in selector.select(deadline - time.monotonic()):
            sock = key.fileobj
            error = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)  # type: ignore[union-attr]  # ours are sockets
            reached[key.data] = reached[key.data] or _flows(error)
            selector.unregister(sock)
            waiting -= 1
    json.dump(reached, sys.stdout)


def _connect(
    selector: selectors.BaseSelector,
    reached: dict,  # type: ignore[type-arg]  # any python3
    name: str,
    address: str,
    port: int,
) -> int:
    sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
    sock.setblocking(False)
    error = sock.connect_ex((address, port))
    if error == errno.EINPROGRESS:
        selector.register(sock, selectors.EVENT_WRITE, name)
        return 1
    reached[name] = reached[name] or _flows(error)
    return 0


def _flows(error: int) -> bool:
    return error in (0, errno.ECONNREFUSED)


main()
