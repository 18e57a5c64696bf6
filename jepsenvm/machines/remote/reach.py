"""Report the peers with which this host can exchange packets, by address and by port.

It opens one TCP connection to each address and port, all at once.

Standard input: {"peers": {name: {"addresses": [...], "cluster_address": ..., "ports": [...]}},
"own": {"cluster_address": ..., "ports": [...]}, "timeout": seconds}. Standard output:
{"reached": {name: bool}, "answers": {name: {port: "open", "refused" or "silent"}},
"listening": [port, ...]}. A peer is reached if any of its addresses and ports answers; a refused
connection is an answer. "answers" is about the cluster address alone. "listening" lists the ports
at which this host accepts connections to its own cluster address: a peer that is refused there
meets a firewall.
"""

import errno
import ipaddress
import json
import selectors
import socket
import sys
import time
from pathlib import Path


def main() -> None:
    """Probe, and print this host's row of the matrix."""
    order = json.load(sys.stdin)
    selector = selectors.DefaultSelector()
    reached, answers = {}, {}
    waiting = 0
    for name, peer in order["peers"].items():
        reached[name] = False
        answers[name] = {str(port): "silent" for port in peer["ports"]}
        for address in {*peer["addresses"], peer["cluster_address"]}:
            for port in peer["ports"]:
                target = (name, address == peer["cluster_address"], str(port))
                error, sock = _connect(address, port)
                if error == errno.EINPROGRESS:
                    selector.register(sock, selectors.EVENT_WRITE, target)
                    waiting += 1
                else:
                    _record(reached, answers, target, error)
    deadline = time.monotonic() + order["timeout"]
    while waiting and time.monotonic() < deadline:
        for key, _ in selector.select(deadline - time.monotonic()):
            sock = key.fileobj  # type: ignore[assignment]  # ours are sockets
            error = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            _record(reached, answers, key.data, error)
            selector.unregister(sock)
            waiting -= 1
    own = order["own"]
    listening = sorted(set(own["ports"]) & _listening_at(own["cluster_address"]))
    json.dump({"reached": reached, "answers": answers, "listening": listening}, sys.stdout)


def _connect(address: str, port: int) -> "tuple[int, socket.socket]":
    sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
    sock.setblocking(False)
    return sock.connect_ex((address, port)), sock


def _record(reached: dict, answers: dict, target: tuple, error: int) -> None:  # type: ignore[type-arg]  # any python3
    name, is_cluster_address, port = target
    answer = {0: "open", errno.ECONNREFUSED: "refused"}.get(error, "silent")
    reached[name] = reached[name] or answer != "silent"
    if is_cluster_address:
        answers[name][port] = answer


def _listening_at(address: str) -> "set[int]":
    """Return the TCP ports at which this host listens at an address, or at all addresses."""
    wanted = ipaddress.ip_address(address)
    ports = set()
    for table in ("/proc/self/net/tcp", "/proc/self/net/tcp6"):
        try:
            rows = [line.split() for line in Path(table).read_text().splitlines()[1:]]
        except OSError:
            continue  # a host without IPv6
        for row in rows:
            local, port = _local(row[1])
            if row[3] == "0A" and (local.is_unspecified or local == wanted):
                ports.add(port)
    return ports


def _local(text: str) -> "tuple[ipaddress.IPv4Address | ipaddress.IPv6Address, int]":
    """Return the address and the port that the kernel prints as 0100007F:1538."""
    digits, _, port = text.partition(":")
    words = [bytes.fromhex(digits[at : at + 8]) for at in range(0, len(digits), 8)]
    # Each word of 32 bits is in the byte order of the host.
    packed = b"".join(word[::-1] if sys.byteorder == "little" else word for word in words)
    address = ipaddress.ip_address(packed)
    mapped = address.ipv4_mapped if address.version == 6 else None
    return mapped or address, int(port, 16)


main()
