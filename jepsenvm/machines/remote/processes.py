"""Print RabbitMQ's process and sockets as JSON.

{"runtime": {"pid", "state": letter of /proc/PID/stat, "started": clock ticks since boot} or null,
"amqp": whether a process listens on the AMQP port, "sessions": the peers of established AMQP
connections}.
"""

from __future__ import annotations

import json
import pwd
import socket
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PORT = 5672
ESTABLISHED, LISTENING = "01", "0A"
DEAD = "ZX"


def main() -> None:
    """Print the answer."""
    sockets = [
        one
        for table in ("tcp", "tcp6")
        for one in parsed(read(Path("/proc/net") / table))
        if one[0] == PORT
    ]
    answer = {
        "runtime": runtime(),
        "amqp": any(state == LISTENING for _, _, state in sockets),
        "sessions": sorted(far for _, far, state in sockets if state == ESTABLISHED),
    }
    print(json.dumps(answer))


def runtime() -> dict[str, Any] | None:
    """Return the Erlang runtime of the service.

    If no cgroup names the service, return a runtime of RabbitMQ's user.
    """
    living = [
        folder
        for folder in Path("/proc").glob("[0-9]*")
        if read(folder / "comm").strip() == "beam.smp" and standing(read(folder / "stat"))
    ]
    ours = [folder for folder in living if "rabbitmq-server" in read(folder / "cgroup")]
    # rabbitmqctl is an Erlang runtime too, and may run as the same user. It runs an escript.
    found = ours or [
        one
        for one in living
        if is_rabbit(one) and "-escript" not in read(one / "cmdline").split("\0")
    ]
    known = [one for folder in found if (one := standing(read(folder / "stat")))]
    return min(known, key=lambda one: one["started"], default=None)


def standing(stat: str) -> dict[str, Any] | None:
    """Return pid, state and start time of a live process from its /proc/PID/stat."""
    if ")" not in stat:
        return None
    # The name in parentheses may contain any character, also parentheses.
    fields = stat[stat.rindex(")") + 2 :].split()
    if fields[0] in DEAD:
        return None
    return {"pid": int(stat.split(" ", 1)[0]), "state": fields[0], "started": int(fields[19])}


def is_rabbit(folder: Path) -> bool:
    """Return whether a process runs as RabbitMQ's user."""
    try:
        return folder.stat().st_uid == pwd.getpwnam("rabbitmq").pw_uid
    except (KeyError, OSError):
        return False


def read(path: Path) -> str:
    """Return a file's text; an empty text if its process has ended."""
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


def parsed(table: str) -> Iterator[tuple[int, str, str]]:
    """Yield local port, peer and state of each socket in a table of /proc/net."""
    for line in table.splitlines()[1:]:
        _, near, far, state, *_ = line.split()
        address, port = far.split(":")
        yield int(near.split(":")[1], 16), f"{readable(address)}:{int(port, 16)}", state


def readable(address: str) -> str:
    """Return an address of /proc/net, whose words have this machine's byte order, as text."""
    words = [struct.pack("=I", int(address[i : i + 8], 16)) for i in range(0, len(address), 8)]
    packed = b"".join(words)
    if len(packed) == 16 and packed.startswith(b"\0" * 10 + b"\xff\xff"):
        packed = packed[12:]
    if len(packed) == 4:
        return socket.inet_ntop(socket.AF_INET, packed)
    return f"[{socket.inet_ntop(socket.AF_INET6, packed)}]"


if __name__ == "__main__":
    main()
