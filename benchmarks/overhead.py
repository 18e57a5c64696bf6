"""Measure what `jepsenvm run` takes beyond the planned load, phase by phase.

    python -m benchmarks.overhead [-i INVENTORY] [--rounds 3] [--seconds 20]

It needs a cluster that `jepsenvm deploy` made without other settings. Each round runs the command
with a quorum queue and one partition of 5 s, and must be valid. Its runs are in a temporary folder.

| column | what is measured |
| --- | --- |
| wall | wall seconds of the phase; those of the load are the ones beyond the time limit |
| cpu | CPU seconds of the controller and of the programs that it started, without the hosts |
| commands | commands that the controller ran on the nodes over SSH |
| rabbitmqctl | those that are a call of rabbitmqctl, which starts an Erlang VM on the node |

A question that rabbitmqctl asks because erl_call cannot is not counted as a call of rabbitmqctl.

The phase "start" is from the start of the command until the run prepares, and "end" is after the
report. The last lines are the medians of the rounds. The columns cpu, commands and rabbitmqctl also
say something on a busy machine, where wall time does not.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple, dataclass, fields
from itertools import pairwise
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch

import yaml

from benchmarks.new_process import measured

START: Final = "start"
LOAD: Final = "load"
END: Final = "end"
TOTAL: Final = "total"

RABBITMQ_TOOLS: Final = ("rabbitmqctl ", "rabbitmq-queues ", "rabbitmq-diagnostics ")


@dataclass(frozen=True)
class Mark:
    """What a run had used when a phase began."""

    phase: str
    at: float
    """Seconds of the monotonic clock."""
    cpu: float
    """Seconds."""
    commands: int
    rabbitmqctl: int


@dataclass(frozen=True)
class Spent:
    """What a phase of a run used."""

    wall: float
    cpu: float
    commands: float
    rabbitmqctl: float

    def plus(self, other: Spent) -> Spent:
        """Return the sum of two phases."""
        return Spent(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))


NOTHING: Final = Spent(0, 0, 0, 0)


def plan(seconds: float) -> dict[str, object]:
    """Return the plan of each round."""
    fault = {"at": 3, "for": 5, "fault": "partition-random-halves"}
    return {
        "name": "overhead",
        "queue-type": "quorum",
        "schedule": [fault],
        "rate": 500,
        "time-limit": seconds,
        "seed": 1,
    }


def spent(marks: Sequence[Mark], planned: float) -> dict[str, Spent]:
    """Return what each phase used, in order, and the total.

    The last mark is the end of the command. ``planned`` are the seconds of the load that are in no
    phase. A phase that begins twice counts once, with both.
    """
    phases: dict[str, Spent] = {}
    for mark, after in pairwise(marks):
        used = Spent(
            after.at - mark.at - (planned if mark.phase == LOAD else 0.0),
            after.cpu - mark.cpu,
            after.commands - mark.commands,
            after.rabbitmqctl - mark.rabbitmqctl,
        )
        phases[mark.phase] = phases.get(mark.phase, NOTHING).plus(used)
    total = NOTHING
    for phase in phases.values():
        total = total.plus(phase)
    return {**phases, TOTAL: total}


def medians(rounds: Sequence[Mapping[str, Spent]]) -> dict[str, Spent]:
    """Return the median of each figure of each phase. A phase that a round lacks took nothing."""
    return {
        phase: Spent(
            *(
                statistics.median(getattr(each.get(phase, NOTHING), field.name) for each in rounds)
                for field in fields(Spent)
            )
        )
        for phase in rounds[0]
    }


class _Marks:
    """Takes a mark when a phase begins, in the process of the run."""

    def __init__(self) -> None:
        self.taken: list[Mark] = []
        self._commands = self._rabbitmqctl = 0

    def count(self, script: str) -> None:
        """Count a command on a node."""
        self._commands += 1
        self._rabbitmqctl += script.startswith(RABBITMQ_TOOLS)

    def take(self, phase: str) -> None:
        """Take a mark."""
        used = os.times()
        cpu = used.user + used.system + used.children_user + used.children_system
        mark = Mark(phase, time.monotonic(), cpu, self._commands, self._rabbitmqctl)
        self.taken.append(mark)


def measured_run(words: Sequence[str], began: float) -> None:
    """Run `jepsenvm run` with these words in this process; print its marks as JSON at the end.

    ``began`` is when the process was started, on the monotonic clock.
    """
    marks = _Marks()
    marks.taken.append(Mark(START, began, 0.0, 0, 0))
    from jepsenvm.cli import main  # noqa: PLC0415 - the imports are a part of the start
    from jepsenvm.experiment.run import run_experiment  # noqa: PLC0415
    from jepsenvm.experiment.run_events import PhaseBegan, RunEvent  # noqa: PLC0415
    from jepsenvm.machines.ssh import Fleet  # noqa: PLC0415

    def watch(event: RunEvent) -> None:
        if isinstance(event, PhaseBegan):
            marks.take(event.phase)

    def watched(plan: Any, inventory: Any, store: Any, _: object, **options: Any) -> Any:
        results = run_experiment(plan, inventory, store, watch, **options)
        marks.take(END)
        return results

    def counted(execute: Callable[..., Any]) -> Callable[..., Any]:
        def count_and_execute(fleet: Fleet, node: str, script: str, **options: Any) -> Any:
            marks.count(script)
            return execute(fleet, node, script, **options)

        return count_and_execute

    try:
        with (
            patch("jepsenvm.cli.run.run_experiment", watched),
            patch.object(Fleet, "run", counted(Fleet.run)),
            patch.object(Fleet, "plain", counted(Fleet.plain)),
        ):
            main.cli.main(["run", *words])
    finally:
        marks.take(END)
        print(json.dumps({"marks": [astuple(mark) for mark in marks.taken]}))


def one_round(arguments: argparse.Namespace) -> dict[str, Spent]:
    """Run the plan once; return what each phase used."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "plan.yml")
        file.write_text(yaml.safe_dump(plan(arguments.seconds)), encoding="utf-8")
        words = [str(file), "--store", str(Path(folder, "store")), "--no-deploy", "--json"]
        if arguments.inventory:
            words += ["-i", arguments.inventory]
        result = measured("benchmarks.overhead", repr(time.monotonic()), "--", *words)
    return spent([Mark(*values) for values in result["marks"]], arguments.seconds)


def _print(title: str, phases: Mapping[str, Spent]) -> None:
    for phase, used in phases.items():
        print(
            f"{title:>6}  {phase:<10} {used.wall:>7.2f} {used.cpu:>7.2f} "
            f"{used.commands:>9.0f} {used.rabbitmqctl:>12.0f}",
            flush=True,
        )


def main() -> None:
    """Print a line for each phase of each round, then the medians."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("-i", "--inventory")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=20, help="the planned load")
    parser.add_argument("--measure", type=float, help=argparse.SUPPRESS)
    parser.add_argument("words", nargs="*", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure is not None:
        measured_run(arguments.words, arguments.measure)
        return
    print(" round  phase         wall     cpu  commands  rabbitmqctl")
    rounds = []
    for number in range(1, arguments.rounds + 1):
        rounds.append(one_round(arguments))
        _print(str(number), rounds[-1])
    _print("median", medians(rounds))


if __name__ == "__main__":
    main()
