"""`jepsenvm campaign worker`, and the workers of a Dask scheduler as the machines of a campaign."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import click

from jepsenvm.campaign import remote_machines
from jepsenvm.campaign.remote_machines import NewRunner, WorkerMachines
from jepsenvm.campaign.runner import ProcessRunner
from jepsenvm.campaign.spec import Machines
from jepsenvm.errors import UsageError, shorten


@click.command()
@click.argument("scheduler", metavar="ADDRESS")
@click.option("-i", "--inventory", metavar="INVENTORY", help="Inventory of the machines.")
@click.option("--lab", metavar="NAME", help="Lab of this host; `default` is that of `lab up`.")
@click.option("--nodes", type=int, default=5, show_default=True, help="Number of hosts.")
@click.option("--existing", is_flag=True, help="The cluster was not deployed by jepsenvm.")
@click.option("--may-reset", is_flag=True, help="The hosts of the inventory may be wiped.")
@click.option(
    "--dir",
    "directory",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("campaigns"),
    show_default=True,
    help="Folder in which the runs are stored until they are sent to the controller.",
)
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="Address on which the worker listens. Anybody who reaches it can run programs as this "
    "user, unless Dask is configured to use TLS.",
)
def worker(  # noqa: PLR0913 - one parameter per option
    scheduler: str,
    *,
    inventory: str | None,
    lab: str | None,
    nodes: int,
    existing: bool,
    may_reset: bool,
    directory: Path,
    host: str,
) -> None:
    """Run experiments of campaigns on the machines of this host.

    ADDRESS is that of a Dask scheduler, such as tcp://127.0.0.1:8786. Each worker owns one lab or
    inventory, and runs one experiment at a time. `jepsenvm campaign run --scheduler ADDRESS` gives
    the experiments to all workers.
    """
    _require_dask()
    try:
        machines = WorkerMachines(
            lab=lab,
            inventory=inventory and str(Path(inventory).resolve()),
            nodes=nodes,
            existing=existing,
            may_reset=may_reset,
            host=socket.gethostname(),
        )
    except ValueError as error:
        raise UsageError(f"the machines of the worker: {shorten(error, 200)}") from None
    from jepsenvm.campaign.dask_worker import work  # noqa: PLC0415 - Dask is optional

    remote_machines.serve(machines, directory, ProcessRunner)
    asyncio.run(work(scheduler, host))


@contextmanager
def dask_workers(scheduler: str, campaign: str) -> Iterator[tuple[tuple[Machines, ...], NewRunner]]:
    """Connect to a Dask scheduler; yield the machines of its workers, and their runner."""
    _require_dask()
    from jepsenvm.campaign.dask_runner import (  # noqa: PLC0415 - Dask is optional
        DaskRunner,
        connected,
        machines_of,
    )

    with connected(scheduler) as client:
        machines = machines_of(client, campaign)
        addresses = {one.name: address for address, one in machines.items()}
        new_runner = partial(DaskRunner, client, addresses, campaign)
        yield tuple(machines.values()), new_runner


def _require_dask() -> None:
    if find_spec("distributed") is None:
        raise UsageError("Dask is not installed", remedy="pip install 'jepsenvm[distributed]'")
