"""Print RabbitMQ's process and sockets as JSON.

Standard input: {"port": the port on which the broker accepts clients}.
Output: {"runtime": {"pid", "state": letter of /proc/PID/stat, "started": clock ticks since boot} or
null, "amqp": whether a process listens on that port, "sessions": the peers of its established
connections}.
"""

from __future__ import annotations

import json
import sys

from jepsenvm.machines.remote.runtime import runtime
from jepsenvm.machines.remote.sockets import sockets

ESTABLISHED, LISTENING = "01", "0A"


def main() -> None:
    """Print the answer."""
    port = json.load(sys.stdin)["port"]
    at_port = [one for one in sockets() if one.near_port == port]
    answer = {
        "runtime": runtime(),
        "amqp": any(one.state == LISTENING for one in at_port),
        "sessions": sorted(one.far for one in at_port if one.state == ESTABLISHED),
    }
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
