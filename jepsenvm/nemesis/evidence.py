"""Collects evidence about faults: before them, until they are verified, and at their end."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from jepsenvm.errors import MALFORMED, shown
from jepsenvm.nemesis.active import ActiveFaults
from jepsenvm.nemesis.clock import Clock
from jepsenvm.nemesis.concurrent import ConcurrentFaults
from jepsenvm.nemesis.fault import Evidence, Fault

Probe = Callable[[Sequence[str]], Evidence]
"""Returns the results of the probes with these names (``nemesis.probes``)."""

Verify = Callable[[Fault, Evidence, Evidence, ConcurrentFaults], Iterator[str]]
"""``Fault.verify_active`` or ``Fault.verify_healed``."""


@dataclass(frozen=True)
class Observation:
    """The last evidence about a fault."""

    evidence: Evidence
    problems: list[str]
    """Why the fault, or its healing, is not verified."""
    hidden: bool
    """Whether other faults hide the fault, so that the evidence says nothing about it."""


@dataclass(frozen=True)
class EvidenceCollector:
    """Probes the cluster and verifies faults."""

    probe: Probe
    active: ActiveFaults
    clock: Clock
    hurried: threading.Event = field(default_factory=threading.Event)
    """When it is set, a fault is probed once instead of until it is verified."""

    def before(self, number: int, fault: Fault, until: float) -> Evidence:
        """Return evidence from before a fault.

        While other faults are in force, probe again until ``until`` (wall clock): one of them may
        just be healing, and evidence without it is better.
        """
        while True:
            others = [other for other in self.active.numbers() if other != number]
            concurrent = self.active.concurrent_with(number)
            evidence = self.probe(fault.probes())
            concurrent |= self.active.concurrent_with(number)
            if not others or self.clock.time() > until:
                return {**evidence, "around": concurrent.as_data()}

    def observe(
        self, number: int, fault: Fault, verify: Verify, before: Evidence, timeout: float
    ) -> Observation:
        """Probe until the fault, or its healing, is verified, or the timeout (seconds) has passed.

        A probe takes a second or more. Faults that begin or end meanwhile count as concurrent.
        """
        deadline = self.clock.monotonic() + timeout
        while True:
            concurrent = self.active.concurrent_with(number)
            evidence = self.probe(fault.probes())
            concurrent |= self.active.concurrent_with(number)
            visible = _without_hidden_nodes(fault, concurrent)
            problems = problems_of(visible, verify, before, evidence, concurrent)
            late = self.hurried.is_set() or self.clock.monotonic() > deadline
            if not problems or late:
                return Observation(
                    evidence={**evidence, "around": concurrent.as_data()},
                    problems=problems,
                    hidden=fault.hidden_by(_relevant(fault, before, concurrent)),
                )


def problems_of(
    fault: Fault,
    verify: Verify,
    before: Evidence,
    now: Evidence,
    concurrent: ConcurrentFaults,
) -> list[str]:
    """Return why a fault, or its healing, is not verified.

    What was not measured is never verified: a probe without a result, or with a result that the
    fault does not understand, is a problem of every fault.
    """
    problems = [
        f"the probe {name} measured nothing{when}"
        for when, evidence in ((" before the fault", before), ("", now))
        for name in fault.probes()
        if not evidence.get(name)
    ]
    if problems:
        return problems
    try:
        return list(verify(fault, before, now, concurrent))
    except MALFORMED as problem:
        return [f"the evidence was not understood: {shown(problem)}"]


def _relevant(fault: Fault, before: Evidence, concurrent: ConcurrentFaults) -> ConcurrentFaults:
    """Return the concurrent faults that count when a fault is looked for.

    A fault that is only a difference cannot be seen either if its evidence from before was hidden.
    """
    return concurrent | ConcurrentFaults.of(before) if fault.compares else concurrent


def _without_hidden_nodes(fault: Fault, concurrent: ConcurrentFaults) -> Fault:
    """Return the fault on those of its nodes that other faults do not hide.

    The links of a grudge are compared one by one instead.
    """
    if fault.grudge or fault.on_each_node:
        return fault
    hidden = concurrent.off | concurrent.mute
    return replace(fault, nodes=tuple(node for node in fault.nodes if node not in hidden))


def summary(evidence: Evidence) -> str:
    """Return in a few words what the evidence shows."""
    matrix = evidence.get("matrix")
    if matrix:
        links = [passes for row in matrix.values() for passes in row.values()]
        return f"{links.count(False)} of {len(links)} links cut, {links.count(True)} open"
    return f"seen in {', '.join(name for name in evidence if name != 'around')}"
