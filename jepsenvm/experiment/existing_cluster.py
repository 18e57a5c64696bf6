"""Guests: a cluster that we did not deploy is tested as it is, within a virtual host of our own."""

from __future__ import annotations

import asyncio
import logging
from typing import Final, get_args

from jepsenvm.errors import CommandError, JepsenvmError, UsageError
from jepsenvm.experiment import preflight
from jepsenvm.machines.inventory import Inventory
from jepsenvm.machines.ssh import Fleet
from jepsenvm.plan.plan import PartitionHandling, Plan
from jepsenvm.rabbitmq import ctl as broker
from jepsenvm.rabbitmq.amqp import SessionLost
from jepsenvm.rabbitmq.connections import session
from jepsenvm.rabbitmq.credentials import Credentials
from jepsenvm.rabbitmq.names import GROUP

logger = logging.getLogger(__name__)

LOGIN_S: Final = 20

RESTART: Final = "restart"
"""Whose cluster is not ours must allow this fault before we restart a node of it, be it to help."""


def fitted(plan: Plan, fleet: Fleet, inventory: Inventory) -> Plan:
    """Return the plan with the settings that are in force; raise UsageError when this cluster cannot be tested.

    Nothing is deployed, and nothing that is wrong with it is mended.
    """
    seen = preflight.views(fleet)
    troubles = preflight.broken(seen)
    if troubles:
        raise UsageError(
            f"the cluster is not whole, and not ours to mend: {troubles[0]}",
            remedy="have it mended first",
        )
    members = {
        name for view in seen.values() if isinstance(view, broker.View) for name in view.members
    }
    strangers = sorted(members - fleet.nodes.keys())
    if strangers:
        raise UsageError(
            f"{inventory.path}: the cluster has members that it does not name: {' '.join(strangers)}",
            remedy=f"add them to its group `{GROUP}`: a fault that leaves some out proves nothing",
        )
    known = {
        (one.partition_handling, one.net_ticktime) for one in preflight.settings(fleet).values()
    }
    if len(known) > 1:
        raise UsageError(
            f"the nodes differ in partition handling or net_ticktime: {sorted(known)}",
            remedy="make them alike",
        )
    ((handling, ticktime),) = known
    # One that a plan has no word for stays unsaid, as does none at all, from RabbitMQ 4.3 on.
    said = {"partition_handling": handling} if handling in get_args(PartitionHandling) else {}
    return plan.model_copy(update={"net_ticktime": ticktime, **said})


def move_in(inventory: Inventory, fleet: Fleet, credentials: Credentials) -> bool:
    """Make our virtual host if it is not there, and log in to it through every node; return whether it was made.

    Raises UsageError, with nothing left behind, when that user cannot.
    """
    node, vhost = _first(fleet)
    try:
        made = broker.make_vhost(fleet, node, credentials.user)
    except CommandError as problem:
        raise UsageError(
            f"the virtual host {vhost} could not be made for {credentials.user}: {problem.message}",
            node=node,
            remedy="check jepsenvm_broker_user",
        ) from None
    logger.info(f"virtual host {vhost}: " + ("made" if made else "found"))
    try:
        asyncio.run(_log_in(inventory, credentials))
    except BaseException:
        if made:
            broker.delete_vhost(fleet, node)
        raise
    return made


def move_out(fleet: Fleet, *, made: bool, decided: bool) -> None:
    """Delete the virtual host if we made it and nobody can want to look into it: only what was decided is over."""
    node, vhost = _first(fleet)
    if made and decided:
        try:
            broker.delete_vhost(fleet, node)
        except JepsenvmError as problem:
            logger.info(f"virtual host {vhost}: could not be deleted: {problem}")
            return
        logger.info(f"virtual host {vhost}: deleted")
    else:
        logger.info(
            f"virtual host {vhost}: left, with this run's queue; `rabbitmqctl delete_vhost {vhost}` removes it"
        )


async def _log_in(inventory: Inventory, credentials: Credentials) -> None:
    for node in inventory.nodes:
        address = credentials.at(node)
        try:
            async with session(address, LOGIN_S):
                pass
        except (SessionLost, TimeoutError) as problem:
            raise UsageError(
                f"{credentials.user} cannot log in to virtual host {address.vhost} at {address.host}:{address.port}: "
                f"{problem or 'no answer in time'}",
                node=node.name,
                remedy="check jepsenvm_broker_user, jepsenvm_broker_password, amqp_address and amqp_port, "
                f"and what that user may do in {address.vhost}",
            ) from None


def _first(fleet: Fleet) -> tuple[str, str]:
    node = next(iter(fleet.nodes.values()))
    return node.name, node.vhost
