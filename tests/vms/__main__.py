"""The steps of `script/test-vms`: python -m tests.vms --nodes N, within namespaces of its own."""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tests.vms import hypervisor
from tests.vms.box import ensure_box

BOX: Final = "jepsenvm/bookworm"
ROOT: Final = Path(__file__).resolve().parents[2]
JEPSENVM: Final = str(Path(sys.executable).with_name("jepsenvm"))

# What an emulated VM can bear: it confirms a few dozen messages a second, and a question to the broker takes it 20 s.
GENTLE: Final = (
    "--rate",
    "10",
    "--window",
    "5",
    "--quiet-before",
    "20",
    "--set",
    "drain-deadline=120",
)

RUNS: Final[Mapping[str, tuple[str, ...]]] = {
    "partition": (
        "--nemesis",
        "partition-random-halves",
        "--fault-duration",
        "40",
        "--time-limit",
        "75",
    ),
    "kill": ("--nemesis", "kill", "--fault-duration", "30", "--time-limit", "65"),
    "netem": ("--nemesis", "delay", "--fault-duration", "30", "--time-limit", "65"),
    "clock": ("--nemesis", "clock-bump", "--fault-duration", "30", "--time-limit", "65"),
}
MORE_RUNS: Final[Mapping[str, tuple[str, ...]]] = {
    "power": ("--nemesis", "power-cut", "--fault-duration", "50", "--time-limit", "90"),
}
"""With --all: a VM that boots takes most of ten minutes."""


class Broken(Exception):  # noqa: N818 - it says what it is
    """A step did not come out as it must."""


@dataclass
class Steps:
    """The steps taken, how long each took and what came of it."""

    environment: Mapping[str, str]
    log: Path
    taken: list[tuple[str, float, str]] = field(default_factory=list)

    @contextmanager
    def step(self, name: str) -> Iterator[Callable[[str], None]]:
        """Take one step, whose remark is given by the yielded function; an error ends the test with its reason."""
        print(f"== {name}", flush=True)
        began, remarks = time.monotonic(), list[str]()
        try:
            yield remarks.append
        except BaseException as problem:
            self.taken.append((name, time.monotonic() - began, f"FAILED: {problem}"))
            print(f"== {name}: FAILED: {problem}", flush=True)
            raise
        self.taken.append((name, time.monotonic() - began, "; ".join(remarks)))
        print(f"== {name}: {time.monotonic() - began:.0f} s {'; '.join(remarks)}", flush=True)

    def run(self, *argv: str, expect: int | None = 0, timeout: float = 2400) -> str:
        """Run a program as a user does, showing what it prints; return that. Raise Broken on another exit status."""
        print(
            f"$ {' '.join(Path(argv[0]).name if not n else word for n, word in enumerate(argv))}",
            flush=True,
        )
        with subprocess.Popen(
            argv,
            cwd=ROOT,
            env=self.environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        ) as program:
            lines = []
            until = time.monotonic() + timeout
            for line in program.stdout or ():
                print(f"  {line}", end="", flush=True)
                lines.append(line)
                if time.monotonic() > until:
                    program.kill()
                    raise Broken(f"{' '.join(argv[:4])} did not end within {timeout:.0f} s")
            status = program.wait()
        said = "".join(lines)
        if expect is not None and status != expect:
            raise Broken(f"`{' '.join(argv[:6])}` exited {status}, not {expect}: {_last(said)}")
        return said

    def table(self) -> str:
        """Return the steps as a table."""
        rows = [f"{name:32} {seconds:6.0f} s  {remark}" for name, seconds, remark in self.taken]
        total = sum(seconds for _, seconds, _ in self.taken)
        return "\n".join([*rows, f"{'total':32} {total:6.0f} s  ({total / 60:.1f} min)"])


def main() -> int:
    """Take all steps; print the table whatever happens."""
    arguments = argparse.ArgumentParser(prog="script/test-vms", description=__doc__)
    arguments.add_argument("--nodes", type=int, default=3, choices=range(3, 10), metavar="N")
    arguments.add_argument(
        "--all", action="store_true", dest="more", help="a run with a power cut as well"
    )
    arguments.add_argument("--scratch", type=Path, required=True, help=argparse.SUPPRESS)
    asked = arguments.parse_args()
    hypervisor.refuse_machine_namespaces()
    if (
        any((ROOT / ".vagrant/machines").glob("*/*/id"))
        or (ROOT / "inventory/vagrant.yml").exists()
    ):
        print(
            "test-vms: this folder has VMs of its own; destroy them first, or use another checkout",
            file=sys.stderr,
        )
        return 254
    steps = Steps(_environment(asked.scratch, asked.nodes), asked.scratch)
    try:
        runs = {**RUNS, **(MORE_RUNS if asked.more else {})}
        _all(steps, asked.scratch, [f"n{number}" for number in range(1, asked.nodes + 1)], runs)
        failed = [name for name, _, remark in steps.taken if remark.startswith("FAILED")]
        outcome = f"FAILED: {', '.join(failed)}" if failed else "every step came out as it must"
    except (Broken, subprocess.CalledProcessError, OSError, RuntimeError) as problem:
        outcome = f"FAILED: {problem}"
    finally:
        print(f"\n{steps.table()}", flush=True)
        _forget()
    print(outcome)
    return 1 if outcome.startswith("FAILED") else 0


def _all(
    steps: Steps, scratch: Path, nodes: list[str], runs: Mapping[str, tuple[str, ...]]
) -> None:
    with steps.step("libvirt, box added"):
        hypervisor.start(scratch)
        steps.run("vagrant", "--no-tty", "box", "add", "--name", BOX, str(ensure_box()))
    with steps.step("vagrant validate"):
        steps.run("vagrant", "validate")
    with steps.step("before the VMs: a clear message") as remark:
        _refused(steps, remark, "no machines", "vagrant up")
    with steps.step("vagrant up, RabbitMQ clustered") as remark:
        remark(_recap(steps.run("vagrant", "--no-tty", "up"), len(nodes)))
    with steps.step("vagrant provision again") as remark:
        told = _recap(steps.run("vagrant", "--no-tty", "provision"), len(nodes))
        remark(told)
        if not told.startswith("changed=0 "):
            raise Broken(f"provisioning again changed something: {told}")
    with steps.step("jepsenvm doctor"):
        steps.run(JEPSENVM, "doctor")
    with steps.step("jepsenvm hello") as remark:
        remark(f"{steps.run(JEPSENVM, 'hello').count('confirmed, and back')} nodes")
    for name, words in runs.items():
        # One experiment that came out wrong says nothing of the others, nor of what follows.
        with suppress(Broken), steps.step(f"run: {name}") as remark:
            _run(steps, name, words, remark)
    with steps.step("vagrant halt: a clear message") as remark:
        steps.run("vagrant", "--no-tty", "halt", nodes[-1])
        _refused(steps, remark, f"{nodes[-1]} is", f"vagrant up {nodes[-1]}")
    with steps.step("vagrant up of the halted one"):
        steps.run("vagrant", "--no-tty", "up", "--no-provision", nodes[-1])
        _whole(steps)
    with steps.step("vagrant reload of one"):
        steps.run("vagrant", "--no-tty", "reload", "--no-provision", nodes[0])
        _whole(steps)
    with steps.step("vagrant destroy half-way: a message") as remark:
        steps.run("vagrant", "--no-tty", "destroy", "-f", nodes[-1])
        _refused(steps, remark, f"{nodes[-1]} is not created", "vagrant up")
    with steps.step("vagrant destroy: nothing is left") as remark:
        steps.run("vagrant", "--no-tty", "destroy", "-f")
        _nothing_left(remark)


def _run(steps: Steps, name: str, words: tuple[str, ...], remark: Callable[[str], None]) -> None:
    """Run one experiment; its verdict must be valid, which also says that its fault was proven to bite."""
    store = steps.log / "store"
    said = steps.run(
        JEPSENVM, "run", "--name", name, "--store", str(store), *GENTLE, *words, expect=None
    )
    verdict = re.findall(r"^ *[\d.]+ +((?:VALID|INVALID|UNKNOWN)\b.*)", said, re.MULTILINE)
    if not verdict:
        raise Broken(f"no verdict: {_last(said)}")
    remark(verdict[0].strip())
    if not verdict[0].startswith("VALID"):
        raise Broken(f"{verdict[0].strip()} {_why(store)}")


def _why(store: Path) -> str:
    results: dict[str, Any] = json.loads(
        (store / "latest/results.json").read_text(encoding="utf-8")
    )
    return json.dumps(results)[:2000]


def _refused(steps: Steps, remark: Callable[[str], None], *words: str) -> None:
    """Have a command refused in one line that has all these words in it."""
    said = steps.run(JEPSENVM, "hello", expect=254).strip()
    line = _last(said)
    if not all(word in line for word in words):
        raise Broken(f"not a clear message: {said!r}")
    remark(line)


def _whole(steps: Steps) -> None:
    """Wait until a message goes through every node again: a node that has booted is not a broker yet."""
    until = time.monotonic() + 600
    while True:
        try:
            steps.run(JEPSENVM, "hello")
        except Broken:
            if time.monotonic() > until:
                raise
            continue
        return


def _recap(said: str, nodes: int) -> str:
    """Return what Ansible's recap says of all nodes together; there must be one recap, of all of them."""
    rows = re.findall(r"^(n\d+)\s+: ok=(\d+)\s+changed=(\d+).*failed=0", said, re.MULTILINE)
    if len(rows) != nodes or said.count("PLAY RECAP") != 1:
        raise Broken(f"not one recap of {nodes} nodes: {rows}")
    ok, changed = (sum(int(row[column]) for row in rows) for column in (1, 2))
    return f"changed={changed} ok={ok}, one playbook run"


def _nothing_left(remark: Callable[[str], None]) -> None:
    base = f"{BOX.replace('/', '-VAGRANTSLASH-')}_vagrant_box_image"
    left = [
        thing
        for thing in hypervisor.left()
        if base not in thing and thing not in ("default", "vagrant-libvirt")
    ]
    left += [str(path) for path in (ROOT / ".vagrant/machines").glob("*/*/id")]
    left += [str(path) for path in (ROOT / "inventory").glob("vagrant.yml")]
    left += [str(path) for path in (ROOT / "inventory/.jepsenvm").glob("vagrant*")]
    qemu = subprocess.run(
        ["pgrep", "-f", "qemu-system"], capture_output=True, text=True, check=False
    ).stdout.split()
    if left or qemu:
        raise Broken(f"left: {left} {qemu}")
    remark("no VM, disk, network, process, inventory or secret")


def _environment(scratch: Path, nodes: int) -> dict[str, str]:
    chosen = {"BOX": BOX, "NODES": str(nodes), "MEMORY": "512", "APT_UPDATE": "false"}
    return {
        **{
            key: value
            for key, value in os.environ.items()
            if not key.startswith(("JEPSENVM_", "VAGRANT_"))
        },
        **{f"JEPSENVM_{key}": value for key, value in chosen.items()},
        "VAGRANT_HOME": str(scratch / "vagrant"),
        "VAGRANT_DEFAULT_PROVIDER": "libvirt",
        "VAGRANT_CHECKPOINT_DISABLE": "1",
    }


def _forget() -> None:
    """Remove what Vagrant keeps of VMs in this folder: they end with these namespaces, whatever became of them."""
    shutil.rmtree(ROOT / ".vagrant", ignore_errors=True)
    shutil.rmtree(ROOT / "inventory/.jepsenvm/vagrant", ignore_errors=True)
    (ROOT / "inventory/vagrant.yml").unlink(missing_ok=True)


def _last(said: str) -> str:
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return lines[-1] if lines else "it said nothing"


if __name__ == "__main__":
    sys.exit(main())
