"""Exchange numbered UDP datagrams with all peers, and measure what arrives.

Order: {"run": number, "peers": {name: address}, "self": name, "port": port, "count": datagrams to
each peer, "every-ms": pace, "size": bytes, "linger-s": seconds}. It listens before it says that it
is ready, and sends from the common instant on (``rendezvous``). Standard output: {"sent": count,
"behind-ms": how late it started, "heard": {peer: {"count": different datagrams, "copies": repeated
ones, "late": ones that were overtaken, "bytes": total, "seconds": from first to last}}, "echo":
{peer: {"count", "median-ms", "max-ms"}}}.
"""

from __future__ import annotations

import contextlib
import json
import selectors
import socket
import statistics
import struct
import sys
import time
from typing import Any

from jepsenvm.machines.remote.reference_clock import wall
from jepsenvm.machines.remote.rendezvous import NotStartedError, read_order, wait_for_instant

# Magic, run, kind (0 sent, 1 echoed), the sender's index of the peer, number, monotonic clock.
HEADER = struct.Struct("!4sIBHId")
MAGIC = b"jvmd"
ECHOED = 64
BUFFER = 8 * 1024 * 1024
SETTLED_S = 0.3
AT_ONCE = 64  # datagrams that are read before the time to send is checked


class Heard:
    """The datagrams from one peer."""

    def __init__(self) -> None:
        """Begin with no datagram."""
        self.numbers: set[int] = set()
        self.copies = self.late = self.bytes = 0
        self.highest = -1
        self.first = self.last = 0.0

    def note(self, number: int, size: int, now: float) -> None:
        """Count one datagram."""
        if not self.bytes:
            self.first = now
        self.last = now
        self.bytes += size
        if number in self.numbers:
            self.copies += 1
        elif number < self.highest:
            self.late += 1
        self.numbers.add(number)
        self.highest = max(self.highest, number)

    def told(self) -> dict[str, Any]:
        """Return the figures."""
        return {
            "count": len(self.numbers),
            "copies": self.copies,
            "late": self.late,
            "bytes": self.bytes,
            "seconds": round(self.last - self.first, 6),
        }


class Exchange:
    """One exchange of datagrams with all peers."""

    def __init__(self, order: dict[str, Any]) -> None:
        """Open a socket for each address family in use."""
        self.order = order
        self.peers: list[str] = list(order["peers"])
        self.heard = {peer: Heard() for peer in self.peers}
        self.trips: list[dict[int, float]] = [{} for _ in self.peers]
        self.selector = selectors.DefaultSelector()
        families = {family(address) for address in order["peers"].values()}
        self.sockets = {one: listen(one, order["port"]) for one in families}
        for sock in self.sockets.values():
            self.selector.register(sock, selectors.EVENT_READ)

    def run(self, at: float) -> dict[str, Any]:
        """Send at the pace, receive and echo meanwhile, and return the figures.

        The sending begins at an instant of the reference clock.
        """
        pace, count = self.order["every-ms"] / 1000, self.order["count"]
        wait = at - wall()
        start = time.monotonic() + max(0.0, wait)
        for number in range(count):
            self.listen_until(start + number * pace)
            self.send(number)
        end = time.monotonic()
        self.listen_until(end + min(SETTLED_S, self.order["linger-s"]))
        while not self.complete() and time.monotonic() < end + self.order["linger-s"]:
            self.listen_until(time.monotonic() + 0.05)
        return {
            "sent": count,
            "behind-ms": round(max(0.0, -wait) * 1000, 1),
            "heard": {peer: heard.told() for peer, heard in self.heard.items()},
            "echo": {self.peers[index]: echo(trips) for index, trips in enumerate(self.trips)},
        }

    def complete(self) -> bool:
        """Return whether every datagram and every echo has arrived."""
        counts = [len(heard.numbers) for heard in self.heard.values()] + [
            len(trips) for trips in self.trips
        ]
        return all(count >= self.order["count"] for count in counts)

    def send(self, number: int) -> None:
        """Send one datagram to every peer."""
        name = self.order["self"].encode()
        for index, peer in enumerate(self.peers):
            header = HEADER.pack(MAGIC, self.order["run"], 0, index, number, time.monotonic())
            address = self.order["peers"][peer]
            data = (header + bytes([len(name)]) + name).ljust(self.order["size"], b"\0")
            send(self.sockets[family(address)], data, (address, self.order["port"]))

    def listen_until(self, instant: float) -> None:
        """Receive, count and echo until an instant of the monotonic clock."""
        while (left := instant - time.monotonic()) > 0:
            for key, _ in self.selector.select(left):
                self.receive(key.fileobj)  # type: ignore[arg-type]  # ours are sockets

    def receive(self, sock: socket.socket) -> None:
        """Receive what has arrived, up to a limit."""
        for _ in range(AT_ONCE):
            try:
                data, sender = sock.recvfrom(65536)
            except BlockingIOError:
                return
            except OSError:
                continue  # the rejection of an earlier datagram; its missing echo counts already
            if len(data) > HEADER.size:
                self.take(sock, data, sender)

    def take(self, sock: socket.socket, data: bytes, sender: Any) -> None:
        """Count a datagram of this run and echo it, or measure an echo."""
        now = time.monotonic()
        magic, run, kind, index, number, sent = HEADER.unpack_from(data)
        if magic != MAGIC or run != self.order["run"]:
            return
        if kind == 1:
            if index < len(self.trips):
                self.trips[index].setdefault(number, now - sent)
            return
        length = data[HEADER.size]
        heard = self.heard.get(
            data[HEADER.size + 1 : HEADER.size + 1 + length].decode(errors="replace")
        )
        if heard:
            heard.note(number, len(data), now)
            send(
                sock,
                HEADER.pack(magic, run, 1, index, number, sent) + data[HEADER.size : ECHOED],
                sender,
            )


def family(address: str) -> int:
    """Return the family of an address."""
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def listen(which: int, port: int) -> socket.socket:
    """Return a socket bound to the port.

    Its buffers hold what a slowed link delays, so that sending to one peer never blocks the others.
    """
    sock = socket.socket(which, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if which == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    for forced, plain in (
        (32, socket.SO_SNDBUF),
        (33, socket.SO_RCVBUF),
    ):  # SO_SNDBUFFORCE, SO_RCVBUFFORCE
        try:
            sock.setsockopt(socket.SOL_SOCKET, forced, BUFFER)
        except OSError:
            sock.setsockopt(socket.SOL_SOCKET, plain, BUFFER)
    sock.setblocking(False)
    sock.bind(("::" if which == socket.AF_INET6 else "0.0.0.0", port))  # noqa: S104 - it is there for a second only
    return sock


def send(sock: socket.socket, data: bytes, to: Any) -> None:
    """Send a datagram. If this host refuses to send it, it counts as lost."""
    with contextlib.suppress(OSError):
        sock.sendto(data, to)


def echo(trips: dict[int, float]) -> dict[str, Any]:
    """Return the figures of the round trips with one peer."""
    times = [1000 * trip for trip in trips.values()]
    return {
        "count": len(times),
        "median-ms": round(statistics.median(times), 3) if times else None,
        "max-ms": round(max(times), 3) if times else None,
    }


def main() -> None:
    """Follow the order."""
    exchange = Exchange(read_order())
    try:
        told = wait_for_instant()
    except NotStartedError as problem:
        sys.exit(f"error: {problem}")
    json.dump(exchange.run(told["at"]), sys.stdout)


if __name__ == "__main__":
    main()
