"""topology: clients declare, bind and delete; afterwards all nodes must agree, and it must work.

RabbitMQ keeps queues, exchanges and bindings in a metadata store of its own (Mnesia, or Khepri),
beside the messages. A confirmed declaration or deletion is a promise as well.
"""

from __future__ import annotations

from collections.abc import Coroutine, Mapping
from typing import Any, Final

from pydantic import Field

from jepsenvm.checkers.availability import DEFAULT_IGNORED
from jepsenvm.checkers.exercise import Exercise
from jepsenvm.checkers.topology import KINDS, OPERATIONS, topology
from jepsenvm.checkers.verdict import Checker
from jepsenvm.plan.options import WorkloadOptions
from jepsenvm.plan.plan import Plan
from jepsenvm.workloads.context import Context, GetQueueStatus
from jepsenvm.workloads.publishers import publisher_addresses
from jepsenvm.workloads.topology_client import clients
from jepsenvm.workloads.topology_drain import Remembered, read_and_probe
from jepsenvm.workloads.topology_names import Names, names_of_clients
from jepsenvm.workloads.workload import Figures, Workload


class TopologyOptions(WorkloadOptions):
    """The plan keys of workload topology."""

    names: int = Field(
        default=4,
        ge=1,
        le=50,
        description="Queues, and as many exchanges, that each client declares and deletes.",
    )


class TopologyWorkload(Workload[TopologyOptions]):
    """Clients on every node declare, bind and delete; see the topology checker."""

    name = "topology"
    about = "queues, exchanges and bindings are declared and deleted, then looked for on every node"
    invalid_when = (
        "something that was confirmed is missing on a node or does not route, something that was "
        "deleted is still there, or the nodes disagree"
    )
    options = TopologyOptions
    defaults: Mapping[str, object] = {"rate": 50}
    queue_types = ("quorum", "mirrored", "classic")
    uses_queue = False
    main_checker = "topology"
    exercise = Exercise(
        OPERATIONS,
        {
            "bound-count": "no binding was confirmed and kept, so none had to exist",
            "deleted-count": "no deletion was confirmed, so nothing had to be gone",
            "exclusive-count": "no exclusive queue was declared",
            "auto-deleted-count": "no consumer of an auto-delete queue went",
            "read-count": "no node was read",
            "arrived-count": "no probe's message arrived",
        },
    )
    acknowledgements = (
        *("declare-queue", "delete-queue", "declare-exchange", "delete-exchange"),
        *("bind", "unbind", "declare-exclusive", "declare-auto-delete", "cancel"),
    )
    not_availability = (*DEFAULT_IGNORED, "read", "probe")
    plots: Mapping[str, str] = {"declare-queue": "declared", "bind": "bound"}

    def __init__(self) -> None:
        self._names: dict[str, list[Names]] = {}
        """The names of the clients of each load of this process, by the run's queue."""

    def checkers(self, plan: Plan) -> Mapping[str, Checker]:  # noqa: ARG002 - the same for all plans
        """Return the topology checker."""
        return {self.main_checker: topology}

    def headline(self, figures: Figures) -> str:
        """Return how much was confirmed, deleted and left in doubt, and the anomalies."""
        counts = ", ".join(f"{kind} {figures[f'{kind}-count']:,}" for kind in KINDS)
        return (
            f"confirmed {figures['confirmed-count']:,}, deleted {figures['deleted-count']:,}, "
            f"{counts}, in doubt {figures['in-doubt-count']:,}"
        )

    def problems(self, plan: Plan) -> list[str]:
        """Refuse keys that have no effect on this workload."""
        without_effect = {
            "window": plan.window > 1,
            "consumers": plan.consumers > 0,
            "message-size": plan.message_size is not None,
            "confirm: transactions": plan.confirm == "transactions",
        }
        return [
            f"{key} has no effect on workload topology: leave it out"
            for key, given in without_effect.items()
            if given
        ]

    def load(self, context: Context) -> list[Coroutine[Any, Any, None]]:
        """Return the clients, ``publishers`` per node."""
        names = names_of_clients(
            len(publisher_addresses(context)),
            self.options_of(context.plan).names,
            context.plan.seed,
        )
        self._names[context.queue] = names
        return clients(context, names)

    async def drain(self, context: Context, queue_status: GetQueueStatus) -> None:  # noqa: ARG002 - its queues have no messages
        """Read what every node has, and send a message through it."""
        names = self._names.pop(context.queue, None)
        remembered = None
        if names is not None:
            remembered = Remembered(
                used={number for each in names for number in each.used},
                temporary={number for each in names for number in each.temporary},
            )
        await read_and_probe(context, remembered)


WORKLOAD: Final = TopologyWorkload()
