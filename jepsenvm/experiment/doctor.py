"""The checks of `jepsenvm doctor`: what this machine and the hosts support, as findings."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from jepsenvm.errors import CommandError, JepsenvmError, UsageError
from jepsenvm.experiment import client_access, preflight
from jepsenvm.machines.capabilities import capabilities as host_capabilities
from jepsenvm.machines.inventory import Inventory
from jepsenvm.machines.providers import PROVIDERS
from jepsenvm.machines.ssh import Fleet
from jepsenvm.nemesis.requirements import CAPABILITIES
from jepsenvm.rabbitmq import cluster_view

REQUIRED: Final = ("iptables", "systemd-run")
"""The capabilities that every host must have. The others are needed by some faults only."""

MAX_CLOCK_OFFSET_S: Final = 1.0


@dataclass(frozen=True)
class Finding:
    """The result of one check."""

    subject: str
    problem: str | None = None
    """The problem with its remedy; None if the check passed."""
    required: bool = True
    """Whether a problem makes the hosts unsuitable. Otherwise some features are not available."""

    @property
    def fails(self) -> bool:
        """Whether a required check found a problem."""
        return self.required and self.problem is not None


def machine_findings() -> Iterator[Finding]:
    """Check what each machine provider needs on this machine."""
    for provider in PROVIDERS:
        for check in provider.checks():
            yield Finding(check.subject, _problem_of(check.run), required=check.required)


def host_findings(inventory: Inventory) -> Iterator[Finding]:
    """Check SSH, the capabilities, the clocks and the network of the hosts, and their brokers."""
    with Fleet(inventory.nodes, patience=inventory.patience) as fleet:
        answers = fleet.each_or_error(lambda node: fleet.run(node, "true"))
        for node, answer in answers.items():
            error = answer if isinstance(answer, Exception) else None
            if isinstance(error, CommandError):
                error = preflight.no_root(node, error)
            yield Finding(f"{node}: SSH and root", str(error) if error else None)
        if any(isinstance(answer, Exception) for answer in answers.values()):
            return
        yield from _capability_findings(fleet)
        facts = preflight.connect(fleet)
        for node, node_facts in facts.items():
            yield _clock_finding(node, node_facts.clock_offset)
        yield Finding(
            "network between the nodes",
            _problem_of(lambda: preflight.require_ready_for_faults(fleet, facts)),
        )
        yield from _broker_findings(fleet, inventory)
        yield from _certificate_findings(fleet, inventory)


def _capability_findings(fleet: Fleet) -> Iterator[Finding]:
    for node, capabilities in host_capabilities(fleet).items():
        for name, available in capabilities.items():
            problem = None if available else CAPABILITIES[name]
            yield Finding(f"{node}: {name}", problem, required=name in REQUIRED)


def _clock_finding(node: str, offset: float) -> Finding:
    problem = None
    if abs(offset) >= MAX_CLOCK_OFFSET_S:
        problem = f"{abs(offset):.1f} s off the clock of this machine; run a time service"
    return Finding(f"{node}: clock", problem, required=False)


def _broker_findings(fleet: Fleet, inventory: Inventory) -> Iterator[Finding]:
    nodes = list(fleet.nodes)
    views = fleet.each_or_error(lambda node: cluster_view.view(fleet, node))
    for node, view in views.items():
        if isinstance(view, Exception):
            yield Finding(f"{node}: RabbitMQ", "not up; run `jepsenvm deploy`")
        else:
            problem = "; ".join(view.troubles(nodes)) or None
            yield Finding(f"{node}: RabbitMQ sees the whole cluster", problem)
    for mismatch in client_access.listener_mismatches(views, inventory):
        yield Finding("clients", f"{mismatch}; {client_access.listener_remedy(inventory)}")
    try:
        version = preflight.common_version(preflight.settings(fleet))
    except UsageError as error:
        yield Finding("one RabbitMQ version", str(error))
    except JepsenvmError:
        return  # a node does not answer; it has a finding above
    else:
        yield Finding(f"RabbitMQ {version} on every node")


def _certificate_findings(fleet: Fleet, inventory: Inventory) -> Iterator[Finding]:
    """Check the brokers' certificates as a client does, if they shall use TLS."""
    if inventory.broker_ca is None:
        return
    try:
        problems = client_access.certificate_problems(fleet, inventory)
    except UsageError as error:
        yield Finding("TLS to the brokers", str(error))
        return
    for node in fleet.nodes:
        problem = problems.get(node)
        if problem:
            problem += f"; {client_access.certificate_remedy(inventory)}"
        yield Finding(f"{node}: TLS with a certificate that verifies", problem)


def _problem_of(check: Callable[[], object]) -> str | None:
    try:
        check()
    except JepsenvmError as error:
        return str(error)
    return None
