"""The runs that have finished, as the cluster keeps them: a global parameter of RabbitMQ.

Only the queues and exchanges of these runs may be deleted. Those of another run may belong to a run
in progress, or to a run that can be resumed. The parameter is replicated like them, and a reset
deletes both.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterable
from typing import Final

from jepsenvm.machines.ssh import Fleet
from jepsenvm.rabbitmq.erlang import Atom, Erlang
from jepsenvm.rabbitmq.questions import ask, understood

PARAMETER: Final = "jepsenvm_finished_runs"

_QUEUE: Final = re.compile(
    r"jepsenvm\.(?:classic|mirrored|quorum|stream)\.([0-9]{8}T[0-9]{6}\.[0-9]{6}Z)(?:\.(?:dead|[0-9]+))?"
)
"""The name of a run's queue or exchange, with the time at which the run began.

Another name is not ours.
"""

_VALUE: Final = Erlang(
    "[Value || Value <- [rabbit_runtime_parameters:value_global($parameter)], is_binary(Value)]",
    parameter=Atom(PARAMETER),
)

_TIME: Final = re.compile(r"[0-9]{8}T[0-9]{6}\.[0-9]{6}Z")


def run_of_queue(name: str) -> str | None:
    """Return the time that identifies the run of a queue or an exchange; None if it has none."""
    match = _QUEUE.fullmatch(name)
    return match[1] if match else None


def finished_runs(fleet: Fleet, node: str, timeout: float = 60) -> frozenset[str]:
    """Return the times of the runs that have finished, as this node lists them."""
    what = "the finished runs"
    values = ask(fleet, node, _VALUE, what, timeout=timeout)
    with understood(node, what):
        return frozenset(time for value in values for time in _TIME.findall(value))


def record_finished(
    fleet: Fleet, node: str, runs: Iterable[str], queues: Iterable[str], timeout: float = 60
) -> None:
    """Record the runs that have finished, without those that have no queue among ``queues``."""
    with_queue = {run_of_queue(name) for name in queues}
    value = json.dumps(" ".join(sorted({*runs} & with_queue)))
    command = shlex.join(["rabbitmqctl", "--quiet", "set_global_parameter", PARAMETER, value])
    fleet.run(node, command, timeout=timeout)
