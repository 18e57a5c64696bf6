"""jepsenvm doctor: what this machine and the hosts can and cannot do, each with its remedy."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import click

from jepsenvm.cli import options
from jepsenvm.cli.choose import inventory_for
from jepsenvm.errors import JepsenvmError, UsageError
from jepsenvm.experiment import preflight
from jepsenvm.machines import lab
from jepsenvm.machines.capabilities import capabilities
from jepsenvm.machines.lab import machine
from jepsenvm.machines.ssh import Fleet
from jepsenvm.machines.vagrant import fitness, machines
from jepsenvm.nemesis.requirements import CAPABILITIES
from jepsenvm.rabbitmq import ctl as broker

NOT_FIT = 254

VMS: Final[Mapping[str, Callable[[], None]]] = {
    "VMs: provider": fitness.require_provider,
    "VMs: hardware virtualisation": fitness.require_virtualisation,
    "VMs: box": fitness.require_box,
}

NEEDED = ("iptables", "systemd-run")


@dataclass(frozen=True)
class Finding:
    """One thing that is as it should be, or not, or that merely lacks."""

    what: str
    problem: str | None = None
    needed: bool = True

    @property
    def mark(self) -> str:
        """How it stands, in four letters."""
        return "ok  " if self.problem is None else "FAIL" if self.needed else "none"


@click.command("doctor")
@options.inventory
@options.existing
@click.pass_context
def command(context: click.Context, inventory_path: Path | None, *, existing: bool) -> None:
    """Say what this machine and the hosts can and cannot do, each with its remedy."""
    findings = list(_machine())
    if inventory_path or lab.is_up() or machines.are_vms_here():
        findings += _hosts(inventory_path, existing=existing)
    for finding in findings:
        click.echo(
            f"{finding.mark}  {finding.what}" + (f": {finding.problem}" if finding.problem else "")
        )
    context.exit(NOT_FIT if any(finding.problem and finding.needed for finding in findings) else 0)


def _machine() -> Iterator[Finding]:
    checks: Mapping[str, Callable[[], None]] = {
        "lab: run as root": machine.require_root,
        "lab: programs": machine.require_programs,
        "lab: disk space": machine.require_disk_space,
        "lab: free subnet": machine.require_free_subnet,
    }
    for what, check in checks.items():
        yield Finding(what, _problem(check), needed=False)
    if not Path("Vagrantfile").exists():
        return
    lacks = _problem(fitness.require_vagrant)
    yield Finding("VMs: Vagrant", lacks, needed=False)
    if lacks is None:
        for what, check in VMS.items():
            yield Finding(what, _problem(check), needed=False)
    if lacks is None and not machines.are_vms_here():
        yield Finding("VMs: memory", _problem(fitness.require_memory), needed=False)
    elif lacks is None:
        yield Finding(
            "VMs: all of them run", _problem(lambda: machines.require_running(Path.cwd()))
        )


def _problem(check: Callable[[], object]) -> str | None:
    try:
        check()
    except JepsenvmError as problem:
        return str(problem)
    return None


def _hosts(inventory_path: Path | None, *, existing: bool) -> Iterator[Finding]:
    inventory = inventory_for(inventory_path, existing=existing, may_be_off=True)
    with Fleet(inventory.nodes, patience=inventory.patience) as fleet:
        reached = fleet.each_or_error(lambda node: fleet.run(node, "true"))
        for node, answer in reached.items():
            yield Finding(
                f"{node}: SSH and root", str(answer) if isinstance(answer, Exception) else None
            )
        if any(isinstance(answer, Exception) for answer in reached.values()):
            return
        yield from _capabilities(fleet)
        facts = preflight.hosts(fleet)
        for node, known in facts.items():
            ahead = abs(known.clock_offset)
            yield Finding(
                f"{node}: clock",
                None if ahead < 1 else f"{ahead:.1f} s off ours; run a time service",
                False,
            )
        yield Finding(
            "network between the nodes", _problem(lambda: preflight.fit_for_faults(fleet, facts))
        )
        yield from _brokers(fleet)


def _capabilities(fleet: Fleet) -> Iterator[Finding]:
    for node, able in capabilities(fleet).items():
        for name, can in able.items():
            yield Finding(
                f"{node}: {name}", None if can else CAPABILITIES[name], needed=name in NEEDED
            )


def _brokers(fleet: Fleet) -> Iterator[Finding]:
    nodes = list(fleet.nodes)
    for node, view in fleet.each_or_error(lambda node: broker.view(fleet, node)).items():
        if isinstance(view, Exception):
            yield Finding(f"{node}: RabbitMQ", "not up; run `jepsenvm deploy`")
        else:
            yield Finding(
                f"{node}: RabbitMQ sees the whole cluster", "; ".join(view.troubles(nodes)) or None
            )
    try:
        yield Finding(f"RabbitMQ {preflight.version(fleet)} on every node")
    except UsageError as problem:
        yield Finding("one RabbitMQ version", str(problem))
    except JepsenvmError:
        return  # a broker that is not up was named above
