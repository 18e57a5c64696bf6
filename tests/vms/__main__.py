"""Runs the steps of `script/test-vms`, inside the namespaces that the script creates."""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tests.vms import hypervisor
from tests.vms.box import ensure_box

BOX: Final = "jepsenvm/bookworm"
ROOT: Final = Path(__file__).resolve().parents[2]
JEPSENVM: Final = str(Path(sys.executable).with_name("jepsenvm"))

# Options of `jepsenvm run` for emulated VMs, which confirm a few dozen messages per second and need
# 20 s to answer rabbitmqctl.
SLOW_HOST_OPTIONS: Final = (
    *("--rate", "10", "--window", "5"),
    *("--quiet-before", "20", "--set", "drain-deadline=120"),
)

# Name of an experiment => its options of `jepsenvm run`.
RUNS: Final[Mapping[str, tuple[str, ...]]] = {
    "partition": (
        *("--nemesis", "partition-random-halves"),
        *("--fault-duration", "40", "--time-limit", "75"),
    ),
    "kill": ("--nemesis", "kill", "--fault-duration", "30", "--time-limit", "65"),
    "netem": ("--nemesis", "delay", "--fault-duration", "30", "--time-limit", "65"),
    "clock": ("--nemesis", "clock-bump", "--fault-duration", "30", "--time-limit", "65"),
}
# Run only with --all: after a power cut, an emulated VM needs almost ten minutes to boot.
SLOW_RUNS: Final[Mapping[str, tuple[str, ...]]] = {
    "power": ("--nemesis", "power-cut", "--fault-duration", "50", "--time-limit", "90"),
    "loss": ("--nemesis", "power-loss", "--fault-duration", "50", "--time-limit", "90"),
}


class StepError(Exception):
    """A step did not have the expected result."""


@dataclass
class Steps:
    """Runs the steps and records name, duration in seconds and result of each.

    Programs run with ``environment``; experiments are stored in ``folder``.
    """

    environment: Mapping[str, str]
    folder: Path
    results: list[tuple[str, float, str]] = field(default_factory=list)

    @contextmanager
    def step(self, name: str) -> Iterator[Callable[[str], None]]:
        """Run the body as one step; record and re-raise its error.

        Yields a function that adds a remark to the result of the step.
        """
        print(f"== {name}", flush=True)
        start = time.monotonic()
        remarks: list[str] = []
        try:
            yield remarks.append
        except BaseException as error:
            self.results.append((name, time.monotonic() - start, f"FAILED: {error}"))
            print(f"== {name}: FAILED: {error}", flush=True)
            raise
        duration, result = time.monotonic() - start, "; ".join(remarks)
        self.results.append((name, duration, result))
        print(f"== {name}: {duration:.0f} s {result}", flush=True)

    def run(self, *argv: str, expect: int | None = 0, timeout: float = 2400) -> str:
        """Run a program, print its output as it appears, and return the output.

        Raises StepError if the exit status is not ``expect`` (None accepts every status), or if the
        program still prints after ``timeout`` seconds.
        """
        print(f"$ {' '.join([Path(argv[0]).name, *argv[1:]])}", flush=True)
        with subprocess.Popen(
            argv,
            cwd=ROOT,
            env=self.environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        ) as program:
            lines = []
            deadline = time.monotonic() + timeout
            for line in program.stdout or ():
                print(f"  {line}", end="", flush=True)
                lines.append(line)
                if time.monotonic() > deadline:
                    program.kill()
                    raise StepError(f"{' '.join(argv[:4])} did not end within {timeout:.0f} s")
            status = program.wait()
        output = "".join(lines)
        if expect is not None and status != expect:
            command = " ".join(argv[:6])
            raise StepError(f"`{command}` exited {status}, not {expect}: {_last_line(output)}")
        return output

    def table(self) -> str:
        """Return the results as a table, one step per line."""
        rows = [f"{name:32} {seconds:6.0f} s  {result}" for name, seconds, result in self.results]
        total = sum(seconds for _, seconds, _ in self.results)
        return "\n".join([*rows, f"{'total':32} {total:6.0f} s  ({total / 60:.1f} min)"])


def main() -> int:
    """Run every step, print the table of results, and return the exit status."""
    options = _parse_options()
    hypervisor.require_own_namespaces()
    vms = any((ROOT / ".vagrant/machines").glob("*/*/id"))
    if vms or (ROOT / "inventory/vagrant.yml").exists():
        print(
            "test-vms: this folder already has VMs; destroy them first, or use another checkout",
            file=sys.stderr,
        )
        return 254
    steps = Steps(_environment(options.scratch, options.nodes), options.scratch)
    try:
        nodes = [f"n{number}" for number in range(1, options.nodes + 1)]
        _run_steps(steps, nodes, {**RUNS, **(SLOW_RUNS if options.all else {})})
        failed = [name for name, _, result in steps.results if result.startswith("FAILED")]
        outcome = f"FAILED: {', '.join(failed)}" if failed else "every step succeeded"
    except (StepError, subprocess.CalledProcessError, OSError, RuntimeError) as error:
        outcome = f"FAILED: {error}"
    finally:
        print(f"\n{steps.table()}", flush=True)
        _remove_vagrant_state()
    print(outcome)
    return 1 if outcome.startswith("FAILED") else 0


def _parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="script/test-vms", description=__doc__)
    parser.add_argument(
        "--nodes", type=int, default=3, choices=range(3, 10), metavar="N", help="number of VMs"
    )
    parser.add_argument("--all", action="store_true", help="also run the power cut")
    parser.add_argument("--scratch", type=Path, required=True, help=argparse.SUPPRESS)
    return parser.parse_args()


def _run_steps(steps: Steps, nodes: Sequence[str], runs: Mapping[str, tuple[str, ...]]) -> None:
    _create_vms(steps, nodes)
    with steps.step("jepsenvm doctor"):
        steps.run(JEPSENVM, "doctor")
    with steps.step("jepsenvm hello") as remark:
        remark(f"{steps.run(JEPSENVM, 'hello').count('confirmed, and back')} nodes")
    for name, options in runs.items():
        # A failed experiment must not keep the other experiments and steps from running.
        with suppress(StepError), steps.step(f"run: {name}") as remark:
            _run_experiment(steps, name, options, remark)
    _restart_vms(steps, nodes)
    _destroy_vms(steps, nodes)


def _create_vms(steps: Steps, nodes: Sequence[str]) -> None:
    with steps.step("libvirt, box added"):
        hypervisor.start(steps.folder)
        steps.run("vagrant", "--no-tty", "box", "add", "--name", BOX, str(ensure_box()))
    with steps.step("vagrant validate"):
        steps.run("vagrant", "validate")
    with steps.step("before the VMs: a clear message") as remark:
        _expect_refusal(steps, remark, "no machines", "vagrant up")
    with steps.step("vagrant up, RabbitMQ clustered") as remark:
        remark(_recap(steps.run("vagrant", "--no-tty", "up"), len(nodes)))
    with steps.step("vagrant provision again") as remark:
        recap = _recap(steps.run("vagrant", "--no-tty", "provision"), len(nodes))
        remark(recap)
        if not recap.startswith("changed=0 "):
            raise StepError(f"the second deployment changed something: {recap}")


def _restart_vms(steps: Steps, nodes: Sequence[str]) -> None:
    with steps.step("vagrant halt: a clear message") as remark:
        steps.run("vagrant", "--no-tty", "halt", nodes[-1])
        _expect_refusal(steps, remark, f"{nodes[-1]} is", f"vagrant up {nodes[-1]}")
    with steps.step("vagrant up of the halted VM"):
        steps.run("vagrant", "--no-tty", "up", "--no-provision", nodes[-1])
        _wait_for_cluster(steps)
    with steps.step("vagrant reload of one VM"):
        steps.run("vagrant", "--no-tty", "reload", "--no-provision", nodes[0])
        _wait_for_cluster(steps)


def _destroy_vms(steps: Steps, nodes: Sequence[str]) -> None:
    with steps.step("vagrant destroy of one VM: a clear message") as remark:
        steps.run("vagrant", "--no-tty", "destroy", "-f", nodes[-1])
        _expect_refusal(steps, remark, f"{nodes[-1]} is not created", "vagrant up")
    with steps.step("vagrant destroy: nothing remains") as remark:
        steps.run("vagrant", "--no-tty", "destroy", "-f")
        _expect_nothing_remains(remark)


def _run_experiment(
    steps: Steps, name: str, options: tuple[str, ...], remark: Callable[[str], None]
) -> None:
    """Run one experiment and require the verdict valid, which includes the proof of its fault."""
    store = steps.folder / "store"
    argv = (JEPSENVM, "run", "--name", name, "--store", str(store), *SLOW_HOST_OPTIONS, *options)
    output = steps.run(*argv, expect=None)
    verdicts = re.findall(r"^ *[\d.]+ +((?:VALID|INVALID|UNKNOWN)\b.*)", output, re.MULTILINE)
    if not verdicts:
        raise StepError(f"no verdict: {_last_line(output)}")
    verdict = verdicts[0].strip()
    remark(verdict)
    if not verdict.startswith("VALID"):
        raise StepError(f"{verdict} {_stored_results(store)}")


def _stored_results(store: Path) -> str:
    """Return the beginning of the latest run's results.json."""
    results: dict[str, Any] = json.loads(
        (store / "latest/results.json").read_text(encoding="utf-8")
    )
    return json.dumps(results)[:2000]


def _expect_refusal(steps: Steps, remark: Callable[[str], None], *words: str) -> None:
    """Run a command that jepsenvm must refuse with a line that contains all ``words``."""
    output = steps.run(JEPSENVM, "hello", expect=254).strip()
    line = _last_line(output)
    if not all(word in line for word in words):
        raise StepError(f"the message does not contain {words}: {output!r}")
    remark(line)


def _wait_for_cluster(steps: Steps) -> None:
    """Wait until every node confirms and returns a message; its broker starts after its VM."""
    deadline = time.monotonic() + 600
    while True:
        try:
            steps.run(JEPSENVM, "hello")
        except StepError:
            if time.monotonic() > deadline:
                raise
            continue
        return


def _recap(output: str, nodes: int) -> str:
    """Return the sums of Ansible's recap; there must be exactly one recap, with every node."""
    rows = re.findall(r"^(n\d+)\s+: ok=(\d+)\s+changed=(\d+).*failed=0", output, re.MULTILINE)
    if len(rows) != nodes or output.count("PLAY RECAP") != 1:
        raise StepError(f"not one recap of {nodes} nodes: {rows}")
    ok, changed = (sum(int(row[column]) for row in rows) for column in (1, 2))
    return f"changed={changed} ok={ok}, one playbook run"


def _expect_nothing_remains(remark: Callable[[str], None]) -> None:
    base = f"{BOX.replace('/', '-VAGRANTSLASH-')}_vagrant_box_image"
    networks = ("default", "vagrant-libvirt")
    remaining = [
        name for name in hypervisor.resources() if base not in name and name not in networks
    ]
    remaining += [str(path) for path in (ROOT / ".vagrant/machines").glob("*/*/id")]
    remaining += [str(path) for path in (ROOT / "inventory").glob("vagrant.yml")]
    remaining += [str(path) for path in (ROOT / "inventory/.jepsenvm").glob("vagrant*")]
    pgrep = subprocess.run(
        ["pgrep", "-f", "qemu-system"], capture_output=True, text=True, check=False
    )
    processes = pgrep.stdout.split()
    if remaining or processes:
        raise StepError(f"still there: {remaining}, QEMU processes: {processes}")
    remark("no VM, disk, network, process, inventory or secret")


def _environment(scratch: Path, nodes: int) -> dict[str, str]:
    """Return this process's environment with the settings of the test's VMs and no others."""
    inherited = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("JEPSENVM_", "VAGRANT_"))
    }
    return {
        **inherited,
        "JEPSENVM_BOX": BOX,
        "JEPSENVM_NODES": str(nodes),
        "JEPSENVM_MEMORY": "512",
        "JEPSENVM_APT_UPDATE": "false",
        "VAGRANT_HOME": str(scratch / "vagrant"),
        "VAGRANT_DEFAULT_PROVIDER": "libvirt",
        "VAGRANT_CHECKPOINT_DISABLE": "1",
    }


def _remove_vagrant_state() -> None:
    """Remove Vagrant's state in this folder; its VMs end with these namespaces in any case."""
    shutil.rmtree(ROOT / ".vagrant", ignore_errors=True)
    shutil.rmtree(ROOT / "inventory/.jepsenvm/vagrant", ignore_errors=True)
    (ROOT / "inventory/vagrant.yml").unlink(missing_ok=True)


def _last_line(output: str) -> str:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return lines[-1] if lines else "no output"


if __name__ == "__main__":
    sys.exit(main())
