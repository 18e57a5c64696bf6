"""The state of the brokers as evidence: what RabbitMQ's maintainers ask for with a report.

Each node says how it sees the cluster. The first node that answers lists queues, channels and
feature flags, and the Raft state of a quorum queue. None of the commands prints a secret.
"""

from __future__ import annotations

import logging
import shlex
from collections.abc import Iterator, Sequence
from typing import Final

from jepsenvm.errors import JepsenvmError
from jepsenvm.experiment.store import Store
from jepsenvm.machines.ssh import Fleet
from jepsenvm.private_files import make_private_folder, write_private

logger = logging.getLogger(__name__)

FOLDER: Final = "broker-state"

CLUSTER: Final = "cluster.txt"
"""The answers about the whole cluster. The answer of each node is in a file with its name."""

MOST_BYTES: Final = 300_000
"""The first bytes of each answer that are kept."""

COMMAND_S: Final = 20
"""Seconds after which a command that gets no answer is ended."""

_CLUSTER_STATUS: Final = ("rabbitmqctl", "cluster_status")
_QUEUE_COLUMNS: Final = (
    *("name", "type", "state", "pid", "messages_ready", "messages_unacknowledged", "consumers"),
)
_CHANNEL_COLUMNS: Final = (
    *("pid", "connection", "number", "consumer_count", "prefetch_count"),
    *("messages_unacknowledged", "messages_unconfirmed"),
)


def collect_broker_state(fleet: Fleet, store: Store, queue: str, queue_type: str) -> None:
    """Write the state of the brokers to the store.

    ``queue`` is the queue of the run. Logs which nodes do not answer.
    """
    folder = store.path / FOLDER
    try:
        make_private_folder(folder)
        answers = fleet.each_or_error(lambda node: _asked(fleet, node, [_CLUSTER_STATUS]))
        for node, answer in answers.items():
            write_private(folder / f"{node}.txt", str(answer))
        write_private(folder / CLUSTER, _of_cluster(fleet, queue, queue_type))
    except OSError as error:
        logger.info(f"the state of the brokers could not be stored: {error.strerror}")
        return
    silent = [node for node, answer in answers.items() if isinstance(answer, Exception)]
    missing = f"; no answer of {' '.join(silent)}" if silent else ""
    logger.info(f"the state of the brokers is in {folder}{missing}")


def _of_cluster(fleet: Fleet, queue: str, queue_type: str) -> str:
    problems = ""
    for node, host in fleet.nodes.items():
        try:
            return _asked(fleet, node, list(_commands(host.vhost, queue, queue_type)))
        except JepsenvmError as error:
            problems += f"{error}\n"
    return problems


def _commands(vhost: str, queue: str, queue_type: str) -> Iterator[list[str]]:
    yield ["rabbitmqctl", "list_queues", "-p", vhost, *_QUEUE_COLUMNS]
    yield ["rabbitmqctl", "list_channels", *_CHANNEL_COLUMNS]
    yield ["rabbitmqctl", "list_feature_flags", "name", "state"]
    if queue_type == "quorum":
        yield ["rabbitmq-queues", "quorum_status", "--vhost", vhost, queue]


def _asked(fleet: Fleet, node: str, commands: Sequence[Sequence[str]]) -> str:
    """Return the answers of a node to some commands; errors of commands are among them."""
    script = "\n".join(map(_script, commands))
    return fleet.run(node, script, timeout=10 + COMMAND_S * len(commands)).stdout


def _script(command: Sequence[str]) -> str:
    words = shlex.join(command)
    title = shlex.quote(f"== {words}")
    return f"echo {title}; timeout {COMMAND_S} {words} 2>&1 | head --bytes={MOST_BYTES}; echo"
