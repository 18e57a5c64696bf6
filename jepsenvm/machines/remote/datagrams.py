"""Exchange numbered UDP datagrams with all peers, and count what comes: how many, how often, in which order, how fast.

Standard input: {"at": instant of this node's clock (see ``wall``) at which all start, "run": number, "peers": {name:
address}, "self": name, "port": port, "count": datagrams to each, "every-ms": pace, "size": bytes, "linger-s": seconds}.
Standard output: {"sent": count, "behind-ms": how late it started, "heard": {peer: {"count": different ones, "copies":
of a number that had come, "late": those overtaken, "bytes": of all, "seconds": from first to last}}, "echo": {peer:
{"count", "median-ms", "max-ms"}}}.
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

# What it is, whose run, kind (0 sent, 1 echoed), the sender's index of the peer, number, sender's monotonic clock.
HEADER = struct.Struct("!4sIBHId")
MAGIC = b"jvmd"
ECHOED = 64
BUFFER = 8 * 1024 * 1024
SETTLED_S = 0.3
AT_ONCE = 64  # so many are read before it is seen whether it is time to send


class Heard:
    """What came from one peer."""

    def __init__(self) -> None:
        """Nothing has come yet."""
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
        """Return it as figures."""
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
        """Open a socket for each family of addresses in use."""
        self.order = order
        self.peers: list[str] = list(order["peers"])
        self.heard = {peer: Heard() for peer in self.peers}
        self.trips: list[dict[int, float]] = [{} for _ in self.peers]
        self.selector = selectors.DefaultSelector()
        families = {family(address) for address in order["peers"].values()}
        self.sockets = {one: listen(one, order["port"]) for one in families}
        for sock in self.sockets.values():
            self.selector.register(sock, selectors.EVENT_READ)

    def run(self) -> dict[str, Any]:
        """Send at the pace, listen and echo all the while, and return the figures."""
        pace, count = self.order["every-ms"] / 1000, self.order["count"]
        wait = self.order["at"] - wall()
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
        """Return whether all that can come has come."""
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
        """Receive what has come, up to a limit."""
        for _ in range(AT_ONCE):
            try:
                data, sender = sock.recvfrom(65536)
            except BlockingIOError:
                return
            except OSError:
                continue  # an earlier datagram's rejection is told here; its silence counts already
            if len(data) > HEADER.size:
                self.take(sock, data, sender)

    def take(self, sock: socket.socket, data: bytes, sender: Any) -> None:
        """Count a datagram of this run and echo it, or take the time of an echo."""
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
    """Return a socket bound to the port, with room for all that a slowed link holds up: it must not stop the others."""
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
    """Send a datagram; one that this node itself may not send counts as lost, as any other."""
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


if __name__ == "__main__":
    json.dump(Exchange(json.load(sys.stdin)).run(), sys.stdout)
