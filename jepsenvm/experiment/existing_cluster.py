"""Existing clusters: a cluster that jepsenvm did not deploy is tested as it is.

Nothing is installed or reconfigured. A run works in a virtual host of its own.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Final, get_args

from jepsenvm.errors import CommandError, JepsenvmError, UsageError, shorten
from jepsenvm.experiment import client_access
from jepsenvm.experiment.preflight import ClusterState
from jepsenvm.machines.inventory import Inventory
from jepsenvm.machines.ssh import Fleet
from jepsenvm.plan.plan import PartitionHandling, Plan
from jepsenvm.rabbitmq import cluster_view
from jepsenvm.rabbitmq import ctl as broker
from jepsenvm.rabbitmq.amqp import SessionLost, failure_text
from jepsenvm.rabbitmq.connections import session
from jepsenvm.rabbitmq.credentials import Credentials

logger = logging.getLogger(__name__)

LOGIN_S: Final = 20


def require_testable(state: ClusterState, inventory: Inventory) -> None:
    """Raise UsageError unless the cluster is healthy and as the inventory says.

    The inventory must name all of its members, and the ports at which they accept clients.
    """
    if state.problems:
        raise UsageError(
            f"the cluster is degraded: {state.problems[0]}", remedy="repair it, then run again"
        )
    members = {
        name
        for view in state.views.values()
        if isinstance(view, cluster_view.View)
        for name in view.members
    }
    unnamed = sorted(members - {node.name for node in inventory.nodes})
    if unnamed:
        raise UsageError(
            f"{inventory.path}: the cluster has members that are not in the inventory: "
            f"{shorten(' '.join(unnamed))}",
            remedy=f"add them to its group `{inventory.group}`: "
            "a fault must be able to affect every member",
        )
    if mismatches := client_access.listener_mismatches(state.views, inventory):
        raise UsageError(mismatches[0], remedy=client_access.listener_remedy(inventory))


def with_settings_in_force(plan: Plan, state: ClusterState) -> Plan:
    """Return the plan with the net_ticktime and the partition handling of the cluster.

    Raises UsageError if the nodes differ in one of them.
    """
    in_force = {
        (actual.partition_handling, actual.net_ticktime) for actual in state.settings.values()
    }
    if len(in_force) > 1:
        raise UsageError(
            f"the nodes differ in partition handling or net_ticktime: "
            f"{shorten(sorted(in_force), 200)}",
            remedy="give all nodes the same settings",
        )
    ((partition_handling, net_ticktime),) = in_force
    changes: dict[str, object] = {"net_ticktime": net_ticktime}
    # A plan has no value for pause_if_all_down, nor for none at all (RabbitMQ 4.3 and later).
    if partition_handling in get_args(PartitionHandling):
        changes["partition_handling"] = partition_handling
    return plan.model_copy(update=changes)


def create_virtual_host(inventory: Inventory, fleet: Fleet, credentials: Credentials) -> bool:
    """Create the virtual host of the inventory if it is missing, and log in through every node.

    Return whether it was created. Raises UsageError, and deletes a virtual host that it created, if
    the user cannot log in. Creates nothing if clients do not accept a broker's certificate.
    """
    for node, problem in client_access.certificate_problems(fleet, inventory).items():
        address = f"{fleet.nodes[node].amqp_host}:{fleet.nodes[node].amqp_port}"
        raise UsageError(
            f"{address}: {problem}", node=node, remedy=client_access.certificate_remedy(inventory)
        )
    node, vhost = _first_node(fleet)
    try:
        created = broker.make_vhost(fleet, node, credentials.user)
    except CommandError as error:
        raise UsageError(
            f"the virtual host {vhost} could not be made for {credentials.user}: {error.message}",
            node=node,
            remedy="check jepsenvm_broker_user",
        ) from None
    logger.info(f"virtual host {vhost}: " + ("made" if created else "found"))
    try:
        asyncio.run(_log_in(inventory, credentials))
    except BaseException:
        if created:
            broker.delete_vhost(fleet, node)
        raise
    return created


def remove_virtual_host(fleet: Fleet, *, created: bool, decided: bool) -> None:
    """Delete the virtual host if this run created it and ``decided`` its verdict.

    Otherwise it stays, because its queue may show why the verdict is unknown.
    """
    node, vhost = _first_node(fleet)
    if not (created and decided):
        logger.info(
            f"virtual host {vhost}: left, with this run's queue; "
            f"`rabbitmqctl delete_vhost {vhost}` removes it"
        )
        return
    try:
        broker.delete_vhost(fleet, node)
    except JepsenvmError as error:
        logger.info(f"virtual host {vhost}: could not be deleted: {error}")
        return
    logger.info(f"virtual host {vhost}: deleted")


async def _log_in(inventory: Inventory, credentials: Credentials) -> None:
    for node in inventory.nodes:
        address = credentials.at(node)
        try:
            async with session(address, LOGIN_S):
                pass
        except (SessionLost, TimeoutError) as error:
            raise UsageError(
                f"{credentials.user} cannot log in to virtual host {address.vhost} at "
                f"{address.host}:{address.port}: {failure_text(error)}",
                node=node.name,
                remedy="check jepsenvm_broker_user, jepsenvm_broker_password, amqp_address and "
                f"amqp_port, and the permissions of that user in {address.vhost}",
            ) from None


def _first_node(fleet: Fleet) -> tuple[str, str]:
    """Return the name of the first node, and the virtual host in which the run works."""
    node = next(iter(fleet.nodes.values()))
    return node.name, node.vhost
