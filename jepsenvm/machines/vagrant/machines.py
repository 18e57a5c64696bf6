"""Vagrant's VMs: their states, and their power."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from jepsenvm.errors import RunError, UsageError

INVENTORY: Final = Path("inventory/vagrant.yml")
"""The inventory that the Vagrantfile writes, relative to the folder of the Vagrantfile."""

FOLDER: Final = "jepsenvm_vagrant_dir"
"""The inventory variable with the folder of the Vagrantfile."""

RUNNING: Final = "running"
GONE: Final = "not_created"

POWER_CUT: Final = "JEPSENVM_POWER_CUT"
"""The variable that makes a forced halt a power cut.

Otherwise vagrant-libvirt asks the guest to shut down even when the halt is forced.
"""

STATUS_S: Final = 120.0
CUT_S: Final = 180.0
UP_S: Final = 1800.0
"""The timeout for Vagrant itself. It has a shorter one for a VM to boot (boot_timeout)."""


def are_vms_here() -> bool:
    """Return whether Vagrant has created VMs in the current folder, or has begun to."""
    return any(Path(".vagrant/machines").glob("*/*/id"))


def states(folder: Path, *names: str) -> dict[str, str]:
    """Return the states of all VMs or of some: ``running``, ``not_created``, ``shutoff`` ...

    Raises UsageError where Vagrant cannot say, with its reason.
    """
    try:
        output = vagrant(folder, "status", "--machine-readable", *names, timeout=STATUS_S)
    except RunError as problem:
        raise UsageError(
            problem.message, remedy="run `vagrant status` there, and `jepsenvm doctor`"
        ) from problem
    states_by_name = parsed(output)
    if not states_by_name:
        raise UsageError(
            "Vagrant reports the state of no VM",
            remedy="run `vagrant status --machine-readable` there",
        )
    return states_by_name


def parsed(machine_readable: str) -> dict[str, str]:
    """Return the states in the output of ``vagrant status --machine-readable``."""
    rows = (line.split(",") for line in machine_readable.splitlines())
    return {row[1]: row[3] for row in rows if len(row) > 3 and row[2] == "state"}


def require_running(folder: Path) -> None:
    """Raise UsageError, with the command that starts them, unless all VMs of a folder run."""
    problem = trouble(states(folder))
    if problem:
        raise UsageError(f"{problem[0]} (VMs of {folder})", remedy=problem[1])


def trouble(found: Mapping[str, str]) -> tuple[str, str] | None:
    """Return why these VMs are no cluster, and the remedy; None if all run."""
    gone = [name for name, state in found.items() if state == GONE]
    off = [name for name, state in found.items() if state not in {RUNNING, GONE}]
    if gone and len(gone) == len(found):
        return "no VM has been created", "run `vagrant up`"
    if gone:
        rest = "`vagrant destroy -f` for the rest"
        verb = "is" if len(gone) == 1 else "are"
        what = f"{' '.join(gone)} {verb} not created, and {_rest(found)} there"
        return what, f"run `vagrant up && vagrant provision`, or {rest}"
    if off:
        what = ", ".join(f"{name} is {found[name].replace('_', ' ')}" for name in off)
        return f"not every VM runs: {what}", f"run `vagrant up {' '.join(off)}`"
    return None


def cut(folder: Path, name: str) -> None:
    """Switch a VM off without warning."""
    vagrant(folder, "halt", "--force", name, timeout=CUT_S, chosen={POWER_CUT: "1"})


def on(folder: Path, name: str) -> None:
    """Boot a VM, and wait until it answers over SSH."""
    vagrant(folder, "up", "--no-provision", name, timeout=UP_S)


def is_off(folder: Path, name: str) -> bool:
    """Return whether a VM exists and does not run."""
    return states(folder, name).get(name, GONE) not in {RUNNING, GONE}


def vagrant(
    folder: Path, *words: str, timeout: float, chosen: Mapping[str, str] | None = None
) -> str:
    """Run Vagrant in a folder; return its output. ``timeout`` is in seconds.

    Raise UsageError if Vagrant is missing, RunError if it fails.
    """
    program = shutil.which("vagrant")
    if program is None:
        raise UsageError(
            "Vagrant is not installed", remedy="install it, or name other machines with -i"
        )
    try:
        done = subprocess.run(
            [program, *words],  # no --no-tty: it would undo --machine-readable
            cwd=folder,
            env={**os.environ, **(chosen or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
    except OSError as problem:
        raise UsageError(
            f"no VMs in {folder}: {problem.strerror}", remedy="run `vagrant up`"
        ) from None
    except subprocess.TimeoutExpired:
        raise RunError(f"`vagrant {' '.join(words)}` did not end within {timeout:.0f} s") from None
    if done.returncode != 0:
        raise RunError(
            _reason(done.stderr or done.stdout),
            command=f"vagrant {' '.join(words)}",
            status=done.returncode,
        )
    return done.stdout


def _rest(found: Mapping[str, str]) -> str:
    there = [name for name, state in found.items() if state != GONE]
    return f"{' '.join(there)} {'is' if len(there) == 1 else 'are'}"


def _reason(output: str) -> str:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return " ".join(lines[:3])[:300] or "Vagrant failed without saying why"
