"""Faults by hand: injects one fault outside the schedule of a run, and shows what is in force.

If a run is in progress on the same machines, its history records the fault.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, Final

from jepsenvm.errors import RunError, UsageError, shorten
from jepsenvm.experiment import flag_faults, preflight, rolling_upgrade
from jepsenvm.experiment.run_in_progress import folder_of_run
from jepsenvm.experiment.set_up import QUEUE_PREFIX
from jepsenvm.machines.cluster_lock import ClusterLock, held_locks
from jepsenvm.machines.inventory import Inventory
from jepsenvm.machines.power import power_of
from jepsenvm.machines.reachability import Matrix
from jepsenvm.machines.ssh import Fleet
from jepsenvm.nemesis.engine import Nemesis
from jepsenvm.nemesis.fault import Fault
from jepsenvm.nemesis.manual import FIRST_NUMBER, spooled
from jepsenvm.nemesis.probes import probe
from jepsenvm.nemesis.records import FaultRecord, Recorder
from jepsenvm.nemesis.registry import NEMESES, stages
from jepsenvm.nemesis.request import FaultRequest
from jepsenvm.nemesis.status import in_force
from jepsenvm.plan.durations import MAX_SECONDS, MIN_SECONDS, parse_duration
from jepsenvm.rabbitmq.topology_listing import listing

logger = logging.getLogger(__name__)

PURPOSE: Final = "fault start"

WAIT_S: Final = 60.0
"""Seconds that an injection waits for another one."""

WAIT_POLL_S: Final = 1.0

MAX_DURATION_S: Final = 3600
"""Seconds after which the nodes heal a fault by themselves if it has no duration."""


@dataclass(frozen=True)
class FaultStatus:
    """What is in force on the nodes."""

    faults: Mapping[str, list[dict[str, Any]] | Exception]
    """node -> the faults in force, or the error of a node that does not answer."""
    matrix: Matrix


@dataclass(frozen=True)
class StartedFault:
    """A fault that was injected by hand."""

    number: int
    problems: Sequence[str]
    """Why the fault, or its healing, is not proven; empty if it is."""
    healed: bool
    """Whether it was healed again."""


def parse_settings(
    name: str, shortcuts: Mapping[str, float | None], words: Sequence[str]
) -> dict[str, float]:
    """Return the settings of a fault that are numbers, under their full names.

    ``shortcuts`` are the values of ``--ms``, ``--jitter`` and ``--percent``. The last stands for
    the percentage of the fault, such as ``loss-percent``. ``words`` are the ``KEY=VALUE`` of
    ``--set``.
    """
    spec = NEMESES.get(name)
    known = spec.settings if spec else {}
    percent = next((key for key in known if key.endswith("percent")), "percent")
    full_names = {"ms": "delay-ms", "jitter": "jitter-ms", "percent": percent}
    settings = {full_names[key]: value for key, value in shortcuts.items() if value is not None}
    for word in words:
        key, _, value = word.partition("=")
        if spec and key in spec.texts:
            continue
        try:
            settings[key] = float(value)
        except ValueError:
            raise UsageError(f"--set {shorten(word)}: not KEY=NUMBER") from None
    return settings


def duration_option(text: str) -> float:
    """Return the seconds of ``--for``."""
    try:
        duration = parse_duration(text)
    except ValueError as error:
        raise UsageError(f"--for {shorten(text)}: {error}") from None
    if not MIN_SECONDS <= duration <= MAX_SECONDS:
        raise UsageError(f"--for {shorten(text)}: must be from 1 ms to a year")
    return duration


def draw_fault(
    name: str,
    targets: Sequence[str],
    settings: Mapping[str, float],
    nodes: Sequence[str],
    texts: Mapping[str, str] | None = None,
) -> Fault:
    """Return a fault of a nemesis; raise UsageError for targets or settings that it does not take.

    Each target is a group of nodes separated by commas. The nemesis draws what is not given.
    """
    request = FaultRequest(
        nodes,
        Random(time.time_ns()),
        **_targets(name, targets),
        settings=settings,
        texts=texts or {},
    )
    drawn = stages(name, request)
    if len(drawn) > 1:
        raise UsageError(
            f"{name} has several stages, which only a schedule can time",
            remedy="inject the faults of its stages one by one",
        )
    return drawn[0].fault


def start_fault(inventory: Inventory, fault: Fault, duration: float | None) -> StartedFault:
    """Inject a fault and verify it; heal it after ``duration`` seconds if that is given.

    Return what became of it. Without a duration it stays in force until `jepsenvm heal`, or until
    the timers of the nodes heal it. Raises UsageError if the fault is not allowed or not possible
    on these hosts.
    """
    fault = preflight.suited(inventory, fault)
    preflight.require_allowed(inventory, [fault])
    with Fleet(inventory.nodes, patience=inventory.patience) as fleet:
        facts = preflight.connect(fleet)
        preflight.require_capabilities(fleet, inventory, [fault])
        preflight.require_broker_capabilities(fleet, [fault])
        flag_faults.require_enableable(fleet, [fault])
        with _injecting(fleet) as run:
            fault = _with_package(fleet, fault)
            if run is not None:
                logger.info(f"a run is in progress, and its history records this fault: {run}")
            problems: list[str] = []
            nemesis = Nemesis(
                fleet=fleet,
                facts=facts,
                record=_noting_problems(spooled(run), problems),
                longest_fault=duration or MAX_DURATION_S,
                queue=newest_queue(fleet) if fault.role else None,
                power=power_of(inventory),
            )
            nemesis.prepare()
            number = FIRST_NUMBER + int(time.strftime("%H%M%S"))
            injected = _injected(nemesis, number, fault)
        healed = not injected or _waited(duration)
        if healed:
            nemesis.heal(number)
            # A run has its own timers. Without one, the timers end with the last fault.
            if run is None and not any(in_force(fleet).values()):
                _end(nemesis, fleet)
    return StartedFault(number, problems, healed)


def _noting_problems(record: Recorder, problems: list[str]) -> Recorder:
    """Return a recorder that also appends why a fault, or its healing, is not proven."""

    def record_and_note(entry: FaultRecord) -> None:
        record(entry)
        if entry.error is not None:
            problems.append(entry.error)

    return record_and_note


def _with_package(fleet: Fleet, fault: Fault) -> Fault:
    """Return the fault; with the package that was staged on its node if it is an upgrade."""
    if not rolling_upgrade.upgrades_of([fault]):
        return fault
    running = {node: actual.version for node, actual in preflight.settings(fleet).items()}
    (ready,) = rolling_upgrade.staged(None, fleet, [fault], running)
    return ready


def fault_status(inventory: Inventory) -> FaultStatus:
    """Return the faults in force on every node, and the nodes that each node reaches."""
    with Fleet(inventory.nodes, patience=inventory.patience) as fleet:
        faults = in_force(fleet)
        matrix = probe(fleet, preflight.connect(fleet), ["matrix"], None)["matrix"]
    return FaultStatus(faults, matrix)


def newest_queue(fleet: Fleet) -> str:
    """Return the queue of the newest run, for faults that need a leader."""
    names = listing(fleet, next(iter(fleet.nodes))).queues
    queues = [name for name in names if name.startswith(QUEUE_PREFIX)]
    if not queues:
        raise UsageError(
            "no run has a queue, so there is no leader", remedy="start a run, or name nodes"
        )
    # The name of a queue is jepsenvm.TYPE.TIME, and TIME has a fraction after its last dot.
    return max(queues, key=lambda name: name.rpartition(".")[0][-15:] + name)


@contextmanager
def _injecting(fleet: Fleet) -> Iterator[Path | None]:
    """Hold the lock of the cluster, unless a run of this machine holds it; yield that run's folder.

    The lock is held only while the fault is injected: afterwards the nodes have the fault on
    record, and no run begins. Waits for another `jepsenvm fault start`. Raises UsageError if the
    cluster is in use by anything else.
    """
    with ClusterLock(fleet, PURPOSE) as lock:
        until = time.monotonic() + WAIT_S * fleet.patience
        while True:
            locks = held_locks(fleet)
            others_inject = any(held.owner.purpose == PURPOSE for held in locks)
            if not others_inject or time.monotonic() > until:
                run = folder_of_run(locks)
                if run is None:
                    lock.take()
                break
            time.sleep(WAIT_POLL_S)
        yield run


def _injected(nemesis: Nemesis, number: int, fault: Fault) -> bool:
    """Inject a fault; return False if it was interrupted."""
    try:
        nemesis.inject(number, fault)
    except KeyboardInterrupt:
        logger.info("interrupted: healing")
        return False
    return True


def _waited(duration: float | None) -> bool:
    """Wait for the duration of a fault, or for Ctrl-C; return whether to heal the fault now."""
    if duration is None:
        minutes = MAX_DURATION_S // 60
        logger.info(f"in force until `jepsenvm heal`, for {minutes} minutes at most")
        return False
    try:
        time.sleep(duration)
    except KeyboardInterrupt:
        logger.info("interrupted: healing")
    return True


def _end(nemesis: Nemesis, fleet: Fleet) -> None:
    """Stop the timers of the nodes, unless another process has begun to use the cluster."""
    with ClusterLock(fleet, PURPOSE) as lock:
        try:
            lock.take(skip_silent=True)
        except UsageError:
            return
        problems = nemesis.end()
    if problems:
        raise RunError(
            f"not healed: {'; '.join(problems)}", remedy="repair that and run `jepsenvm heal`"
        )


def _targets(name: str, targets: Sequence[str]) -> dict[str, Any]:
    if not targets:
        return {}
    groups = tuple(tuple(target.split(",")) for target in targets)
    spec = NEMESES.get(name)
    if spec is not None and spec.takes == "groups":
        return {"groups": groups}
    return {"victims": tuple(node for group in groups for node in group)}
