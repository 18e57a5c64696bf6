"""The brokers' logs about a queue that a client deleted.

Ra, the library of quorum queues, logs each replica that ends because the deletion of the queue was
committed. RabbitMQ logs no deletion of a classic queue.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection
from typing import Final

from jepsenvm.machines.ssh import Fleet
from jepsenvm.rabbitmq.names import LOG_DIR

TIMEOUT_S: Final = 30.0


def deleted_by_clients(fleet: Fleet, queues: Collection[str]) -> set[str]:
    """Return which queues of the run's virtual host a node logged as deleted."""

    def logged(node: str) -> set[str]:
        ending = f" in vhost '{fleet.nodes[node].vhost}': terminating with reason 'delete'"
        # Without any file, grep would wait for its standard input.
        script = (
            f"cd {LOG_DIR} && ls | grep -E '\\.log(\\.|$)'"
            f" | xargs grep -hF -e {shlex.quote(ending)} /dev/null"
        )
        lines = fleet.run(node, script, timeout=TIMEOUT_S, check=False).stdout
        return set(re.findall(rf"queue '(.*?)'{re.escape(ending)}", lines)) & set(queues)

    return {name for found in fleet.each_or_none(logged).values() for name in found or ()}
