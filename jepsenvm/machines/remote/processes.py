"""Print RabbitMQ's process and sockets as JSON.

{"runtime": {"pid", "state": letter of /proc/PID/stat, "started": clock ticks since boot} or null,
"amqp": whether a process listens on the AMQP port, "sessions": the peers of established AMQP
connections}.
"""

from __future__ import annotations

import json

from jepsenvm.machines.remote.runtime import runtime
from jepsenvm.machines.remote.sockets import sockets

PORT = 5672
ESTABLISHED, LISTENING = "01", "0A"


def main() -> None:
    """Print the answer."""
    at_port = [one for one in sockets() if one.near_port == PORT]
    answer = {
        "runtime": runtime(),
        "amqp": any(one.state == LISTENING for one in at_port),
        "sessions": sorted(one.far for one in at_port if one.state == ESTABLISHED),
    }
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
