"""Print the established connections of RabbitMQ's runtime to the ports of Erlang's distribution.

Standard input: {"ports": [ports of the distribution on all nodes]}. Standard output: [[own address
with port, peer's address with port], ...]. The node of rabbitmqctl lists no connection to another
node, because rabbitmqctl is a runtime of its own.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from pathlib import Path

from jepsenvm.machines.remote.runtime import runtime
from jepsenvm.machines.remote.sockets import sockets

ESTABLISHED = "01"


def main() -> None:
    """Print the answer."""
    ports = set(json.load(sys.stdin)["ports"])
    found = runtime()
    owned = inodes(Path("/proc", str(found["pid"]))) if found else set()
    connections = [
        [one.near, one.far]
        for one in sockets()
        if one.state == ESTABLISHED and one.inode in owned and {one.near_port, one.far_port} & ports
    ]
    print(json.dumps(sorted(connections)))


def inodes(process: Path) -> set[str]:
    """Return the inodes of the sockets that a process has open."""
    found = set()
    for descriptor in (process / "fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # it was closed meanwhile
            # Path.readlink came with Python 3.9, and hosts may have 3.8.
            kind, _, inode = os.readlink(descriptor).partition(":")  # noqa: PTH115
            if kind == "socket":
                found.add(inode.strip("[]"))
    return found


if __name__ == "__main__":
    main()
