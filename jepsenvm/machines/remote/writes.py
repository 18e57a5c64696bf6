"""Measure a synced write to the disk of RabbitMQ's database; print the seconds.

The limits of a slow disk apply to the service's cgroup only, so this process moves into it first.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from pathlib import Path

FOLDER = "/var/lib/rabbitmq"
SERVICE = "system.slice/rabbitmq-server.service"
ROOTS = ("/sys/fs/cgroup", "/sys/fs/cgroup/unified")
SIZE = 4 * 1024 * 1024


def main() -> None:
    """Print the duration of the write."""
    procs = [Path(root) / SERVICE / "cgroup.procs" for root in ROOTS]
    # A stopped service has no cgroup.
    next(path for path in procs if path.exists()).write_text(str(os.getpid()))
    data = os.urandom(SIZE)
    with tempfile.TemporaryFile(dir=FOLDER) as file:
        began = time.monotonic()
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
        print(json.dumps(round(time.monotonic() - began, 4)))


if __name__ == "__main__":
    main()
